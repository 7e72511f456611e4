"""Every kind of input becomes the same trials."""

from dataclasses import replace

import mne
import numpy as np
import pytest

from neuroclip_hf import BrainFeatureExtractor, InputError
from neuroclip_hf.data.recordings import find_recordings, open_recording
from neuroclip_hf.processing.inputs import read_trials


@pytest.fixture(scope="module")
def form(trained):
    return trained.processor.feature_extractor


@pytest.fixture(scope="module")
def path(simulated):
    return simulated / "sub-01" / "ses-01" / "raw_eeg_test.npy"


@pytest.fixture(scope="module")
def raw(path):
    """The same recording as somebody would have it in MNE: with annotations."""
    opened = open_recording(find_recordings([path])[0])
    codes, names = opened.events["name"].factorize()
    raw, samples = opened.raw.copy().load_data(), opened.events["sample"].to_numpy()
    events = np.column_stack([samples, np.zeros_like(samples), codes + 1])
    described = dict(enumerate(names, start=1))
    annotations = mne.annotations_from_events(events, raw.info["sfreq"], described)
    return raw.set_annotations(annotations).pick("eeg")


def epochs_of(raw, tmin=-0.2, tmax=0.6, baseline=(-0.2, 0.0)):
    events, ids = mne.events_from_annotations(raw, verbose="ERROR")
    return mne.Epochs(raw, events, ids, tmin, tmax, baseline=baseline, preload=True, verbose="ERROR")


def array_of(epochs):
    names = {code: name for name, code in epochs.event_id.items()}
    return {
        "values": epochs.get_data(copy=True) * 1e6,
        "channel_names": [f"EEG {name}-REF" for name in epochs.ch_names],
        "sampling_rate": epochs.info["sfreq"],
        "unit": "uV",
        "window_start": epochs.tmin,
        "names": [names[code] for code in epochs.events[:, 2]],
    }


@pytest.fixture(scope="module")
def expected(path, form):
    return read_trials(path, form)


def check(found, expected):
    assert found.names == expected.names
    assert found.values.dtype == np.float32
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-4, atol=1e-4)  # standard deviations


def test_a_recording_in_memory_is_not_changed(raw, form, expected):
    before = raw.annotations.copy()
    found = read_trials(raw, form)
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.names == expected.names
    assert (found.subject, expected.subject) == ("", "sub-01")
    assert raw.annotations == before
    assert found.notes == [
        "resampled from 100 to 50 Hz",
        "whitened with the noise covariance of the training sessions",
    ]
    marked = raw.copy()
    marked.annotations.rename({name: f"badge/{name}" for name in set(marked.annotations.description)})
    before = marked.annotations.copy()
    assert read_trials(marked, form).names == [f"badge/{name}" for name in expected.names]
    assert marked.annotations == before


@pytest.mark.parametrize(
    "cut",
    [
        {},
        {"baseline": None},
        {"tmin": -0.5, "tmax": 0.9, "baseline": None},
        {"tmin": -0.3, "baseline": (-0.1, 0.0)},
    ],
)
def test_epochs_however_they_were_cut(raw, form, expected, cut):
    check(read_trials(epochs_of(raw, **cut), form), expected)


def test_epochs_that_are_not_loaded_are_dropped_first(raw, form, expected):
    events, ids = mne.events_from_annotations(raw, verbose="ERROR")
    marked = raw.copy()
    marked.annotations.append(events[1, 0] / raw.info["sfreq"], 0.1, "bad moment")
    lazy, eager = (
        mne.Epochs(marked, events, ids, -0.2, 0.6, preload=preload, verbose="ERROR") for preload in (False, True)
    )
    kept = eager.selection
    assert 0 < len(kept) < len(expected.names)
    names = [expected.names[row] for row in kept]
    check(read_trials(lazy, form), replace(expected, names=names, values=expected.values[kept]))


def test_arrays_and_mappings(raw, form, expected):
    arrays = array_of(epochs_of(raw))
    check(read_trials(arrays, form), expected)
    values = arrays.pop("values")
    check(read_trials(values, form, **arrays, subject="sub-07"), expected)
    nameless = read_trials(values, form, **{**arrays, "names": None})
    assert nameless.names is None
    assert len(read_trials(values[0], form, **{**arrays, "names": ["a"]}).values) == 1


