"""`prepare things-eeg2` on a small simulated dataset, step by step against MNE and scikit-learn."""

import shutil
from collections import Counter
from pathlib import Path

import mne
import numpy as np
import pytest
from PIL import Image
from sklearn.utils import shuffle

from neuroclip_hf import columns
from neuroclip_hf.data import things_eeg2
from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.simulated import SIMULATION_FILE
from neuroclip_hf.data.simulation import simulate_things_eeg2
from neuroclip_hf.data.simulation.formats import FORMATS
from neuroclip_hf.data.sources import recorded, spilled
from neuroclip_hf.data.sources.things_eeg2 import prepare_things_eeg2
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.things_eeg2 import FACTS
from neuroclip_hf.data.whitening import noise_covariance, whitening_matrix
from neuroclip_hf.errors import InputError

CHANNELS = ("Fp1", "P7", "Pz", "O1", "O2")
OCCIPITAL = ["P7", "Pz", "O1", "O2"]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Two subjects, two sessions, 5 training concepts with 2 pictures, 3 test concepts."""
    path = tmp_path_factory.mktemp("simulated") / "data"
    simulate_things_eeg2(
        path,
        subjects=(1, 2),
        concepts=5,
        images_per_concept=2,
        train_repeats=3,
        test_concepts=3,
        test_repeats=4,
        sessions=2,
        sampling_rate=500,
        channels=CHANNELS,
        image_size=32,
    )
    return path


@pytest.fixture(scope="module")
def store(source: Path, tmp_path_factory) -> TrialStore:
    return TrialStore(prepare_things_eeg2(source, tmp_path_factory.mktemp("store") / "store", channels=OCCIPITAL))


@pytest.fixture
def copied(source: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(source, tmp_path / "data"))


def mne_epochs(source: Path, subject: int, session: int, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Epochs by MNE alone: their samples, codes and values, at 250 Hz from 0 to 1 s."""
    raw = things_eeg2.read_raw(things_eeg2.raw_path(source, subject, session, split))
    samples, codes = things_eeg2.read_events(raw)
    events = np.column_stack([samples, np.zeros_like(samples), codes])
    epochs = mne.Epochs(
        raw, events, tmin=-0.2, tmax=1.0, baseline=(None, 0), preload=True, picks=OCCIPITAL, verbose=False
    )
    epochs = epochs.resample(250)
    return epochs.events[:, 0], epochs.events[:, 2], epochs.get_data(copy=True)[..., 50:300]


def test_the_store_says_what_it_holds(store: TrialStore):
    info = store.info
    assert (info.data, info.source, info.protocol, info.target) == (
        "simulated",
        "things-eeg2",
        "new-concepts",
        "image",
    )
    assert (info.channels, info.unit, info.sampling_rate, info.num_timesteps) == (OCCIPITAL, "sd", 250.0, 250)
    assert store.subjects == ["sub-01", "sub-02"]
    assert len(store.gallery("train")) == 10
    assert len(store.gallery("test")) == 3
    assert store.covariances(["sub-01"]).shape == (2, 4, 4)
    assert len(info.sources) == 8 + 2
    assert "sub-01/ses-01/raw_eeg_training.npy" in info.sources


def test_at_most_two_training_repeats_of_a_session_are_used(store: TrialStore):
    train = store.trials.iloc[store.select("train", ["sub-01"])]
    assert set(Counter(zip(train[columns.IMAGE_ID], train[columns.SESSION], strict=True)).values()) == {2}
    test = store.trials.iloc[store.select("test", ["sub-01"])]
    assert set(Counter(zip(test[columns.IMAGE_ID], test[columns.SESSION], strict=True)).values()) == {2}
    assert sorted(test[columns.REPEAT]) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_repeats_are_chosen_by_the_datasets_seed(store: TrialStore, source: Path):
    samples, codes, _ = mne_epochs(source, 2, 1, "train")
    metadata = things_eeg2.read_image_metadata(source)
    train = store.trials.iloc[store.select("train", ["sub-02"])]
    for code in set(codes):
        mine = train[
            (train[columns.IMAGE_ID] == metadata.image_id("train", int(code))) & (train[columns.SESSION] == 1)
        ]
        expected = shuffle(samples[codes == code], random_state=FACTS.repeat_seed, n_samples=2)
        assert sorted(mine[columns.SAMPLE]) == sorted(expected)
    assert FACTS.repeat_seed == 20200220


