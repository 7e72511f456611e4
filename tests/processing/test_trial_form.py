"""Trials into a checkpoint's form: units, whitening, windows, and what is refused."""

import numpy as np
import pytest

from neuroclip_hf import BrainFeatureExtractor, InputError
from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.processing.trial_form import GivenTrials, bring_into_form

CHANNELS = ["P7", "O1", "O2"]
WHITENING = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 4.0]]) * 1e5


def form(**changes):
    settings = {"channel_names": CHANNELS, "sampling_rate": 50.0, "num_timesteps": 10, "std": 1e-5, **changes}
    return BrainFeatureExtractor(**settings)


def whitened(**changes):
    return form(unit="sd", std=1.0, whitening=WHITENING.tolist(), **changes)


@pytest.fixture
def volts():
    return np.random.default_rng(0).standard_normal((4, 3, 10)) * 1e-5


def test_units_are_converted(volts):
    found, notes = bring_into_form(GivenTrials(volts * 1e6, unit="uV"), form())
    np.testing.assert_allclose(found, volts)
    assert notes == ["converted from uV by a factor of 1e-06"]


def test_whitened_by_the_saved_matrix(volts):
    found, notes = bring_into_form(GivenTrials(volts * 1e3, unit="mV"), whitened())
    np.testing.assert_allclose(found, WHITENING @ volts)
    assert notes[-1] == "whitened with the noise covariance of the training sessions"
    kept, _ = bring_into_form(GivenTrials(volts, unit="V"), whitened(), whitened=False)
    np.testing.assert_array_equal(kept, volts)
    already, notes = bring_into_form(GivenTrials(volts * 1e5, unit="sd"), whitened())
    np.testing.assert_array_equal(already, volts * 1e5)
    assert notes == []


def test_the_extractor_does_all_of_it(volts):
    found = whitened(mean=[0.1, 0.2, 0.3])(volts[:, ::-1] * 1e6, channel_names=["o2", "o1", "p7"], unit="uV")
    expected = WHITENING @ volts - np.array([0.1, 0.2, 0.3])[:, None]
    np.testing.assert_allclose(found["eeg_values"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [1e6, 1e-6, 0.0])
@pytest.mark.parametrize("make", [form, whitened])
def test_another_unit_than_was_said_is_refused(volts, scale, make):
    with pytest.raises(InputError, match="times as large as those of the training trials"):
        bring_into_form(GivenTrials(volts * scale, unit="V"), make())


def test_patterns_in_another_unit_are_refused():
    patterns = form(num_timesteps=None, sampling_rate=None, unit="au", mean=[5.0] * 3, std=[1.0] * 3)
    values = np.random.default_rng(0).standard_normal((4, 3)) + 5
    assert bring_into_form(GivenTrials(values, unit="au"), patterns)[0].shape == (4, 3)
    with pytest.raises(InputError, match="times as large"):
        bring_into_form(GivenTrials(values * 1e6, unit="au"), patterns)


@pytest.mark.parametrize(
    ("unit", "make", "message"),
    [
        ("T", form, "unit is T, and the checkpoint reads V"),
        ("sd", form, "unit is sd, and the checkpoint reads V"),
        ("fT", whitened, "unit is fT, and the checkpoint's recordings were in V"),
        ("V", lambda: form(unit="sd", std=1.0), "carries no noise covariance"),
    ],
)
def test_units_that_do_not_lead_to_the_checkpoints_are_refused(volts, unit, make, message):
    with pytest.raises(InputError, match=message):
        bring_into_form(GivenTrials(volts, unit=unit), make())


def test_meg_is_whitened_from_tesla(volts):
    meg = form(unit="sd", std=1.0, whitening=(WHITENING * 1e8).tolist())
    found, _ = bring_into_form(GivenTrials(volts * 1e7, unit="fT"), meg)
    np.testing.assert_allclose(found, WHITENING @ volts, rtol=1e-6)


def test_the_baseline_is_that_of_the_training_where_it_is_inside(volts):
    cut = EpochSettings(window=(0.0, 0.2), baseline=(-0.1, 0.0))
    longer = np.concatenate([volts[..., :6], volts], axis=-1)
    found, notes = bring_into_form(
        GivenTrials(longer, sampling_rate=50.0, window_start=-0.12), form(epochs=cut.to_dict())
    )
    np.testing.assert_allclose(found, volts - longer[..., 1:7].mean(axis=-1, keepdims=True), atol=1e-20)
    assert notes == []
    found, notes = bring_into_form(
        GivenTrials(volts, sampling_rate=50.0, window_start=0.0), form(epochs=cut.to_dict())
    )
    np.testing.assert_array_equal(found, volts)
    assert "lies outside of the trials" in notes[0]


def test_broken_channels_are_refused_or_interpolated(volts):
    names = [*CHANNELS, "P8", "Pz", "PO7"]
    values = np.concatenate([volts, volts], axis=1)
    for broken, problem in ((np.nan, "hold NaN"), (1e-5, "are flat")):
        values[:, 1] = broken
        given = GivenTrials(values, names, unit="V")
        with pytest.raises(InputError, match=f"channels O1 {problem}"):
            bring_into_form(given, form())
        found, notes = bring_into_form(given, form(), interpolate=True)
        np.testing.assert_allclose(found[:, [0, 2]], volts[:, [0, 2]])
        assert notes == ["interpolated from 5 electrodes: O1"]
    marked = GivenTrials(np.concatenate([volts, volts], axis=1), names, unit="V", bad_channels=["O2"])
    with pytest.raises(InputError, match="channels O2 are marked bad"):
        bring_into_form(marked, form())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (GivenTrials(np.zeros((2, 3, 10), dtype="U1")), "are of type"),
        (GivenTrials(np.zeros((2, 3, 30)), sampling_rate=50.0), "30 samples at 50 Hz, 0.6 s, .*say window_start"),
        (GivenTrials(np.zeros((2, 3, 8)), sampling_rate=40.0), "40 Hz, less than the 50 Hz"),
        (GivenTrials(np.zeros((2, 3, 10)), sampling_rate=50.0, window_start=0.1), "reach from 0.1 to 0.3 s"),
    ],
)
def test_what_cannot_be_mended_is_named(given, message):
    with pytest.raises(InputError, match=message):
        bring_into_form(given, form())


@pytest.mark.parametrize("value", [0, 0.0, -100.0, float("nan"), float("inf"), "100", True])
def test_a_rate_that_is_none_is_refused(value):
    with pytest.raises(InputError, match=r"sampling_rate is .*Hz, above zero"):
        GivenTrials(np.zeros((2, 2, 5)), sampling_rate=value)


@pytest.mark.parametrize("value", ["0", float("nan")])
def test_a_start_that_is_none_is_refused(value):
    with pytest.raises(InputError, match=r"window_start is .*in seconds"):
        GivenTrials(np.zeros((2, 2, 5)), window_start=value)
