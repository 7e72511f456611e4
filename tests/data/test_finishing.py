"""Epochs that somebody else cut become those that the recording gives."""

import mne
import numpy as np
import pytest

from neuroclip_hf.data import finishing
from neuroclip_hf.data.cutting import cut_epochs
from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.finishing import covers, finish_epochs
from neuroclip_hf.errors import InputError

SAMPLES = np.array([150, 260, 400])


@pytest.fixture(scope="module")
def raw():
    values = np.random.default_rng(0).standard_normal((2, 600)).cumsum(axis=1) * 1e-6 + 1e-3
    return mne.io.RawArray(values, mne.create_info(["O1", "O2"], 100.0, "eeg"), verbose="ERROR")


def given(raw, start, stop):
    """Epochs from sample `start` to before `stop`, as numbers alone."""
    return np.stack([raw.get_data(start=sample + start, stop=sample + stop) for sample in SAMPLES])


@pytest.mark.parametrize("rate", [None, 100.0, 50.0, 40.0])
@pytest.mark.parametrize("baseline", [None, (-0.2, 0.0)])
@pytest.mark.parametrize(("start", "stop"), [(-20, 61), (-70, 90)])
@pytest.mark.parametrize("largest", [finishing.LARGEST_MAP, 0])
def test_the_same_as_cut_from_the_recording(raw, rate, baseline, start, stop, largest, monkeypatch):
    monkeypatch.setattr(finishing, "LARGEST_MAP", largest)
    monkeypatch.setattr(finishing, "TOGETHER", 2)
    settings = EpochSettings(window=(0.0, 0.6), baseline=baseline, sampling_rate=rate)
    expected = next(cut_epochs(raw, SAMPLES, settings, raw.ch_names))[1]
    found = finish_epochs(given(raw, start, stop), start / 100, 100.0, settings)
    np.testing.assert_allclose(found, expected, atol=1e-15)


@pytest.mark.parametrize(
    ("start", "stop", "rate", "message"),
    [
        (-20, 40, 50.0, r"reach from -0\.2 to 0\.4 s \(60 samples at 100 Hz\), and -0\.2 to 0\.6 s are needed"),
        (-10, 60, 50.0, r"reach from -0\.1 to 0\.6 s"),
        (20, 60, None, r"reach from 0\.2 to 0\.6 s"),
        (-20, 60, 200.0, "have 100 Hz, less than the 200 Hz"),
    ],
)
def test_what_is_too_short_or_slow_is_refused(raw, start, stop, rate, message):
    with pytest.raises(InputError, match=message):
        finish_epochs(given(raw, start, stop), start / 100, 100.0, EpochSettings((0.0, 0.6), sampling_rate=rate))


@pytest.mark.parametrize(
    ("window", "expected"), [((-0.2, 0.0), True), ((-0.3, 0.0), False), ((0.0, 0.5), True), ((0.0, 0.7), False)]
)
def test_covers(window, expected):
    assert covers(window, -0.2, 80, 100.0) is expected
