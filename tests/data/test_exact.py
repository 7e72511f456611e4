"""The fast ways against the plain, slow reference: every number of a whitened epoch, and the order of them."""

from collections import defaultdict
from pathlib import Path

import mne
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroclip_hf import columns
from neuroclip_hf.data import cutting, finishing
from neuroclip_hf.data.cutting import cut_epochs
from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.simulation import simulate_things_eeg2
from neuroclip_hf.data.sources.things_eeg2 import prepare_things_eeg2
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_writer import StoreWriter
from neuroclip_hf.data.things_eeg2 import read_image_metadata
from neuroclip_hf.data.whitening import NoiseCovariance, noise_covariance

CHANNELS = ("Fp1", "P7", "Pz", "PO3", "O1", "O2")
SIMULATION = {
    "subjects": (1,),
    "concepts": 6,
    "images_per_concept": 2,
    "train_repeats": 6,
    "test_concepts": 3,
    "test_repeats": 44,
    "sessions": 2,
    "sampling_rate": 500,
    "channels": CHANNELS,
    "image_size": 16,
}
SESSIONS = (1, 2)


def difference(found, expected) -> float:
    """The largest difference, relative to the largest number."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def make_raw(seed, num_channels, num_samples, rate, first_samp=0, kinds="eeg"):
    generator = np.random.default_rng(seed)
    values = 1e-5 * generator.standard_normal((num_channels, num_samples))
    values += 1e-5 * values.cumsum(axis=1) + 1e-3 * generator.standard_normal((num_channels, 1))  # drift and offset
    info = mne.create_info(num_channels, rate, kinds, verbose="ERROR")
    return mne.io.RawArray(values, info, first_samp=first_samp, verbose="ERROR")


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("exact") / "raw"
    simulate_things_eeg2(path, **SIMULATION)
    return path


@pytest.fixture(scope="module")
def sessions(source, reference):
    return {session: reference.session(source / "sub-01" / f"ses-{session:02d}", CHANNELS) for session in SESSIONS}


@pytest.fixture(scope="module")
def prepared(source, tmp_path_factory):
    """The store, and what was written to it before it became float16: (session, split, sample) -> picture, epoch."""
    written = {}
    add_trials = StoreWriter.add_trials

    def remember(self, subject, split, values, rows, origin):
        for row, epoch in zip(rows, values, strict=True):
            key = (row[columns.SESSION], split, row[columns.SAMPLE])
            written[key] = (row[columns.IMAGE_ID], np.array(epoch))
        return add_trials(self, subject, split, values, rows, origin)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StoreWriter, "add_trials", remember)
        path = prepare_things_eeg2(source, tmp_path_factory.mktemp("store") / "store", channels=CHANNELS)
    return TrialStore(path), written


def test_whitened_epochs_are_those_of_the_reference_in_float64(prepared, sessions, source):
    _, written = prepared
    metadata = read_image_metadata(source)
    expected = {
        (session, split, sample): (metadata.image_id(split, code), epoch)
        for session, splits in sessions.items()
        for split, pictures in splits.items()
        for code, samples, epochs in pictures
        for sample, epoch in zip(samples, epochs, strict=True)
    }
    assert written.keys() == expected.keys()
    assert len(expected) == 2 * (6 * 2 + 3 * 20)  # of 6 and 22 repeats in a session
    assert {key: name for key, (name, _) in written.items()} == {key: name for key, (name, _) in expected.items()}
    assert {epoch.dtype for _, epoch in written.values()} == {np.dtype(np.float64)}
    assert max(difference(written[key][1], epoch) for key, (_, epoch) in expected.items()) < 1e-9


def test_the_store_holds_them_to_the_precision_of_float16(prepared, sessions):
    store, _ = prepared
    for session, splits in sessions.items():
        for split, pictures in splits.items():
            for _, samples, epochs in pictures:
                trials = store.trials.iloc[store.select(split)]
                trials = trials[trials[columns.SESSION] == session].reset_index().set_index(columns.SAMPLE)
                stored = store.read(trials.loc[samples, "index"].to_numpy())
                np.testing.assert_allclose(stored, epochs, rtol=2e-3, atol=2e-3)


def test_merged_sessions_have_their_repeats_in_the_order_of_the_shuffle(sessions, tmp_path):
    """What NICE's container holds, made by the simulator from the same recordings by the same functions."""
    simulate_things_eeg2(tmp_path / "nice", format="nice", **SIMULATION)
    for split, file in (("train", "preprocessed_eeg_training.npy"), ("test", "preprocessed_eeg_test.npy")):
        merged = np.load(tmp_path / "nice" / "sub-01" / file, allow_pickle=True)["preprocessed_eeg_data"]
        expected = defaultdict(list)
        for session in SESSIONS:
            for code, _, epochs in sessions[session][split]:
                expected[code].extend(epochs)
        assert merged.dtype == np.float64
        assert difference(merged, np.array([expected[code] for code in sorted(expected)])) < 1e-9