def test_epochs_are_those_of_mne_whitened_by_training_epochs_of_the_session(store: TrialStore, source: Path):
    for session in (1, 2):
        matrix = None
        for split in ("train", "test"):
            samples, codes, values = mne_epochs(source, 1, session, split)
            chosen = store.trials.iloc[store.select(split, ["sub-01"])]
            chosen = chosen[chosen[columns.SESSION] == session]
            used = np.isin(samples, chosen[columns.SAMPLE])
            if matrix is None:
                matrix = whitening_matrix(noise_covariance(values[used], list(codes[used])))
            expected = np.einsum("dc,nct->ndt", matrix, values[used])
            assert len(expected) == len(chosen)
            np.testing.assert_allclose(store.read(chosen.index), expected, rtol=2e-3, atol=2e-3)
    white = store.read(store.select("train", ["sub-01"]))
    assert white.std(axis=2).mean() == pytest.approx(1.0, abs=0.15)


def test_without_whitening_the_store_holds_volts(source: Path, tmp_path: Path):
    made = prepare_things_eeg2(source, tmp_path / "store", subjects=["1"], channels=OCCIPITAL, whitening="none")
    store = TrialStore(made)
    assert (store.info.unit, store.info.scale, store.covariances()) == ("V", [1e-6] * 4, None)
    samples, _, values = mne_epochs(source, 1, 2, "test")
    test = store.trials.iloc[store.select("test")]
    test = test[test[columns.SESSION] == 2]
    np.testing.assert_allclose(
        store.read(test.index), values[np.isin(samples, test[columns.SAMPLE])], rtol=1e-3, atol=1e-8
    )


def test_test_epochs_do_not_change_the_whitening(source: Path, store: TrialStore, copied: Path, tmp_path: Path):
    for session in (1, 2):
        other = things_eeg2.raw_path(source, 2, session, "test")
        shutil.copy(other, things_eeg2.raw_path(copied, 1, session, "test"))
    changed = TrialStore(prepare_things_eeg2(copied, tmp_path / "store", subjects=[1], channels=OCCIPITAL))
    np.testing.assert_array_equal(changed.covariances(), store.covariances(["sub-01"]))
    rows = (changed.select("train"), store.select("train", ["sub-01"]))
    np.testing.assert_array_equal(changed.read(rows[0]), store.read(rows[1]))


def test_equal_input_gives_equal_bytes(source: Path, copied: Path, store: TrialStore, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(spilled, "BLOCK", 7)
    made = prepare_things_eeg2(copied, tmp_path / "store", channels=OCCIPITAL)
    files = [path.relative_to(made) for path in sorted(made.rglob("*")) if path.is_file()]
    assert [name for name in files if (made / name).read_bytes() != (store.path / name).read_bytes()] == []
    assert len(files) == len([path for path in store.path.rglob("*") if path.is_file()])


def test_captions_come_with_the_pictures_and_all_channels_are_those_of_the_file(source: Path, tmp_path: Path):
    made = prepare_things_eeg2(source, tmp_path / "store", subjects=[2, 2], channels=["all"], whitening="none")
    store = TrialStore(made)
    assert store.info.channels == list(CHANNELS)
    assert store.subjects == ["sub-02"]
    assert all(store.pictures[columns.CAPTION].str.len() > 5)


def test_a_training_recording_in_the_place_of_a_test_one_is_refused(copied: Path, tmp_path: Path):
    shutil.copy(things_eeg2.raw_path(copied, 1, 1, "train"), things_eeg2.raw_path(copied, 1, 1, "test"))
    with pytest.raises(InputError, match=r"has 3 test pictures and a recording shows number [0-9]+"):
        prepare_things_eeg2(copied, tmp_path / "store", subjects=[1], channels=OCCIPITAL)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subjects": [3]}, "data holds no subject 3; it holds 1, 2"),
        ({"subjects": ["one"]}, "subjects one: give numbers, as in 1,2"),
        ({"whitening": "epoch"}, "whitening is 'epoch': choose one of session, training-subjects, none"),
        (
            {"channels": ["occipital"]},
            r"raw_eeg_training\.npy has no channel P5, P3, .*; it has Fp1, P7, .*--channels",
        ),
        ({"epochs": EpochSettings(sampling_rate=1000.0)}, "has 500 Hz, less than the 1000 Hz asked for: lower --rate"),
        ({"epochs": EpochSettings(window=(0.0, 900.0))}, r"raw_eeg_training\.npy: no epoch fits into the recording"),
    ],
)
def test_impossible_settings_are_named(source: Path, tmp_path: Path, options, message: str):
    with pytest.raises(InputError, match=message):
        prepare_things_eeg2(source, tmp_path / "store", **{"channels": OCCIPITAL, **options})
    assert list(tmp_path.iterdir()) == []


