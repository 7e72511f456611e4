"""The trial store: what goes in comes out, to float16, and nothing half-written stays."""

import hashlib
import pickle
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import neuroclip_hf
from neuroclip_hf import columns
from neuroclip_hf.data import store_writer
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_info import StoreInfo, signed
from neuroclip_hf.data.store_writer import new_store
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json, sha256, write_json

INFO = StoreInfo(
    modality="eeg",
    channels=["P7", "O1"],
    unit="V",
    scale=[1e-6, 1e-6],
    offset=[0.0, 0.0],
    sampling_rate=100.0,
    window_start=0.0,
    num_timesteps=50,
    protocol="new-concepts",
    target="image",
    data="recorded",
    source="arrays",
    settings={},
)


def make_values(count: int, seed: int, level: float = 0.0) -> np.ndarray:
    return 1e-5 * np.random.default_rng(seed).standard_normal((count, 2, 50)) + level


def row(image_id: str, sample: int = 0) -> dict:
    concept = image_id.split("/")[0]
    return {
        columns.IMAGE_ID: image_id,
        columns.CONCEPT: concept,
        columns.SESSION: 1,
        columns.RUN: 1,
        columns.FILE: "a.fif",
        columns.SAMPLE: sample,
    }


def write(path: Path, info: StoreInfo = INFO, values=None, **options) -> Path:
    """Two training pictures, seen three times by one and twice by another subject, and a test picture."""
    train = make_values(3, 1) if values is None else values
    with new_store(path, info, **options) as writer:
        rows = [row("cat/1.png", 1), row("dog/1.png", 2), row("cat/1.png", 3)]
        writer.add_trials("sub-01", "train", train[:2], rows[:2], "a.fif")
        writer.add_trials("sub-01", "train", train[2:], rows[2:], "a.fif")
        writer.add_trials("sub-02", "train", make_values(2, 2), [row("cat/1.png", 4), row("dog/1.png", 5)], "b.fif")
        writer.add_trials("sub-01", "test", make_values(1, 3), [row("fish/1.png", 6)], "c.fif")
        for place, image_id in enumerate(("cat/1.png", "dog/1.png", "fish/1.png")):
            gallery = "test" if place == 2 else "train"
            picture = Image.new("RGB", (4, 4), (50 * place, 9, 9))
            writer.add_picture(image_id, image_id.split("/")[0], gallery, picture, f"picture {place}")
    return path


def test_what_goes_in_comes_out(tmp_path: Path):
    store = TrialStore(write(tmp_path / "store"))
    assert store.subjects == ["sub-01", "sub-02"]
    assert store.select("train").tolist() == [0, 1, 2, 3, 4]
    assert store.select("train", ["sub-02"]).tolist() == [3, 4]
    assert store.select("validation").tolist() == []
    assert store.trials[columns.REPEAT].tolist() == [0, 0, 1, 0, 0, 0]
    assert store.trials[columns.ROW].tolist() == [0, 1, 2, 0, 1, 0]
    read = store.read([4, 0, 5])
    assert read.dtype == np.float32
    expected = np.stack([make_values(2, 2)[1], make_values(3, 1)[0], make_values(1, 3)[0]])
    np.testing.assert_allclose(read, expected, rtol=6e-4, atol=1e-12)  # half a step of float16
    assert store.read([]).shape == (0, 2, 50)
    assert not store.concepts_only
    assert store.covariances() is None


def test_arrays_are_plain_float16_in_the_units_that_the_scale_says(tmp_path: Path):
    path = write(tmp_path / "store")
    array = np.load(path / "sub-01" / "train.npy", allow_pickle=False)
    assert (array.dtype, array.shape) == (np.dtype("<f2"), (3, 2, 50))
    np.testing.assert_allclose(array, 1e6 * make_values(3, 1), rtol=6e-4, atol=1e-6)
    assert sorted(one.relative_to(path).as_posix() for one in path.rglob("*") if one.is_file()) == [
        *("pictures.parquet", "pictures/cat/1.png.png", "pictures/dog/1.png.png", "pictures/fish/1.png.png"),
        *("store.json", "sub-01/test.npy", "sub-01/train.npy", "sub-02/train.npy", "trials.parquet"),
    ]


def test_scale_and_offset_are_those_of_each_channel(tmp_path: Path):
    values = np.random.default_rng(0).normal([[100.0], [-2000.0]], [[3.0], [50.0]], (3, 2, 50))
    info = replace(INFO, unit="au", scale=[3.0, 50.0], offset=[100.0, -2000.0])
    path = tmp_path / "store"
    with new_store(path, info) as writer:
        writer.add_trials("sub-01", "train", values, [row("cat/1.png", place) for place in range(3)], "a.npz")
        writer.add_picture("cat/1.png", "cat", "train", Image.new("RGB", (4, 4)), "")
    np.testing.assert_allclose(TrialStore(path).read([0, 1, 2]), values, rtol=1e-4, atol=0.06)