@settings(max_examples=40)
@given(
    data=st.data(),
    rate=st.sampled_from([100.0, 128.0, 250.0, 512.0, 1000.0, 1000 / 3]),
    new_rate=st.sampled_from([None, 50.0, 64.0, 100.0, 97.3, 250.0]),
    num_channels=st.integers(1, 5),
    first_samp=st.sampled_from([0, 1234]),
    seed=st.integers(0, 1000),
)
def test_cutting_and_resampling_are_those_of_mne(reference, data, rate, new_rate, num_channels, first_samp, seed):
    new_rate = None if new_rate is None else min(new_rate, rate)
    start = data.draw(st.floats(-0.3, 0.3), label="start")
    window = (start, start + data.draw(st.floats(0.15, 0.9), label="length"))
    begin = data.draw(st.floats(-0.4, 0.2), label="baseline")
    baseline = data.draw(st.sampled_from([None, (begin, begin + 0.2)]), label="with baseline")
    raw = make_raw(seed, num_channels, round(6 * rate), rate, first_samp)
    marks = data.draw(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 0.4)), max_size=2), label="annotations")
    if marks:
        raw.set_annotations(mne.Annotations(*zip(*marks, strict=True), ["BAD_blink", "good"][: len(marks)]))
    times = data.draw(st.lists(st.integers(-5, raw.n_times + 5), min_size=1, max_size=12, unique=True), label="onsets")
    samples = np.sort(times)
    channels = data.draw(st.permutations(raw.ch_names), label="channels")
    how = EpochSettings(window=window, baseline=baseline, sampling_rate=new_rate)
    parts = list(cut_epochs(raw, samples, how, channels))
    rows, expected = reference.cut(raw, samples, channels, window, baseline, new_rate)
    assert [row for kept, _ in parts for row in kept] == list(rows)
    if len(rows):
        values = np.concatenate([values for _, values in parts])
        # An offset is lost to rounding before it is subtracted, in either way: 1e-16 of it is left in what remains.
        offset = np.abs(raw.get_data()).max() * 1e-15
        assert np.abs(values - expected).max() < 1e-11 * np.abs(expected).max() + offset


@pytest.mark.parametrize("rate", [None, 100.0])
def test_bad_channels_are_not_asked_and_projectors_are_applied(reference, rate):
    raw = make_raw(3, 4, 3000, 500.0)
    raw._data[2, 1000:1010] += 1.0
    raw._data[1, 2000:2010] += 1.0
    raw.info["bads"] = ["2"]
    raw.set_eeg_reference(projection=True, verbose="ERROR")
    samples, channels = np.array([300, 1000, 1500, 2000]), ["3", "1", "2"]
    how = EpochSettings(window=(0.0, 0.4), sampling_rate=rate, reject=0.5)
    parts = list(cut_epochs(raw, samples, how, channels))
    rows, expected = reference.cut(raw, samples, channels, how.window, how.baseline, rate, {"eeg": 0.5})
    assert parts[0][0].tolist() == rows.tolist() == [0, 1, 2]
    assert difference(parts[0][1], expected) < 1e-11


def test_epochs_too_long_for_a_matrix_go_to_mne(reference, monkeypatch):
    raw, samples = make_raw(0, 3, 3000, 500.0), np.array([500, 900, 1600])
    ways = []
    for largest in (finishing.LARGEST_MAP, 0):
        monkeypatch.setattr(finishing, "LARGEST_MAP", largest)
        ways.append(next(cut_epochs(raw, samples, EpochSettings(sampling_rate=125.0), raw.ch_names))[1])
    _, expected = reference.cut(raw, samples, raw.ch_names, rate=125.0)
    np.testing.assert_array_equal(ways[1], expected)
    assert 0 < difference(ways[0], expected) < 1e-11  # another way, the same numbers


@pytest.mark.parametrize("block_bytes", [1, 50_000])
def test_numbers_do_not_depend_on_the_size_of_blocks(monkeypatch, block_bytes):
    raw, samples = make_raw(0, 3, 3000, 500.0), 200 + 130 * np.arange(16)
    whole = np.concatenate([part for _, part in cut_epochs(raw, samples, EpochSettings(), raw.ch_names)])
    monkeypatch.setattr(cutting, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(cutting, "CHUNK", 5)
    chunks = list(cut_epochs(raw, samples[::-1], EpochSettings(), raw.ch_names))
    assert [len(kept) for kept, _ in chunks] == [5, 5, 5, 1]
    np.testing.assert_array_equal(np.concatenate([part for _, part in chunks])[::-1], whole)


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 9), st.integers(2, 60)),
    scales=st.sampled_from([(1e-6, 1e-5), (1.0, 1.0), (1e-13, 1e-9)]),
    offset=st.sampled_from([0.0, 3.0]),
    flat=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_covariance_is_scikit_learns(reference, shape, scales, offset, flat, seed):
    generator = np.random.default_rng(seed)
    factors = generator.uniform(*scales, shape[1])
    mixing = np.eye(shape[1]) + 0.3 * generator.standard_normal((shape[1], shape[1]))
    epochs = (mixing @ generator.standard_normal(shape) + offset) * factors[:, None]
    if flat and shape[1] > 1:
        epochs[0, 0] = 0.0
    conditions = generator.integers(0, 5, shape[0])
    groups = [epochs[conditions == condition] for condition in np.unique(conditions)]
    expected = reference_covariance(reference, groups)
    found = noise_covariance(epochs, conditions.tolist())
    deviation = np.sqrt(np.maximum(np.diag(expected), np.finfo(float).tiny))
    assert (np.abs(found - expected) <= 1e-12 * np.outer(deviation, deviation) * (1 + offset**2)).all()
    cuts = np.sort(generator.integers(0, shape[0] + 1, 3))
    collected = NoiseCovariance()
    for rows in np.split(np.arange(shape[0]), cuts):
        collected.add(epochs[rows], conditions[rows].tolist())
    np.testing.assert_array_equal(collected.result(), found)


def reference_covariance(reference, groups):
    """The reference's; a flat channel, which scikit-learn leaves at scale one, has no variance."""
    found = []
    for epochs in groups:
        found.append(
            np.mean([reference.covariance(epoch) * np.outer(*[epoch.any(axis=1)] * 2) for epoch in epochs], axis=0)
        )
    return np.mean(found, axis=0)
