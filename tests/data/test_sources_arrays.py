"""`prepare arrays`: epochs, patterns, and everything an .npz may hold that it should not."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from neuroclip_hf import columns
from neuroclip_hf.data.sources.arrays import prepare_arrays
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError

IMAGES = np.stack([np.full((5, 6, 3), 40 * place, dtype=np.uint8) for place in range(4)])
SPLIT = np.array(["train"] * 6 + ["test"] * 2)
IMAGE_ID = np.array([0, 1, 2, 0, 1, 2, 3, 3])


def epochs(seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(seed).standard_normal((8, 3, 20))


def arrays(**changes: Any) -> dict[str, Any]:
    """Eight trials of four pictures; a change to None leaves the array out."""
    values = {
        "brain": epochs(),
        "images": IMAGES,
        "image_id": IMAGE_ID,
        "split": SPLIT,
        "sampling_rate": 100.0,
        **changes,
    }
    return {name: value for name, value in values.items() if value is not None}


def patterns() -> np.ndarray:
    """(trials, voxels), of which the first changes in the test alone, and the third never."""
    brain = np.random.default_rng(3).normal(50, 4, (8, 6))
    brain[:, 2] = 7
    brain[SPLIT == "train", 0] = 9
    return brain


def write(folder: Path, **changes: Any) -> Path:
    np.savez(folder / "a.npz", **arrays(**changes))
    return folder / "a.npz"


VOXELS = {
    "brain": patterns(),
    "sampling_rate": None,
    "channel_names": None,
    "unit": None,
    "rois": np.array(["V1", "V2"]),
    "roi_masks": np.array([[1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 0]], dtype=bool),
}


def prepare(folder: Path, protocol: str = "new-concepts", drop: bool = False, **changes: Any) -> TrialStore:
    path = write(folder, **changes)
    return TrialStore(prepare_arrays(path, folder / "store", protocol=protocol, drop_bad_voxels=drop))


def test_epochs_in_volts(tmp_path: Path):
    brain = epochs(scale=1e-5)
    store = prepare(tmp_path, brain=brain, unit="V", channel_names=np.array(["P7", "O1", "O2"]))
    assert [len(store.select(split)) for split in columns.SPLITS] == [6, 0, 2, 0]
    np.testing.assert_allclose(store.read(np.arange(8)), brain, rtol=6e-4, atol=1e-12)
    info = store.info
    assert (info.modality, info.unit, info.scale, info.sampling_rate) == ("eeg", "V", [1e-6] * 3, 100.0)
    assert (info.channels, info.num_timesteps, info.protocol) == (["P7", "O1", "O2"], 20, "new-concepts")
    assert store.trials[columns.IMAGE_ID].tolist() == [f"{row:05d}" for row in IMAGE_ID]
    assert store.trials[columns.REPEAT].tolist() == [0, 0, 0, 1, 1, 1, 0, 1]
    assert store.pictures[columns.GALLERY].tolist() == ["train", "train", "train", "test"]
    assert store.open_picture("00003").getpixel((0, 0)) == (120, 120, 120)


@pytest.mark.parametrize(
    ("unit", "size", "stored", "modality"),
    [("mV", 1e-3, "V", "eeg"), ("uV", 1e-6, "V", "eeg"), ("\u00b5V", 1e-6, "V", "eeg"), ("\u03bcV", 1e-6, "V", "eeg"),
     ("fT", 1e-15, "T", "meg"), ("T", 1.0, "T", "meg"), ("sd", 1.0, "sd", "eeg")],
)  # fmt: skip
def test_units_become_volts_or_tesla(tmp_path: Path, unit: str, size: float, stored: str, modality: str):
    scale = {"V": 1e-5, "T": 1e-13, "sd": 1.0}[stored] / size
    store = prepare(tmp_path, brain=epochs(scale=scale), unit=unit)
    assert (store.info.unit, store.info.modality) == (stored, modality)
    np.testing.assert_allclose(
        store.read(np.arange(8)), epochs(scale=scale * size), rtol=6e-4, atol=1e-3 * scale * size
    )


def test_arbitrary_units_are_kept_standardised_by_the_training_trials(tmp_path: Path):
    brain = np.random.default_rng(0).normal([[1e6], [-3.0], [0.0]], [[50.0], [1e-6], [1.0]], (8, 3, 20))
    store = prepare(tmp_path, brain=brain)
    stored = np.load(store.path / "sub-01" / "train.npy").astype(np.float64)
    np.testing.assert_allclose(stored.mean(axis=(0, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(stored.std(axis=(0, 2)), 1, atol=1e-3)
    np.testing.assert_allclose(store.info.offset, brain[:6].mean(axis=(0, 2)))
    error = np.abs(store.read(np.arange(8)) - brain).max(axis=(0, 2))
    assert (error[[0, 2]] < [0.2, 0.01]).all()


def test_patterns_of_voxels(tmp_path: Path):
    brain = np.random.default_rng(0).normal(700.0, 20.0, (8, 11)).astype(np.float32)
    store = prepare(tmp_path, brain=brain, sampling_rate=None)
    assert (store.info.modality, store.info.num_timesteps, store.info.sampling_rate) == ("fmri", None, None)
    assert store.info.channels[:2] == ["voxel_00", "voxel_01"]
    np.testing.assert_allclose(store.read(np.arange(8)), brain, atol=0.05)


def test_concepts_captions_and_subjects(tmp_path: Path):
    store = prepare(
        tmp_path,
        concept=np.array(["cat", "cat", "dog", "fish"]),
        caption=np.array([b"a", b"b", b"c", b"d"]),  # bytes, as older files have
        subject=np.array(["b", "a"] * 4),
    )
    assert store.pictures[columns.CONCEPT].tolist() == ["cat", "cat", "dog", "fish"]
    assert store.pictures[columns.CAPTION].tolist() == ["a", "b", "c", "d"]
    assert store.subjects == ["b", "a"]
    assert store.trials[columns.SAMPLE].iloc[store.select("train", ["a"])].tolist() == [1, 3, 5]
    np.testing.assert_allclose(store.read(store.select("test", ["a"])), epochs()[[7]], atol=1e-2)


def test_picture_files_lie_beside_the_arrays(tmp_path: Path):
    names = ["cat/1.png", "cat\\2.png", "./dog/1.png", "dog/2.png"]
    for place, name in enumerate(names):
        path = tmp_path / name.replace("\\", "/")
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4), (place, 0, 0)).save(path)
    store = prepare(tmp_path, images=None, image_files=np.array(names))
    assert store.pictures[columns.IMAGE_ID].tolist() == ["cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"]
    assert store.open_picture("cat/2.png").getpixel((0, 0)) == (1, 0, 0)


def test_picture_files_outside_the_folder_keep_their_names(tmp_path: Path):
    folder = tmp_path / "arrays"
    folder.mkdir()
    for place, name in enumerate("abcd"):
        Image.new("RGB", (4, 4), (place, 0, 0)).save(tmp_path / f"{name}.png")
    files = ["../a.png", str(tmp_path / "b.png"), "../c.png", "../d.png"]
    store = prepare(folder, images=None, image_files=np.array(files))
    assert store.pictures[columns.IMAGE_ID].tolist() == ["a.png", "b.png", "c.png", "d.png"]


def test_pictures_that_nobody_saw_are_left_out(tmp_path: Path):
    store = prepare(tmp_path, image_id=np.array([0, 1, 0, 0, 1, 1, 3, 3]))
    assert store.pictures[columns.IMAGE_ID].tolist() == ["00000", "00001", "00003"]


def test_equal_arrays_give_equal_bytes(tmp_path: Path):
    path = write(tmp_path)
    one, other = (prepare_arrays(path, tmp_path / name) for name in ("one", "other"))
    files = [name.relative_to(one) for name in sorted(one.rglob("*")) if name.is_file()]
    assert [name for name in files if (one / name).read_bytes() != (other / name).read_bytes()] == []


def test_shared_pictures_need_the_protocol(tmp_path: Path):
    shared = np.array([0, 1, 2, 3, 1, 2, 3, 3])
    with pytest.raises(InputError, match="1 pictures stand in train and test, which protocol new-concepts forbids"):
        prepare(tmp_path, image_id=shared)
    assert prepare(tmp_path, "new-trials", image_id=shared).pictures[columns.GALLERY].tolist()[3] == "both"


def test_one_trial_in_two_splits_is_refused(tmp_path: Path):
    brain = epochs()
    brain[7] = brain[0]
    with pytest.raises(InputError, match=r"1 trials stand in two splits, as the same recording: a\.npz"):
        prepare(tmp_path, "new-trials", brain=brain)


def test_one_picture_under_two_numbers_is_refused(tmp_path: Path):
    images = IMAGES.copy()
    images[3] = images[0]
    with pytest.raises(InputError, match=r"pictures '00000' \(train\) and '00003' \(test\) are the same file"):
        prepare(tmp_path, images=images)
    assert not (tmp_path / "store").exists()


def spoiled(value: float) -> np.ndarray:
    brain = epochs()
    brain[5, 1, 3] = value
    return brain


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"brain": None}, "lacks the array 'brain': it holds image"),
        ({"image_id": None}, "lacks the array 'image_id'"),
        ({"brian": epochs()}, "holds the unknown array 'brian': the names are brain, images"),
        ({"brain": epochs()[0, 0]}, r"brain has shape \(20,\) and type float64: it must be numbers of shape"),
        ({"brain": np.zeros((0, 3, 20))}, r"brain has shape \(0, 3, 20\)"),
        ({"brain": epochs() + 1j}, "brain has shape .* and type complex128"),
        ({"brain": spoiled(np.nan)}, r"brain holds NaN or infinite values \(first in trial 5\): leave those out"),
        ({"brain": spoiled(np.inf)}, r"brain holds NaN or infinite values \(first in trial 5\)"),
        (
            {"brain": epochs() * [[1], [0], [1]]},
            r"1 channels of brain never change \(first: number 1\): leave",
        ),
        (
            {"brain": epochs(), "unit": "V"},
            "channel channel_0 holds NaN or .* beyond what it can hold: check the unit",
        ),
        ({"image_id": IMAGE_ID + 0.5}, r"image_id must be whole numbers of shape \(8,\), not float64 of shape \(8,\)"),
        ({"image_id": IMAGE_ID[:7]}, r"image_id must be whole numbers of shape \(8,\), not int64 of shape \(7,\)"),
        ({"image_id": IMAGE_ID + 1}, "image_id 4 is no row of the 4 pictures"),
        ({"image_id": IMAGE_ID - 1}, "image_id -1 is no row of the 4 pictures"),
        ({"images": None}, "must hold either images or image_files"),
        ({"image_files": np.array(["a.png"] * 4)}, "must hold either images or image_files"),
        ({"images": IMAGES / 255}, r"images has shape \(4, 5, 6, 3\) and type float64: it must be uint8"),
        ({"images": IMAGES.transpose(0, 3, 1, 2)}, r"images has shape \(4, 3, 5, 6\) and type uint8: it must be"),
        ({"images": None, "image_files": np.array(list("abcd"))}, "a does not exist: put the picture there"),
        (
            {"split": np.array(["train"] * 7 + ["tets"])},
            "split holds 'tets': the splits are train, validation, test, imagery",
        ),
        ({"split": SPLIT[:3]}, r"split has shape \(3,\): it must have 8 entries"),
        ({"split": np.array(["test"] * 8)}, "The training split is empty"),
        ({"concept": np.array(["cat"])}, r"concept has shape \(1,\): it must have 4 entries"),
        ({"subject": np.array(["a", "b"])}, r"subject has shape \(2,\): it must have 8 entries"),
        ({"subject": np.array("../x")}, "subject '../x' cannot name a folder: use letters"),
        ({"channel_names": np.array(["P7", "P7", "O1"])}, "a name occurs twice in channel_names"),
        ({"sampling_rate": None}, "lacks sampling_rate .Hz., which trials of shape"),
        ({"sampling_rate": 0}, "sampling_rate is 0: it must be one number above zero, in Hz"),
        ({"sampling_rate": np.array([1.0, 2.0])}, r"sampling_rate is \[1.0, 2.0\]: it must be one number"),
        ({"sampling_rate": "fast"}, "sampling_rate is 'fast': it must be one number"),
        ({"sampling_rate": np.inf}, "sampling_rate is inf: it must be one number"),
        ({"unit": "volt"}, "unit is 'volt': choose one of V, mV, uV, nV, T, pT, fT, sd, au"),
        ({"rois": np.array(["V1"])}, r"holds rois alone: give rois \(R,\), their names, and roi_masks"),
        ({"roi_masks": np.ones((1, 3), bool)}, "holds roi_masks alone"),
        ({"rois": np.array(["V1"]), "roi_masks": np.ones((1, 3), bool)}, "rois are for voxels, and brain has samples"),
        ({**VOXELS, "roi_masks": np.ones((2, 3), bool)}, r"roi_masks has shape \(2, 3\) and type bool: 2 rois of 6"),
        (
            {**VOXELS, "roi_masks": np.ones((2, 6))},
            r"and type float64: 2 rois of 6 voxels need bools of shape \(2, 6\)",
        ),
        ({**VOXELS, "rois": np.array(["V1", "V1"])}, "a name in rois is empty or occurs twice"),
        (VOXELS, r"2 of 6 voxels never change in training \(first: voxel_0\): mend the file, or leave them out with"),
        (
            {"brain": np.where(np.arange(24).reshape(8, 3) == 16, np.nan, epochs()[:, :, 0])},
            r"1 of 3 voxels hold NaN or infinite values \(first: voxel_1\): mend",
        ),
        ({"run": np.ones(8)}, r"run must be whole numbers of shape \(8,\), not float64 of shape \(8,\)"),
        ({"run": np.ones(3, int)}, r"run must be whole numbers of shape \(8,\), not int64 of shape \(3,\)"),
        (
            {"images": None, "concept": np.array(list("abca"))},
            "image_id counts the names in concept, and 'a' occurs 2 times: list each once",
        ),
        ({"concept": np.array(["cat", None, "a", "b"], dtype=object)}, "cannot be read .*: save plain arrays with"),
    ],
)
def test_bad_arrays_are_named_and_leave_nothing(tmp_path: Path, changes: dict[str, Any], message: str):
    path = write(tmp_path, **changes)
    with pytest.raises(InputError, match=message) as raised:
        prepare_arrays(path, tmp_path / "store")
    if "training split" not in message:
        assert str(tmp_path) in str(raised.value)
    assert [one.name for one in tmp_path.iterdir()] == ["a.npz"]


def test_one_value_arrays_count_as_one_value(tmp_path: Path):
    store = prepare(tmp_path, sampling_rate=np.array([250]), unit=np.array(["sd"]))
    assert (store.info.sampling_rate, store.info.unit) == (250.0, "sd")


def test_files_that_are_no_npz_are_named(tmp_path: Path):
    path = write(tmp_path)
    whole = path.read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"a\.npz cannot be read .*: save plain arrays with numpy.savez"):
            prepare_arrays(path, tmp_path / "store")
    with pytest.raises(InputError, match=r"b\.npz does not exist: correct the path"):
        prepare_arrays(tmp_path / "b.npz", tmp_path / "store")
    with pytest.raises(InputError, match=r"a\.npy is not an \.npz file: save the arrays with numpy.savez"):
        prepare_arrays(tmp_path / "a.npy", tmp_path / "store")
    with pytest.raises(InputError, match="protocol 'new' is unknown"):
        prepare_arrays(write(tmp_path), tmp_path / "store", protocol="new")
    assert [one.name for one in tmp_path.iterdir()] == ["a.npz"]


def test_one_file_name_from_two_folders_is_refused(tmp_path: Path):
    files = ["../a.png", "a.png", "b.png", "c.png"]
    folder = tmp_path / "arrays"
    folder.mkdir()
    for place, name in enumerate(files):
        Image.new("RGB", (4, 4), (place, 0, 0)).save(folder / name)
    with pytest.raises(InputError, match=r"'a\.png' occurs twice in image_files: list each picture once"):
        prepare(folder, images=None, image_files=np.array(files))


def test_real_figures_from_fmri(real_data: Path, tmp_path: Path):
    with np.load(real_data / "fmri" / "miyawaki_V1_figures.npz") as file:
        voxels, images = file["fmri"], file["images"]
    pictures, shown = np.unique(images, axis=0, return_inverse=True)
    pictures = (pictures * (255 if pictures.max() <= 1 else 1)).astype(np.uint8)
    test = shown >= len(pictures) - 2
    np.savez(tmp_path / "a.npz", brain=voxels, images=pictures, image_id=shown, split=np.where(test, "test", "train"))
    store = TrialStore(prepare_arrays(tmp_path / "a.npz", tmp_path / "store"))
    assert len(store.info.channels) == 797
    assert len(store.gallery("train")) == 8
    order = store.trials[columns.SAMPLE].to_numpy()
    np.testing.assert_allclose(store.read(np.arange(80)), voxels[order], atol=0.01 * voxels.std())


def test_voxels_have_regions_and_constant_ones_are_left_out_with_a_word(tmp_path: Path, caplog):
    store = prepare(tmp_path, drop=True, **VOXELS)
    said = "a.npz: 2 of 6 voxels never change in training (first: voxel_0); they were left out."
    assert store.info.warnings == [said]
    assert said in caplog.text
    assert store.channels("sub-01") == ["voxel_1", "voxel_3", "voxel_4", "voxel_5"]
    assert {name: np.flatnonzero(mask).tolist() for name, mask in store.rois("sub-01").items()} == {
        "V1": [0],
        "V2": [1, 2],
    }
    kept = VOXELS["brain"][:, [1, 3, 4, 5]]
    np.testing.assert_allclose(store.read(np.arange(8)), kept[store.trials[columns.SAMPLE]], atol=0.02)
    train = kept[SPLIT == "train"]
    np.testing.assert_allclose(store.subject_channels("sub-01").scale, train.std(axis=0))
    np.testing.assert_allclose(store.subject_channels("sub-01").offset, train.mean(axis=0))


def test_a_region_without_a_voxel_that_changes_and_arrays_without_any_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="roi V1 has no voxel that changes in training: leave it out"):
        prepare(tmp_path, drop=True, **{**VOXELS, "roi_masks": np.eye(2, 6, dtype=bool)})
    with pytest.raises(InputError, match="no voxel is left that changes in training"):
        prepare(tmp_path, drop=True, **{**VOXELS, "brain": np.zeros((8, 6))})
    assert [one.name for one in tmp_path.iterdir()] == ["a.npz"]


def test_voxels_that_hold_nan_are_left_out_when_asked(tmp_path: Path):
    brain = patterns()
    brain[7, 3] = np.nan
    store = prepare(tmp_path, drop=True, **{**VOXELS, "brain": brain})
    assert store.channels("sub-01") == ["voxel_1", "voxel_4", "voxel_5"]
    assert np.isfinite(store.read(np.arange(8))).all()


def test_names_of_concepts_stand_for_pictures_that_are_not_at_hand(tmp_path: Path):
    names = np.array(["face", "scrambled pix", "cat", "chair"])
    split = np.array(["train"] * 5 + ["test"] * 3)
    run = np.array([1, 1, 2, 2, 3, 4, 4, 4])
    store = prepare(
        tmp_path, protocol="new-trials", images=None, concept=names, split=split, run=run, image_id=IMAGE_ID % 4
    )
    gallery = store.gallery("test").set_index(columns.IMAGE_ID)
    assert set(gallery.index) == {"face", "scrambled pix", "cat", "chair"} & set(names[IMAGE_ID[split == "test"]])
    cards = [np.asarray(store.open_picture(name)) for name in gallery.index]
    assert all(card.min() < 50 for card in cards)
    assert not any((one == other).all() for one, other in combinations(cards, 2))
    assert any("written on a card" in warning for warning in store.info.warnings)
    np.testing.assert_array_equal(store.trials[columns.RUN], run[store.trials[columns.SAMPLE]])


def test_two_subjects_of_one_array_have_the_same_voxels_and_are_read_together(tmp_path: Path):
    subject = np.array(["sub-01", "sub-02"] * 4)
    store = prepare(tmp_path, drop=True, **VOXELS, subject=subject)
    assert store.of_subjects().read(np.arange(8)).shape == (8, 4)


def test_imagery_is_a_split_of_test_pictures(tmp_path: Path):
    split = SPLIT.astype("U9")
    split[-1] = "imagery"
    store = prepare(tmp_path, split=split)
    assert len(store.select("imagery")) == 1
    shown = store.trials[columns.IMAGE_ID].iloc[store.select("imagery")[0]]
    assert shown in set(store.gallery("imagery")[columns.IMAGE_ID])
    assert store.gallery("imagery").equals(store.gallery("test"))


@pytest.mark.parametrize("size", [1e-6, 1e-9])
def test_patterns_too_small_for_their_unit_are_refused(tmp_path, size):
    tiny = np.random.default_rng(0).normal(0, size, (8, 6))
    with pytest.raises(InputError, match=r"channel voxel_\d .* are so small that float16 would round them away"):
        prepare(tmp_path, **{**VOXELS, "brain": tiny, "unit": "sd"})
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