def test_galleries_and_pictures(tmp_path: Path):
    store = TrialStore(write(tmp_path / "store"))
    assert store.gallery("train")[columns.IMAGE_ID].tolist() == ["cat/1.png", "dog/1.png"]
    assert store.gallery("validation")[columns.IMAGE_ID].tolist() == ["cat/1.png", "dog/1.png"]
    assert store.gallery("test")[columns.CAPTION].tolist() == ["picture 2"]
    assert store.open_picture("fish/1.png").getpixel((0, 0)) == (100, 9, 9)
    with pytest.raises(InputError, match=r"holds no picture 'cat/2.png'"):
        store.open_picture("cat/2.png")
    with pytest.raises(InputError, match="holds no subject sub-03; it holds sub-01, sub-02"):
        store.select("train", ["sub-03"])


def test_equal_input_gives_equal_bytes_wherever_it_is_written(tmp_path: Path):
    one, other = write(tmp_path / "one"), write(tmp_path / "deeper" / "other")
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    assert [name for name in files if (one / name).read_bytes() != (other / name).read_bytes()] == []
    info = TrialStore(one).info
    assert info.fingerprint == TrialStore(other).info.fingerprint
    assert set(info.checksums) == {name.as_posix() for name in files} - {"store.json"}
    changed = write(tmp_path / "changed", values=make_values(3, 9))
    assert TrialStore(changed).info.fingerprint != info.fingerprint


def test_a_store_is_what_earlier_versions_wrote(tmp_path: Path):
    assert INFO.fingerprint == "20b7f3236c863792"
    assert replace(INFO, checksums={"sub-01/train.npy": "0"}).fingerprint == "eff372fe4e95a78d"
    path = write(tmp_path / "store")
    assert sha256(path / "sub-01" / "train.npy").startswith("24c8344aca908703")
    read = TrialStore(path).read([4, 0, 5])
    assert hashlib.sha256(read.tobytes()).hexdigest().startswith("9ad15cd76df8b9e5")


def test_a_pickled_store_carries_no_arrays_and_reads_on(tmp_path: Path):
    store = TrialStore(write(tmp_path / "store", values=make_values(3, 1)))
    store.read([0])
    carried = pickle.dumps(store)
    assert store.trials.memory_usage(deep=True).sum() > 0
    np.testing.assert_array_equal(pickle.loads(carried).read([0, 5]), store.read([0, 5]))
    assert store.read_stored([0]).tobytes() not in carried


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (make_values(3, 1, 0.05), "a.fif: channel P7 sits so far from zero that float16 would round its signal away"),
        (make_values(3, 1) * 1e-8, r"a.fif: the values of channel P7 .standard deviation .*e-1[34] V. are so small"),
        (make_values(3, 1) * 1e6, "a.fif: channel P7 holds NaN or .*: check the unit, filter or reject"),
        (np.where(np.arange(50) == 7, np.nan, make_values(3, 1)), "a.fif: channel P7 holds NaN or .*: check the unit"),
    ],
)
def test_what_float16_cannot_hold_is_refused_and_nothing_stays(tmp_path: Path, values, message: str):
    with pytest.raises(InputError, match=message):
        write(tmp_path / "store", values=values)
    assert list(tmp_path.iterdir()) == []


def test_what_float16_can_hold_is_taken(tmp_path: Path):
    flat = make_values(3, 1)
    flat[0:2, 1] = 30.3e-6  # a channel without signal in some trials has none to lose
    for number, values in enumerate((make_values(3, 1, 2e-4), flat)):
        store = TrialStore(write(tmp_path / str(number), values=values))
        np.testing.assert_allclose(store.read([0, 1, 2]), values, atol=1e-7)


def test_trials_are_converted_block_by_block(tmp_path: Path, monkeypatch):
    whole = write(tmp_path / "whole")
    monkeypatch.setattr(store_writer, "BLOCK", 1)
    assert TrialStore(write(tmp_path / "parts")).info.fingerprint == TrialStore(whole).info.fingerprint


def test_trials_of_another_shape_are_a_defect_of_the_caller(tmp_path: Path):
    message = r"trials of shape \(3, 2, 49\) do not fit 3 rows of \(2, 50\)"
    with pytest.raises(ValueError, match=message), new_store(tmp_path / "store", INFO) as writer:
        rows = [row("cat/1.png", place) for place in range(3)]
        writer.add_trials("sub-01", "train", make_values(3, 1)[..., :49], rows, "a.fif")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("subject", ["../sub-01", "", "a/b", ".hidden"])
