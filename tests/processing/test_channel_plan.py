"""Where a checkpoint's channels come from."""

import numpy as np
import pytest

from neuroclip_hf.data.interpolation import interpolation_matrix
from neuroclip_hf.errors import InputError
from neuroclip_hf.processing.channel_plan import plan_channels

WANTED = ["P7", "O1", "Oz", "O2"]
CAP = ["VEOG", "EEG O1-REF", "O2", "P7", "P8", "Pz", "PO7"]


def plan(found=CAP, **settings):
    return plan_channels(WANTED, found, whose="The trials", **settings)


def test_channels_that_are_all_there_are_picked():
    found = plan(["O2", "Oz", "x", "P7", "O1"])
    assert (found.sources, found.weights, found.notes) == (tuple(WANTED), None, ())
    values = np.ones((2, 4, 3))
    assert found.apply(values) is values


def test_missing_ones_come_from_all_electrodes():
    found = plan(interpolate=True)
    assert found.sources[:3] == ("P7", "EEG O1-REF", "O2")
    assert set(found.sources) == {*CAP} - {"VEOG"}
    weights = found.weights[:, [found.sources.index(name) for name in CAP[1:]]]
    assert weights[0].tolist() == [0, 0, 1, 0, 0, 0]
    assert weights[1].tolist() == [1, 0, 0, 0, 0, 0]
    np.testing.assert_allclose(weights[2], interpolation_matrix(CAP[1:], ["Oz"])[0], atol=1e-12)
    assert found.notes == ("channels found under other names: O1 (EEG O1-REF)", "interpolated from 6 electrodes: Oz")


def test_unusable_ones_are_made_and_make_none():
    found = plan([*CAP, "Oz"], unusable={"O2": "are flat", "PO7": "are flat"}, interpolate=True)
    assert set(found.sources) == {*CAP, "Oz"} - {"VEOG", "O2", "PO7"}
    assert found.notes[-1] == "interpolated from 5 electrodes: O2"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"The trials: the checkpoint's channels Oz are missing; there are VEOG.*interpolate=True"),
        ({"found": [*CAP, "Oz"], "unusable": {"P7": "are flat"}}, "The trials: channels P7 are flat: mend them"),
        ({"electrodes": False}, r"channels O1, Oz are missing.*: rename them, train on"),
        ({"electrodes": False, "interpolate": True}, "is for electrodes"),
        ({"found": ["P7", "P8", "Pz", "PO7"], "interpolate": True}, "3 of the checkpoint's 4 channels .*too many"),
        ({"found": ["P7", "O1", "O2"], "interpolate": True}, "from 3 electrodes"),
    ],
)
def test_what_cannot_be_made_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        plan(**settings)
