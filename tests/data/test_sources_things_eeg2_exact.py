"""What the numbers of a store must not depend on, and what they must be to the last bit of float16."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power

from neuroclip_hf import columns
from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data import things_eeg2
from neuroclip_hf.data.simulation import simulate_things_eeg2
from neuroclip_hf.data.simulation.formats.pickles import write_object
from neuroclip_hf.data.sources.things_eeg2 import prepare_things_eeg2
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError

CHANNELS = ["P7", "Pz", "O1", "O2"]
SUBJECTS = (1, 2, 3)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("simulated") / "data"
    simulate_things_eeg2(
        path,
        subjects=SUBJECTS,
        concepts=6,
        images_per_concept=2,
        train_repeats=2,
        test_concepts=3,
        test_repeats=4,
        sessions=2,
        sampling_rate=500,
        channels=CHANNELS,
        image_size=16,
    )
    return path


@pytest.fixture(scope="module")
def store(source, tmp_path_factory) -> TrialStore:
    return TrialStore(prepare_things_eeg2(source, tmp_path_factory.mktemp("store") / "store", channels=CHANNELS))


@pytest.fixture
def copied(source, tmp_path) -> Path:
    return Path(shutil.copytree(source, tmp_path / "data"))


@pytest.fixture(scope="module")
def plain_epochs(reference, source):
    """Samples, codes and epochs in float64 by MNE alone."""

    def cut(subject: int, session: int, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        raw = reference.read(things_eeg2.raw_path(source, subject, session, split))
        samples, codes = reference.picture_events(raw)
        return samples, codes, reference.cut(raw, samples, CHANNELS)[1]

    return cut


@pytest.fixture(scope="module")
def plain_covariance(reference, plain_epochs):
    """The noise covariance of a session's training epochs by scikit-learn alone."""

    def estimate(subject: int, session: int) -> np.ndarray:
        _, codes, values = plain_epochs(subject, session, TRAIN)
        return reference.session_covariance([values[codes == code] for code in np.unique(codes)])

    return estimate