def test_a_subject_that_cannot_name_a_folder_is_refused(tmp_path: Path, subject: str):
    message = "cannot name a folder: use letters"
    with pytest.raises(InputError, match=message), new_store(tmp_path / "store", INFO) as writer:
        writer.add_trials(subject, "train", make_values(1, 1), [row("cat/1.png")], "a.fif")


@pytest.mark.parametrize(
    "subject", ["pictures", "Pictures", "store.json", "trials.parquet", "pictures.parquet", "channels.parquet"]
)
def test_a_subject_that_is_called_as_a_part_of_the_store_is_refused(tmp_path: Path, subject: str):
    message = f"a.fif: subject '{subject}' is called as a part of the store itself: call it otherwise"
    with pytest.raises(InputError, match=message), new_store(tmp_path / "store", INFO) as writer:
        writer.add_trials(subject, "train", make_values(1, 1), [row("cat/1.png")], "a.fif")
    assert list(tmp_path.iterdir()) == []


def test_versions_name_this_package_first_of_all(tmp_path: Path):
    versions = TrialStore(write(tmp_path / "store")).info.versions
    assert versions["neuroclip_hf"] == neuroclip_hf.__version__
    assert set(versions) == {"python", "neuroclip_hf", "numpy", "mne", "scikit-learn"}


def test_pictures_outside_the_store_twice_or_in_both_galleries_are_refused(tmp_path: Path):
    picture = Image.new("RGB", (4, 4))
    for names, message in (
        (["../../x"], "picture '../../x' points outside the store: rename it"),
        (["x", "x"], "picture 'x' occurs twice"),
    ):
        with pytest.raises(InputError, match=message), new_store(tmp_path / "store", INFO) as writer:
            for name in names:
                writer.add_picture(name, "cat", "train", picture, "")
    for protocol in columns.PROTOCOLS:
        path = tmp_path / protocol

        def make(path: Path = path, protocol: str = protocol) -> None:
            with new_store(path, replace(INFO, protocol=protocol)) as writer:
                for place, (split, name) in enumerate((("train", "cat/1"), ("test", "dog/1"))):
                    writer.add_trials("sub-01", split, make_values(1, place), [row(name, place)], "a.fif")
                    writer.add_picture(name, name[:3], split, picture, "")

        if protocol == columns.NEW_TRIALS:
            make()
            continue
        with pytest.raises(InputError, match=r"'cat/1' \(train\) and 'dog/1' \(test\) are the same file"):
            make()
        assert not path.exists()


def test_an_existing_store_is_kept_unless_told_and_while_the_new_one_fails(tmp_path: Path):
    path = write(tmp_path / "store")
    before = TrialStore(path).info.fingerprint
    with pytest.raises(InputError, match="store already exists: pass --overwrite"):
        write(path)
    with pytest.raises(InputError, match="sits so far from zero"):
        write(path, values=make_values(3, 1, 0.05), overwrite=True)
    assert TrialStore(path).info.fingerprint == before
    write(path, values=make_values(3, 9), overwrite=True)
    assert TrialStore(path).info.fingerprint != before
    assert [one.name for one in tmp_path.iterdir()] == ["store"]


def spoil_json(path: Path, **changes) -> None:
    values = read_json(path / "store.json")
    left = {name: value for name, value in {**values, **changes}.items() if value is not None}
    write_json(path / "store.json", signed(left))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: (path / "store.json").unlink(), r"is not a trial store \(it has no store.json\): make one with"),
        (lambda path: (path / "store.json").write_text("{"), "store.json is not readable JSON"),
        (lambda path: spoil_json(path, format=2), "store.json is not of format 1: make the store again"),
        (lambda path: spoil_json(path, protocol=None), "store.json is incomplete .*protocol.*: make the store again"),
        (lambda path: (path / "trials.parquet").unlink(), "trials.parquet cannot be read .*: make the store again"),
        (lambda path: truncate(path / "pictures.parquet"), "pictures.parquet cannot be read .*: make the store again"),
        (lambda path: (path / "sub-02" / "train.npy").unlink(), "train.npy cannot be read .*: make the store again"),
        (lambda path: truncate(path / "sub-01" / "train.npy"), "train.npy cannot be read .*: make the store again"),
        (
            lambda path: np.save(path / "sub-01" / "test.npy", np.zeros((1, 2, 50))),
            r"test.npy has shape \(1, 2, 50\) and type float64, but the trial table asks for \(1, 2, 50\) and float16",
        ),
    ],
)
def test_damaged_stores_are_named(tmp_path: Path, spoil, message: str):
    path = write(tmp_path / "store")
    spoil(path)
    with pytest.raises(InputError, match=message):
        TrialStore(path)