def test_missing_and_damaged_files_are_named(copied: Path, tmp_path: Path):
    def refuse(message: str) -> None:
        with pytest.raises(InputError, match=message):
            prepare_things_eeg2(copied, tmp_path / "store", channels=OCCIPITAL)
        assert not (tmp_path / "store").exists()

    path = things_eeg2.raw_path(copied, 2, 2, "test")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refuse(r"sub-02/ses-02/raw_eeg_test\.npy")
    path.unlink()
    refuse(r"raw_eeg_test\.npy is missing: get it, leave the subject out with --subjects, or .* --allow-missing")


def bomb(path: Path) -> None:
    Image.new("1", (9000, 9000)).save(path, "PNG")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "cannot be read as a picture"),
        (lambda path: path.write_bytes(b"GIF89a, no more"), "cannot be read as a picture"),
        (lambda path: path.write_bytes(b""), "cannot be read as a picture"),
        (bomb, "has 9000 x 9000 pixels, more than the 64,000,000 that are opened: make it smaller"),
        (lambda path: path.unlink(), "is missing: put test_images there, or name their folder with --pictures"),
    ],
)
def test_pictures_are_looked_at_before_any_trial(copied: Path, tmp_path: Path, monkeypatch, spoil, message: str):
    started = []
    monkeypatch.setattr(recorded, "cut_epochs", lambda *arguments: started.append(arguments))
    picture = sorted((copied / "test_images").rglob("*.jpg"))[-1]
    spoil(picture)
    with pytest.raises(InputError, match=rf"{picture.name} {message}"):
        prepare_things_eeg2(copied, tmp_path / "store", channels=OCCIPITAL)
    assert started == []
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_picture_that_may_be_missing_must_not_have_been_shown(copied: Path, tmp_path: Path):
    options = {"channels": OCCIPITAL, "allow_missing": True}
    picture = sorted((copied / "training_images").rglob("*.jpg"))[0]
    picture.unlink()
    with pytest.raises(InputError, match=rf"{picture.name} is missing: put training_images there"):
        prepare_things_eeg2(copied, tmp_path / "store", **options)
    for path in copied.glob("sub-0?/ses-02"):  # in the other session nobody sees it
        shutil.rmtree(path)
    store = TrialStore(prepare_things_eeg2(copied, tmp_path / "store", **options))
    assert picture.relative_to(copied).as_posix() not in set(store.pictures[columns.IMAGE_ID])


class Unshrunk:
    """The plain covariance, which is singular where channels repeat each other."""

    def __init__(self):
        self.parts = []

    def add(self, epochs, conditions):
        self.parts += list(epochs)

    def result(self):
        return np.cov(np.concatenate(self.parts, axis=1))


def test_channels_that_repeat_others_cannot_be_whitened(copied: Path, tmp_path: Path, monkeypatch):
    read = things_eeg2.read_raw

    def doubled(path: Path) -> mne.io.RawArray:
        raw = read(path)
        raw._data[1] = raw._data[2]
        return raw

    monkeypatch.setattr(things_eeg2, "read_raw", doubled)
    monkeypatch.setattr(spilled, "NoiseCovariance", Unshrunk)
    with pytest.raises(
        InputError, match=r"raw_eeg_training\.npy: .*singular.*: leave out channels that repeat others"
    ):
        prepare_things_eeg2(copied, tmp_path / "store", channels=OCCIPITAL)


@pytest.mark.parametrize("name", FORMATS)
def test_a_copy_of_any_format_still_says_that_it_is_simulated(tmp_path, name):
    sizes = {"concepts": 2, "test_concepts": 2, "images_per_concept": 1, "train_repeats": 2, "test_repeats": 2}
    simulate_things_eeg2(tmp_path / "made", format=name, sessions=2, sampling_rate=250, image_size=16, **sizes)
    (tmp_path / "made" / SIMULATION_FILE).unlink()
    store = TrialStore(prepare_things_eeg2(tmp_path / "made", tmp_path / "store"))
    assert store.info.data == "simulated"


def test_a_raw_recording_beside_another_table_still_says_that_it_is_simulated(simulated, tmp_path):
    copied = tmp_path / "copied"
    shutil.copytree(simulated, copied, ignore=shutil.ignore_patterns(SIMULATION_FILE))
    content = np.load(copied / "image_metadata.npy", allow_pickle=True).item()
    del content["description"]
    np.save(copied / "image_metadata.npy", np.array(content, dtype=object), allow_pickle=True)
    epochs = EpochSettings(sampling_rate=50.0)
    store = TrialStore(prepare_things_eeg2(copied, tmp_path / "store", subjects=(1,), channels=("Oz",), epochs=epochs))
    assert store.info.data == "simulated"
