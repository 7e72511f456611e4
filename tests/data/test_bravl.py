"""BraVL's release, made in its layout by scipy: single trials as they are, with the pictures of the dataset."""

import json

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from neuroclip_hf import columns
from neuroclip_hf.data.god import PICTURE_FOLDERS, PICTURE_TABLES, image_file
from neuroclip_hf.data.sources.god import prepare_god
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError

STIMULI = {
    columns.TRAIN: [1443537.022563, 1443537.02256, 2437971.005013, 2437971.01],
    columns.TEST: [12.00047, 15102894.02256],
}
REPEATS = {columns.TRAIN: 1, columns.TEST: 3}
NAMES = {columns.TRAIN: "fmri_train_data.mat", columns.TEST: "fmri_test_data.mat"}
FEATURES = 7


def arrays(split, seed):
    """What its script saves."""
    order = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(STIMULI[split])), REPEATS[split]))
    data = np.random.default_rng([seed, len(order)]).standard_normal((len(order), FEATURES)) * 30
    stimuli = np.array(STIMULI[split])[order]
    return {"data": data, "image_idx": order + 1.0, "WordNetID": stimuli, "class_idx": order // 2 + 1.0}


@pytest.fixture
def release(tmp_path):
    """A release of two subjects, and the pictures of the dataset beside it."""
    for subject in (1, 2):
        folder = tmp_path / "BraVL" / "GOD-Wiki" / "brain_feature" / "LVC_HVC_IT" / f"sub-{subject:02d}"
        folder.mkdir(parents=True)
        for split, name in NAMES.items():
            savemat(folder / name, arrays(split, subject))
        savemat(folder / "fmri_test_data_unique.mat", {"data": np.zeros((2, FEATURES))})
    for split, stimuli in STIMULI.items():
        folder = tmp_path / PICTURE_FOLDERS[split]
        folder.mkdir(parents=True)
        lines = [f'{stimulus:.6f},"{image_file(stimulus)}"\n' for stimulus in stimuli]
        (tmp_path / PICTURE_TABLES[split]).write_text("".join(lines))
        for number, stimulus in enumerate(stimuli):
            Image.new("RGB", (8, 8), (40 * number, 9, 100 * (split == columns.TEST))).save(
                folder / image_file(stimulus), format="JPEG"
            )
    return tmp_path / "BraVL"


def prepare(release, **options):
    return TrialStore(prepare_god(release, release.parent / "store", images=release.parent / "images", **options))


@pytest.mark.parametrize("subject", [1, 2])
def test_trials_are_stored_as_they_are(release, subject):
    store = prepare(release)
    assert (store.info.source, store.info.unit, store.subjects) == ("bravl", "sd", ["sub-01", "sub-02"])
    assert store.rois("sub-01") == {}
    for split in (columns.TRAIN, columns.TEST):
        expected, rows = arrays(split, subject), store.select(split, [f"sub-{subject:02d}"])
        np.testing.assert_array_equal(store.read(rows), expected["data"].astype(np.float16).astype(np.float32))
        shown = [f"{PICTURE_FOLDERS[split]}/{image_file(one)}" for one in expected["WordNetID"]]
        assert store.trials.iloc[rows][columns.IMAGE_ID].tolist() == shown
    assert {path.rpartition("/")[2] for path in store.pictures[columns.IMAGE_ID]} >= {"n01443537_22560.JPEG"}


def test_an_id_of_the_category_alone_is_found_by_its_row(release):
    path = release / "GOD-Wiki/brain_feature/LVC_HVC_IT/sub-01" / NAMES[columns.TRAIN]
    whole = arrays(columns.TRAIN, 1)
    savemat(path, whole | {"WordNetID": np.floor(whole["WordNetID"])})
    store = prepare(release, subjects=(1,))
    found = store.trials.iloc[store.select(columns.TRAIN)][columns.IMAGE_ID]
    assert found.str.rpartition("/")[2].tolist() == [image_file(one) for one in whole["WordNetID"]]


def test_one_of_several_features_must_be_named(release):
    (release / "GOD-Wiki/brain_feature/VC").mkdir()
    with pytest.raises(InputError, match=r"name one of its features with --rois: LVC_HVC_IT, VC"):
        prepare(release)
    with pytest.raises(InputError, match=r"VC holds no sub-01"):
        prepare(release, rois=("VC",))
    assert len(prepare(release, rois=("LVC_HVC_IT",)).subjects) == 2


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (NAMES[columns.TRAIN], {"data": np.zeros((4, FEATURES))}, "7 features never change"),
        (NAMES[columns.TRAIN], {"data": np.full((4, FEATURES), np.nan)}, "data has shape .* or holds NaN"),
        (NAMES[columns.TEST], {"data": np.ones((6, 3))}, "7 features in training and 3 in the test"),
        (NAMES[columns.TEST], {"WordNetID": np.ones(5)}, "6 trials, 5 ids in WordNetID and 6 in image_idx"),
        (
            NAMES[columns.TRAIN],
            {"WordNetID": np.full(4, 7.000001)},
            "trial 0: stimulus id 7.000001 is n00000007_1.JPEG",
        ),
        (NAMES[columns.TRAIN], {"data": np.array([["a"] * FEATURES] * 4)}, "data has type .*: it must hold numbers"),
        (NAMES[columns.TEST], None, "holds no array 'data'"),
        (NAMES[columns.TEST], b"not MATLAB", "cannot be read as a MATLAB file"),
        (NAMES[columns.TEST], b"", "cannot be read as a MATLAB file"),
    ],
)
def test_what_is_not_the_release_is_refused(release, name, change, message):
    path = release / "GOD-Wiki/brain_feature/LVC_HVC_IT/sub-02" / name
    split = columns.TRAIN if "train" in name else columns.TEST
    if isinstance(change, bytes):
        path.write_bytes(change)
    else:
        savemat(path, {"other": [1]} if change is None else arrays(split, 2) | change)
    with pytest.raises(InputError, match=message):
        prepare(release)
    assert not (release.parent / "store").exists()


def test_a_truncated_file_is_refused(release):
    path = release / "GOD-Wiki/brain_feature/LVC_HVC_IT/sub-01" / NAMES[columns.TRAIN]
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"cannot be read as a MATLAB file|holds no array"):
        prepare(release)


def test_an_array_that_declares_too_much_is_refused(release, monkeypatch):
    monkeypatch.setattr("neuroclip_hf.data.bravl._MOST_VALUES", 4 * FEATURES - 1)
    with pytest.raises(InputError, match=r"data declares the shape \(4, 7\): the file is not BraVL's"):
        prepare(release)


def test_captions_of_the_dataset_go_with_it(release):
    said = {
        f"{PICTURE_FOLDERS[split]}/{image_file(one)}": f"picture {one}" for split in STIMULI for one in STIMULI[split]
    }
    (release / "captions.json").write_text(json.dumps(said))
    store = prepare(release)
    assert dict(zip(store.pictures[columns.IMAGE_ID], store.pictures[columns.CAPTION], strict=True)) == said