def test_files_of_epochs_and_arrays(raw, form, expected, tmp_path):
    epochs = epochs_of(raw)
    epochs.save(tmp_path / "a-epo.fif", verbose="ERROR")
    check(read_trials(tmp_path / "a-epo.fif", form), expected)
    arrays = array_of(epochs)
    values, names = arrays.pop("values"), arrays.pop("names")
    np.save(tmp_path / "a.npy", values)
    check(read_trials(str(tmp_path / "a.npy"), form, **arrays, names=names), expected)
    files, rows = np.unique(names, return_inverse=True)
    del arrays["window_start"]
    inside = values[..., 20:80]
    np.savez(tmp_path / "a.npz", brain=inside, image_files=files, image_id=rows, subject="sub-02", **arrays)
    found = read_trials(tmp_path / "a.npz", form, window_start=0.0)
    assert (found.names, found.subject) == (names, "sub-02")
    assert "lies outside" in found.notes[-3]


def test_missing_and_bad_electrodes_are_interpolated_where_asked(raw, form):
    for broken, message in (
        (raw.copy().drop_channels(["O1"]), "channels O1 are missing"),
        (raw.copy(), "O1 are marked bad"),
    ):
        if "O1" in broken.ch_names:
            broken.info["bads"] = ["O1"]
        found = []
        for trials in (broken, epochs_of(broken)):
            with pytest.raises(InputError, match=message):
                read_trials(trials, form)
            found.append(read_trials(trials, form, interpolate=True))
        assert "interpolated from 4 electrodes: O1" in found[0].notes
        np.testing.assert_allclose(found[0].values, found[1].values, atol=1e-4)


def test_a_recording_in_another_unit_is_refused(raw, form):
    scaled = raw.copy().apply_function(lambda values: values * 1e6)
    for trials in (scaled, epochs_of(scaled)):
        with pytest.raises(InputError, match="times as large as those of the training trials"):
            read_trials(trials, form)


@pytest.mark.parametrize(
    ("trials", "settings", "message"),
    [
        ("none.fif", {}, "none.fif does not exist"),
        (object(), {}, "The trials are a object: give mne"),
        (None, {}, "The trials are a NoneType"),
        (np.zeros((2, 4, 30)), {}, "without channel_names, sampling_rate, unit"),
        ({"brain": 1}, {}, "mapping of trials holds 'brain'"),
        ({"names": ["a"]}, {}, "mapping of trials lacks 'values'"),
        (
            np.zeros((0, 4, 30)),
            {"channel_names": list("abcd"), "sampling_rate": 50.0, "unit": "V"},
            "There are 0 trials",
        ),
        (
            np.zeros((2, 4, 30)),
            {"channel_names": list("abcd"), "sampling_rate": 50.0, "unit": "V", "names": ["a"]},
            "There are 2 trials and 1 names",
        ),
    ],
)
def test_what_holds_no_trials_is_refused(form, trials, settings, message):
    with pytest.raises(InputError, match=message):
        read_trials(trials, form, **settings)


def test_recordings_and_epochs_that_do_not_fit(raw, form, tmp_path):
    np.save(tmp_path / "a.npy", {"a": 1}, allow_pickle=True)
    (tmp_path / "b-epo.fif").write_bytes(b"no epochs")
    late = epochs_of(raw, tmin=0.0, baseline=None)
    nothing = epochs_of(raw)[:0]
    for trials, message in (
        (raw.copy().set_annotations(None), "holds no event"),
        (raw.copy().rename_channels(lambda name: f"X{name}"), "channels P7, O1, Oz, O2 are missing"),
        (epochs_of(raw).rename_channels(lambda name: f"X{name}"), "none of the checkpoint's channels"),
        (late, "begin at 0 s without a baseline"),
        (nothing, "No epoch is left"),
        (epochs_of(raw, tmax=0.3), "reach from -0.2 to 0.31 s"),
        (epochs_of(raw).resample(40), "40 Hz, less than the 50 Hz"),
        (tmp_path / "a.npy", "no array of numbers"),
        (tmp_path / "b-epo.fif", "cannot be read as epochs"),
    ):
        with pytest.raises(InputError, match=message):
            read_trials(trials, form)
    with pytest.raises(InputError, match="unit was given for a recording"):
        read_trials(raw, form, unit="V")


def test_patterns_come_with_their_voxels():
    voxels = [f"v{place}" for place in range(5)]
    form = BrainFeatureExtractor(voxels, unit="au", mean=[3.0] * 5, std=[1.0] * 5)
    values = np.random.default_rng(0).standard_normal((4, 5)) + 3
    found = read_trials(values[:, ::-1], form, channel_names=voxels[::-1])
    np.testing.assert_allclose(found.values, values.astype(np.float32))
    assert not replace(found, notes=[]).to_whiten
    with pytest.raises(InputError, match="without channel_names"):
        read_trials(values, form)
    with pytest.raises(InputError, match="channels v0 are missing"):
        read_trials(values, form, channel_names=["V0", *voxels[1:]])
