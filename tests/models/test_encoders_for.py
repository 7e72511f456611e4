"""Encoders that fit a store's trials, and why the others do not."""

from neuroclip_hf.models.encoders.base import TrialFacts
from neuroclip_hf.models.registry import ENCODERS, encoders_for

EEG = [f"C{number}" for number in range(17)]


def facts(shape, rate):
    return TrialFacts(shape, rate, EEG if len(shape) == 2 else ["v"] * shape[0], 1)


def test_long_trials_of_eeg_fit_every_encoder_but_those_of_braindecode():
    fitting, others = encoders_for(facts((17, 250), 250.0))
    of_recordings = [name for name, (_, encoder) in ENCODERS.items() if encoder.main_input_name == "eeg_values"]
    assert fitting == [name for name in of_recordings if name != "braindecode"]
    assert set(others) == set(ENCODERS) - set(of_recordings)
    assert "reads patterns of (voxels,)" in others["ridge"]


def test_short_trials_leave_out_what_pools_over_more_samples():
    fitting, others = encoders_for(facts((17, 100), 100.0))
    assert "eeg_project" in fitting
    assert "at least 114 samples" in others["eeg_conformer"]
    assert not set(fitting) & set(others)


def test_patterns_of_voxels_fit_no_encoder_of_eeg():
    fitting, others = encoders_for(facts((40,), None))
    assert "eeg_project" not in fitting
    assert "patterns of 40 voxels" in others["eeg_project"]
