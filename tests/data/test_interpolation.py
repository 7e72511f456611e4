"""Missing electrodes are what MNE's own interpolate_bads gives."""

import mne
import numpy as np
import pytest

from neuroclip_hf.data.interpolation import TEMPLATE, electrodes_known, interpolation_matrix
from neuroclip_hf.errors import InputError

NAMES = ["Fp1", "Fz", "Cz", "Pz", "O1", "O2", "P7", "P8", "T7", "C4"]


def test_equal_to_mnes():
    missing = ["Oz", "C3"]
    info = mne.create_info([*NAMES, *missing], 250.0, "eeg")
    values = np.random.default_rng(0).standard_normal((12, 300)) * 1e-5
    raw = mne.io.RawArray(values, info, verbose="ERROR").set_montage(TEMPLATE)
    raw.info["bads"] = missing
    expected = raw.interpolate_bads(verbose="ERROR").get_data()[10:]
    found = interpolation_matrix(["fp1", "EEG Fz-REF", *NAMES[2:8], "T3", "C4"], missing) @ values[:10]
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_names_that_are_no_electrodes():
    assert electrodes_known(["VEOG", "O1", "t3", "MEG 0111"]) == ["O1", "t3"]


def test_what_cannot_be_interpolated_is_refused():
    with pytest.raises(InputError, match=r"VEOG cannot be interpolated: .* no such electrode"):
        interpolation_matrix(NAMES, ["Oz", "VEOG"])
    with pytest.raises(InputError, match=r"Oz cannot be interpolated from 3 electrodes .*O1, O2, Pz.*at least 4"):
        interpolation_matrix(["O1", "O2", "Pz"], ["Oz"])
