"""Calibration: statistics of a new session, from its unlabelled trials, said and saved."""

import numpy as np
import pytest

from neuroclip_hf import BrainFeatureExtractor, InputError, NeuroCLIPProcessor
from neuroclip_hf.data.whitening import noise_covariance, whitening_matrix
from neuroclip_hf.processing.calibration import calibrated

CHANNELS = ["P7", "O1", "O2"]


def form(**changes):
    settings = {"channel_names": CHANNELS, "sampling_rate": 50.0, "num_timesteps": 10, "std": 1e-5, **changes}
    return BrainFeatureExtractor(**settings)


@pytest.fixture
def trials():
    mixing = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0], [0.0, 0.0, 1.0]])
    return mixing @ np.random.default_rng(0).standard_normal((12, 3, 10)) * 1e-5 + 4e-5


def test_mean_and_scale_are_those_of_the_trials(trials):
    before = form()
    kept = before.to_dict()
    found = calibrated(before, trials, to_whiten=False, subject="sub-09")
    mean = trials.mean(axis=(0, 2))
    np.testing.assert_allclose(found.mean, mean)
    np.testing.assert_allclose(found.std, (trials - mean[:, None]).std())
    assert found.calibration == {"trials": 12, "whitening": None, "subject": "sub-09"}
    assert before.to_dict() == kept
    assert "calibration" not in kept


def test_whitening_of_its_own_where_there_are_enough_trials(trials):
    before = form(unit="sd", std=1.0, whitening=(np.eye(3) * 1e5).tolist())
    found = calibrated(before, trials, to_whiten=True)
    matrix = whitening_matrix(noise_covariance(trials, [0] * 12))
    np.testing.assert_allclose(found.whitening, matrix)
    np.testing.assert_allclose(found.mean, (matrix @ trials).mean(axis=(0, 2)))
    assert found.calibration == {"trials": 12, "whitening": "own", "subject": None}
    many = [f"c{place}" for place in range(12)]
    wide = form(channel_names=many, unit="sd", std=1.0, whitening=(np.eye(12) * 1e5).tolist())
    few = calibrated(wide, np.tile(trials, (1, 4, 1)), to_whiten=True)
    assert (few.whitening, few.calibration["whitening"]) == (wide.whitening, "training")


def test_patterns_have_both_for_each_voxel():
    values = np.random.default_rng(0).standard_normal((9, 3)) * [1.0, 2.0, 3.0] + [1.0, 0.0, 5.0]
    before = form(num_timesteps=None, sampling_rate=None, unit="au", std=[1.0] * 3)
    found = calibrated(before, values, to_whiten=False)
    np.testing.assert_allclose(found.mean, values.mean(axis=0))
    np.testing.assert_allclose(found.std, values.std(axis=0))


def test_what_cannot_be_calibrated_on_is_refused(trials):
    with pytest.raises(InputError, match="7 trials are too few"):
        calibrated(form(), trials[:7], to_whiten=False)
    white = form(unit="sd", std=1.0, whitening=(np.eye(3) * 1e5).tolist())
    with pytest.raises(InputError, match=r"trials to calibrate on: the values are .* times as large"):
        calibrated(white, trials * 1e6, to_whiten=True)
    flat = trials.copy()
    flat[:, 1] = 1e-5
    with pytest.raises(InputError, match="O1 never change"):
        calibrated(form(), flat, to_whiten=False)


def test_the_processor_says_it_and_keeps_it(trained, simulated, tmp_path):
    recording = simulated / "sub-02" / "ses-01" / "raw_eeg_training.npy"
    found = trained.processor.calibrate(recording)
    assert found.feature_extractor.calibration == {"trials": 20, "whitening": "own", "subject": "sub-02"}
    assert trained.processor.feature_extractor.calibration is None
    found.save_pretrained(tmp_path)
    loaded = NeuroCLIPProcessor.from_pretrained(tmp_path)
    assert loaded.feature_extractor.to_dict() == found.feature_extractor.to_dict()


def test_a_damaged_statement_is_refused():
    with pytest.raises(InputError, match="calibration of the brain side is 'yes'"):
        form(calibration="yes")