def stored(store: TrialStore, subject: int, session: int, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Samples of the trials of a session, and what the file holds of them."""
    rows = store.trials.iloc[store.select(split, [str(subject)])]
    rows = rows[rows[columns.SESSION] == session]
    array = np.load(store.path / f"sub-{subject:02d}" / f"{split}.npy")
    return rows[columns.SAMPLE].to_numpy(), array[rows[columns.ROW].to_numpy()]


def rewrite(path: Path, change) -> None:
    content = np.load(path, allow_pickle=True).item()
    change(content)
    write_object(path, content)


def test_float16_is_rounded_from_float64(plain_epochs, plain_covariance, store):
    for session in (1, 2):
        matrix = fractional_matrix_power(plain_covariance(3, session), -0.5)
        for split in (TRAIN, TEST):
            samples, _, values = plain_epochs(3, session, split)
            found, array = stored(store, 3, session, split)
            assert found.tolist() == samples.tolist()
            # Rounded to float32 on the way, a few numbers would round to the other side.
            np.testing.assert_array_equal(array, (matrix @ values).astype(np.float16))


def test_garbage_in_the_test_files_moves_no_training_trial(source, store, copied, tmp_path):
    for subject in SUBJECTS:
        for session in (1, 2):

            def spoil(content):
                data = content["raw_eeg_data"]
                data[:-1] = np.random.default_rng(1).standard_normal(data[:-1].shape) * 3e-3

            rewrite(things_eeg2.raw_path(copied, subject, session, TEST), spoil)
    for whitening in ("session", "training-subjects"):
        clean, spoilt = (
            TrialStore(
                prepare_things_eeg2(path, tmp_path / f"{name}-{whitening}", channels=CHANNELS, whitening=whitening)
            )
            for name, path in (("clean", source), ("spoilt", copied))
        )
        for subject in clean.subjects:
            for name in ("train.npy", "covariance.npy"):
                assert (clean.path / subject / name).read_bytes() == (spoilt.path / subject / name).read_bytes()
            test = f"{subject}/test.npy"
            assert clean.info.checksums[test] != spoilt.info.checksums[test]


def test_each_subject_is_whitened_by_the_others(source, plain_epochs, plain_covariance, tmp_path):
    options = {"channels": CHANNELS, "whitening": "training-subjects"}
    store = TrialStore(prepare_things_eeg2(source, tmp_path / "store", **options))
    own = {subject: np.mean([plain_covariance(subject, one) for one in (1, 2)], 0) for subject in SUBJECTS}
    for subject in SUBJECTS:
        matrix = fractional_matrix_power(np.mean([own[other] for other in SUBJECTS if other != subject], 0), -0.5)
        for split in (TRAIN, TEST):
            _, _, values = plain_epochs(subject, 2, split)
            found = stored(store, subject, 2, split)[1].astype(np.float64)
            np.testing.assert_allclose(found, matrix @ values, rtol=6e-4, atol=1e-6)
        kept = store.covariances([f"sub-{subject:02d}"])
        np.testing.assert_allclose(kept.mean(axis=0), own[subject], rtol=1e-9)
    assert store.info.whitening_fit.startswith("training epochs of all sessions of the other subjects of this store")
    assert store.info.settings["whitening"] == "training-subjects"
    assert store.info.unit == "sd"


def test_a_subject_alone_has_nobody_to_be_whitened_by(source, tmp_path):
    message = "'training-subjects', which whitens a subject by the other subjects .* only subject 2: name more"
    with pytest.raises(InputError, match=message):
        prepare_things_eeg2(source, tmp_path / "store", channels=CHANNELS, subjects=[2], whitening="training-subjects")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_session_is_an_error_or_a_warning(copied, tmp_path):
    shutil.rmtree(copied / "sub-02" / "ses-02")
    with pytest.raises(InputError, match=r"sub-02/ses-02/raw_eeg_training.npy is missing: .*--allow-missing"):
        prepare_things_eeg2(copied, tmp_path / "store", channels=CHANNELS)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    store = TrialStore(prepare_things_eeg2(copied, tmp_path / "store", channels=CHANNELS, allow_missing=True))
    assert store.info.warnings[:2] == [
        "sub-02/ses-02/raw_eeg_training.npy is missing.",
        "sub-02/ses-02/raw_eeg_test.npy is missing.",
    ]
    assert store.info.warnings[2].startswith(
        "sub-02: 6 of 12 train pictures were shown less often than the others (0 "
    )
    assert set(store.trials[columns.SESSION][store.select(TRAIN, ["2"])]) == {1}
    assert store.covariances(["sub-02"]).shape == (1, 4, 4)
    assert store.covariances(["sub-01"]).shape == (2, 4, 4)


def test_a_session_that_nobody_has_is_seen_from_the_pictures(copied, tmp_path):
    for subject in SUBJECTS:
        shutil.rmtree(copied / f"sub-{subject:02d}" / "ses-02")
    message = (
        r"sub-01: 6 of 12 train pictures were shown less often .*: 12 showings \(stimulus codes or a session\) are "
        "missing: get it"
    )
    with pytest.raises(InputError, match=message):
        prepare_things_eeg2(copied, tmp_path / "store", channels=CHANNELS)
    made = prepare_things_eeg2(copied, tmp_path / "store", channels=CHANNELS, allow_missing=True)
    assert len(TrialStore(made).info.warnings) == 3


def test_missing_recordings_of_one_split(copied, tmp_path):
    options = {"channels": CHANNELS, "allow_missing": True, "subjects": [1, 2]}
    things_eeg2.raw_path(copied, 1, 2, TRAIN).unlink()
    things_eeg2.raw_path(copied, 2, 1, TEST).unlink()
    store = TrialStore(prepare_things_eeg2(copied, tmp_path / "store", **options))
    assert set(store.trials[columns.SESSION][store.select(TEST, ["1"])]) == {1}  # nothing to whiten the other by
    assert set(store.trials[columns.SESSION][store.select(TEST, ["2"])]) == {2}
    assert set(store.trials[columns.SESSION][store.select(TRAIN, ["2"])]) == {1, 2}
    assert "sub-01/ses-02: its test recording was left out: without training epochs nothing whitens it." in (
        store.info.warnings
    )
    plain = TrialStore(prepare_things_eeg2(copied, tmp_path / "plain", whitening="none", **options))
    assert set(plain.trials[columns.SESSION][plain.select(TEST, ["1"])]) == {1, 2}
    things_eeg2.raw_path(copied, 1, 1, TRAIN).unlink()
    with pytest.raises(InputError, match="subject 1 has no training recording: leave it out with --subjects"):
        prepare_things_eeg2(copied, tmp_path / "none", **options)


@pytest.mark.parametrize(("split", "word"), [(TRAIN, "train"), (TEST, "test")])
def test_too_few_stimulus_codes_are_an_error_or_a_warning(copied, tmp_path, split, word):
    def cut(content):
        codes = content["raw_eeg_data"][-1]
        codes[np.flatnonzero(codes)[-3:]] = 0

    rewrite(things_eeg2.raw_path(copied, 2, 1, split), cut)
    options = {"channels": CHANNELS, "subjects": [2]}
    message = rf"sub-02/ses-01/raw_eeg_\w+\.npy: \d of \d+ {word} pictures were shown less often"
    with pytest.raises(InputError, match=message):
        prepare_things_eeg2(copied, tmp_path / "store", **options)
    store = TrialStore(prepare_things_eeg2(copied, tmp_path / "store", allow_missing=True, **options))
    assert any(f"{word} pictures were shown less often" in warning for warning in store.info.warnings)


@pytest.mark.parametrize(
    ("split", "lost", "message"),
    [
        (TRAIN, 1, r"ses-01/raw_eeg_training\.npy: 1 of 4 train pictures .*2 times instead of 3.*: 1 stimulus codes"),
        (TEST, 1, r"ses-01/raw_eeg_test\.npy: 1 of 2 test pictures .*21 times instead of 22.*: 1 stimulus codes"),
        (TEST, 2, r"sub-01/ses-01: test pictures were shown 21 times, and 22 times in other sessions"),
    ],
)
def test_lost_codes_are_told_where_enough_repeats_remain(tmp_path, split, lost, message):
    source = tmp_path / "data"
    sizes = {"concepts": 4, "images_per_concept": 2, "train_repeats": 3, "test_concepts": 2, "test_repeats": 44}
    simulate_things_eeg2(
        source, subjects=(1,), sessions=2, sampling_rate=250, channels=CHANNELS, image_size=16,
        **sizes,
    )  # fmt: skip

    def lose(content):
        codes = content["raw_eeg_data"][-1]
        for code in sorted(set(codes) - {0, 99999})[:lost]:
            codes[np.flatnonzero(codes == code)[0]] = 0

    rewrite(things_eeg2.raw_path(source, 1, 1, split), lose)
    with pytest.raises(InputError, match=message):
        prepare_things_eeg2(source, tmp_path / "store", channels=CHANNELS)
    store = TrialStore(prepare_things_eeg2(source, tmp_path / "store", channels=CHANNELS, allow_missing=True))
    (warning,) = store.info.warnings
    assert re.search(message, warning)
    counts = store.trials.groupby([columns.SPLIT, columns.IMAGE_ID]).size()
    assert set(counts[TRAIN]) == {2}
    assert set(counts[TEST]) == {40}


def test_pictures_that_were_shown_more_often_are_no_fault(copied, tmp_path):
    def add(content):
        codes = content["raw_eeg_data"][-1]
        onsets = np.flatnonzero(codes)
        codes[onsets[-1] - 40] = codes[onsets[0]]

    rewrite(things_eeg2.raw_path(copied, 1, 1, TRAIN), add)
    store = TrialStore(prepare_things_eeg2(copied, tmp_path / "store", channels=CHANNELS, subjects=[1]))
    assert store.info.warnings == []


def test_recordings_without_codes_are_named(copied, tmp_path):
    def erase(content):
        content["raw_eeg_data"][-1] = 0

    rewrite(things_eeg2.raw_path(copied, 1, 1, TEST), erase)
    with pytest.raises(
        InputError, match=r"sub-01/ses-01/raw_eeg_test.npy shows no picture: it holds no stimulus code"
    ):
        prepare_things_eeg2(copied, tmp_path / "store", channels=CHANNELS, subjects=[1])
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_epoch_that_reaches_over_the_end_is_a_warning(copied, tmp_path):
    def cut(content):
        data = content["raw_eeg_data"]
        content["raw_eeg_data"] = data[:, : np.flatnonzero(data[-1])[-1] + 450].copy()

    rewrite(things_eeg2.raw_path(copied, 1, 2, TRAIN), cut)
    store = TrialStore(prepare_things_eeg2(copied, tmp_path / "store", channels=CHANNELS, subjects=[1]))
    (warning,) = store.info.warnings
    assert warning.startswith("sub-01/ses-02/raw_eeg_training.npy: 1 of 12 epochs were left out: they reach over")