def test_tables_that_lack_columns_or_rows_are_named(tmp_path: Path):
    path = write(tmp_path / "store")
    table = pd.read_parquet(path / "trials.parquet")
    table.drop(columns="digest").to_parquet(path / "trials.parquet")
    with pytest.raises(InputError, match=r"trials.parquet lacks the columns digest: make the store again"):
        TrialStore(path)
    table.assign(row=[0, 1, 7, 0, 1, 0]).to_parquet(path / "trials.parquet")
    with pytest.raises(InputError, match=r"trials.parquet misses rows of sub-01, train: make the store again"):
        TrialStore(path)


def test_covariances_of_the_subjects_asked_for(tmp_path: Path):
    info = replace(INFO, unit="sd", scale=[1.0, 1.0], whitening_fit="training epochs")
    path = tmp_path / "store"
    with new_store(path, info) as writer:
        for place, subject in enumerate(("sub-01", "sub-02")):
            values = 1e5 * make_values(1, place)
            writer.add_trials(subject, "train", values, [row("cat/1.png", place)], "a.npy")
            writer.add_covariances(subject, np.full((2, 2, 2), place, dtype=np.float64))
        writer.add_picture("cat/1.png", "cat", "train", Image.new("RGB", (4, 4)), "")
    store = TrialStore(path)
    assert store.covariances().shape == (4, 2, 2)
    assert store.covariances(["sub-02"]).tolist() == np.ones((2, 2, 2)).tolist()
    (path / "sub-02" / "covariance.npy").unlink()
    with pytest.raises(InputError, match=r"covariance.npy cannot be read .*: make the store again"):
        store.covariances()


def test_trials_are_read_as_they_are_stored(tmp_path: Path):
    info = replace(INFO, unit="au", scale=[2.0, 3.0], offset=[10.0, -5.0])
    path = tmp_path / "store"
    values = 1e5 * make_values(3, 1) * [[2.0], [3.0]] + [[10.0], [-5.0]]
    with new_store(path, info) as writer:
        writer.add_trials("sub-01", "train", values, [row("cat/1.png", place) for place in range(3)], "a.npz")
        writer.add_picture("cat/1.png", "cat", "train", Image.new("RGB", (4, 4)), "")
    store = TrialStore(path)
    stored = store.read_stored([2, 0, 2])
    assert (stored.dtype, stored.shape, stored.flags.writeable) == (np.float16, (3, 2, 50), True)
    np.testing.assert_array_equal(stored, np.load(path / "sub-01" / "train.npy")[[2, 0, 2]])
    scale, offset = (np.array(numbers, np.float32)[:, None] for numbers in (info.scale, info.offset))
    np.testing.assert_array_equal(store.read([2, 0, 2]), stored.astype(np.float32) * scale + offset)
    assert store.read_stored([]).shape == (0, 2, 50)


def test_means_are_over_any_number_of_trials_of_any_file(tmp_path: Path):
    store = TrialStore(write(tmp_path / "store"))
    trials = store.read(np.arange(6))
    means = store.read_means([[0, 2], [4], [5, 3, 1, 0, 2, 4], [1, 1]])
    assert (means.dtype, means.shape) == (np.float32, (4, 2, 50))
    expected = [trials[[0, 2]].mean(0), trials[4], trials.mean(0), trials[1]]
    np.testing.assert_allclose(means, expected, rtol=1e-5, atol=1e-11)
    assert store.read_means([]).shape == (0, 2, 50)
    mixed = [5, 2, 4, 0, 3, 2]  # of three files, none in its order
    np.testing.assert_array_equal(store.read(mixed), trials[mixed])
    np.testing.assert_array_equal(store.read_stored(mixed), [store.read_stored([trial])[0] for trial in mixed])
    with pytest.raises(InputError, match="a mean of no trials was asked for: name at least one"):
        store.read_means([[0], []])


@pytest.mark.parametrize("trial", [-1, 6])
def test_a_trial_that_is_not_there_is_named(tmp_path: Path, trial: int):
    store = TrialStore(write(tmp_path / "store"))
    for read in (store.read, store.read_stored, lambda trials: store.read_means([trials])):
        with pytest.raises(InputError, match=f"holds 6 trials, counted from 0, and trial {trial} was asked for"):
            read([0, trial])


def test_a_fingerprint_stays_when_a_version_adds_a_field():
    @dataclass(frozen=True)
    class Later(StoreInfo):
        license: str = ""
        authors: list[str] = field(default_factory=list)

    later = Later(**INFO.to_dict())
    assert later.fingerprint == INFO.fingerprint == "20b7f3236c863792"
    said = [replace(later, license="CC0"), replace(later, authors=["a"]), replace(later, warnings=["b"])]
    said += [replace(later, unit="sd"), replace(later, redistribute_pictures=True)]
    assert len({one.fingerprint for one in said} - {INFO.fingerprint}) == 5
