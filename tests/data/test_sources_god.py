"""`prepare_god`: what stands in the store is what bdpy reads, and what cannot be right is named and refused."""

import json
import shutil

import numpy as np
import pytest

from neuroclip_hf import columns
from neuroclip_hf.data.god import FACTS, PICTURE_TABLES
from neuroclip_hf.data.simulation.god import simulate_god
from neuroclip_hf.data.sources.god import prepare_god
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.verification import check_store
from neuroclip_hf.errors import InputError

h5py = pytest.importorskip("h5py", reason="the extra fmri brings it")

SPLITS = {FACTS.training: columns.TRAIN, FACTS.perception: columns.TEST, FACTS.imagery: columns.IMAGERY}
VOXELS = 110


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A simulated dataset; not to be changed."""
    out = tmp_path_factory.mktemp("simulated") / "god"
    sizes = {"concepts": 6, "test_concepts": 4, "images_per_concept": 3, "test_repeats": 3, "imagery_repeats": 2}
    simulate_god(out, subjects=(1, 2), voxels=VOXELS, image_size=16, **sizes)
    return out


@pytest.fixture(scope="module")
def store(made, tmp_path_factory):
    """Its store; not to be changed."""
    return TrialStore(prepare_god(made, tmp_path_factory.mktemp("prepared") / "store"))


@pytest.fixture
def copy(made, tmp_path):
    """The dataset, to be broken."""
    return shutil.copytree(made, tmp_path / "god")


def place(file, key):
    """The first column of a key."""
    row = [one.decode() for one in file["metadata/key"]].index(key)
    return int(np.flatnonzero(file["metadata/value"][row] == 1)[0])


def edit(folder, key, rows, value, subject=1):
    """Write a value into a column of a subject's file."""
    with h5py.File(folder / f"Subject{subject}.h5", "a") as file:
        file["dataset"][rows, place(file, key)] = value


@pytest.mark.parametrize("subject", [1, 2])
def test_stored_numbers_are_what_bdpy_reads(store, made, subject):
    bdpy = pytest.importorskip("bdpy", reason="the extra fmri brings it")
    theirs, name = bdpy.BData(str(made / f"Subject{subject}.h5")), f"sub-{subject:02d}"
    kinds, voxels = theirs.select("DataType").ravel(), theirs.select("VoxelData")
    spread = voxels[kinds == FACTS.training].std(axis=0)
    for kind, split in SPLITS.items():
        expected = voxels[kinds == kind]
        rows = store.select(split, [name])
        assert store.trials.iloc[rows][columns.SAMPLE].tolist() == np.flatnonzero(kinds == kind).tolist()
        assert len(rows) == len(expected)
        # Half a unit in the last place of float16, and of what is added and multiplied in float32.
        bound = 2.0**-11 * np.maximum(np.abs(expected - voxels[kinds == 1].mean(axis=0)), spread * 2**-13)
        assert (np.abs(store.read(rows) - expected) <= 1.01 * bound + 1e-6 * np.abs(expected)).all()
    rois = store.rois(name)
    assert set(rois) == {*FACTS.areas, *FACTS.regions}
    for roi, mask in rois.items():
        np.testing.assert_array_equal(voxels[:, mask], theirs.select(f"ROI_{roi}"))
    value = [theirs.get_metadata(key, where="VoxelData") for key in FACTS.coordinate_rows]
    np.testing.assert_array_equal(store.subject_channels(name).coordinates, np.stack(value, axis=1))


def test_trials_name_their_picture_concept_and_run(store, made):
    bdpy = pytest.importorskip("bdpy", reason="the extra fmri brings it")
    theirs = bdpy.BData(str(made / "Subject1.h5"))
    names = json.loads((made / "category_names.json").read_text())
    tables = {  # by the row of the table alone, so that no id is decoded
        split: [line.split('"')[1] for line in (made / PICTURE_TABLES[split]).read_text().splitlines()]
        for split in (columns.TRAIN, columns.TEST)
    }
    zeros = 0
    mine = store.trials[store.trials[columns.SUBJECT] == "sub-01"].set_index(columns.SAMPLE)
    rows = zip(*(theirs.select(key).ravel() for key in ("DataType", "image_index", "Run")), strict=True)
    for sample, (kind, index, run) in enumerate(rows):
        split = columns.TRAIN if kind == FACTS.training else columns.TEST
        file, trial = tables[split][int(index) - 1], mine.loc[sample]
        assert trial[columns.IMAGE_ID] == f"images/{'training' if split == columns.TRAIN else 'test'}/{file}"
        assert trial[columns.CONCEPT] == names[file.partition("_")[0]]
        assert (trial[columns.SPLIT], trial[columns.SESSION], trial[columns.RUN]) == (SPLITS[int(kind)], kind, run)
        zeros += file.endswith("0.JPEG")
    assert zeros > 5  # ids that lose a zero are among them


def test_the_store_is_whole_and_says_what_it_is(store, made):
    found = check_store(store.path)
    assert not found.problems
    info = store.info
    assert (info.modality, info.source, info.data, info.unit) == ("fmri", "god", columns.SIMULATED, "au")
    assert (info.protocol, info.redistribute_pictures, info.channels) == (columns.NEW_CONCEPTS, False, [])
    assert set(info.sources) == {"Subject1.h5", "Subject2.h5"}
    captions = json.loads((made / "captions.json").read_text())
    assert dict(zip(store.pictures[columns.IMAGE_ID], store.pictures[columns.CAPTION], strict=True)) == captions
    tested = set(store.gallery(columns.TEST)[columns.IMAGE_ID])
    assert set(store.gallery(columns.IMAGERY)[columns.IMAGE_ID]) == tested
    assert len(tested) == 4


def test_subjects_and_regions_may_be_chosen(store, made, tmp_path):
    part = TrialStore(prepare_god(made, tmp_path / "part", subjects=(2,), rois=("LOC", "FFA")))
    assert part.subjects == ["sub-02"]
    wanted = store.rois("sub-02")["LOC"] | store.rois("sub-02")["FFA"]
    assert part.channels("sub-02") == [
        name for name, kept in zip(store.channels("sub-02"), wanted, strict=True) if kept
    ]
    rows, every = part.select(columns.IMAGERY), store.select(columns.IMAGERY, ["sub-02"])
    np.testing.assert_array_equal(part.read(rows), store.read(every)[:, wanted])


def test_an_imagined_category_without_a_picture_is_that_of_the_test(copy, store, tmp_path):
    with h5py.File(copy / "Subject1.h5", "a") as file:
        column, kinds = place(file, "stimulus_id"), file["dataset"][:, place(file, "DataType")]
        ids = file["dataset"][:, column]
        file["dataset"][:, column] = np.where(kinds == FACTS.imagery, np.floor(ids), ids)
    again = TrialStore(prepare_god(copy, tmp_path / "store", subjects=(1,)))
    mine, theirs = (
        kept.trials.iloc[kept.select(columns.IMAGERY, ["sub-01"])][columns.IMAGE_ID].tolist()
        for kept in (again, store)
    )
    assert mine == theirs
    assert len(mine) == 8


def test_older_files_have_the_ids_in_label_alone(copy, store, tmp_path):
    with h5py.File(copy / "Subject1.h5", "a") as file:
        keys = file["metadata/key"][()]
        file["metadata/key"][...] = [b"old" if key in (b"stimulus_id", b"image_index") else key for key in keys]
    old = TrialStore(prepare_god(copy, tmp_path / "store", subjects=(1,)))
    shown = store.trials[store.trials[columns.SUBJECT] == "sub-01"]
    assert old.trials[columns.IMAGE_ID].tolist() == shown[columns.IMAGE_ID].tolist()


def test_voxels_without_a_signal_are_refused_or_left_out(copy, store, tmp_path):
    with h5py.File(copy / "Subject1.h5", "a") as file:
        file["dataset"][4, 7] = np.nan
        file["dataset"][:, 9] = 3.0
    with pytest.raises(InputError, match=r"Subject1.h5: 1 of 110 voxels hold NaN.*first: sub-01_voxel_0007"):
        prepare_god(copy, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    left = TrialStore(prepare_god(copy, tmp_path / "store", drop_bad_voxels=True))
    names = store.channels("sub-01")
    assert left.channels("sub-01") == [*names[:7], names[8], *names[10:]]
    assert [warning.partition(":")[0] for warning in left.info.warnings] == [str(copy / "Subject1.h5")] * 2


def refuse_roi(folder):
    return {"rois": ("V1", "IPS")}


def refuse_unknown_id(folder):
    edit(folder, "stimulus_id", 3, 1443537.022563)


def refuse_float32(folder):
    with h5py.File(folder / "Subject1.h5", "a") as file:
        column = place(file, "stimulus_id")
        file["dataset"][:, column] = file["dataset"][:, column].astype(np.float32)


def refuse_other_index(folder):
    with h5py.File(folder / "Subject1.h5", "a") as file:
        column = place(file, "image_index")
        file["dataset"][0, column] = file["dataset"][0, column] % 18 + 1


def refuse_imagined(folder):
    edit(folder, "stimulus_id", -1, 1443537.0)


def refuse_kind(folder):
    edit(folder, "DataType", 2, 4)


def refuse_no_training(folder):
    edit(folder, "DataType", slice(0, 18), 2)


def refuse_fraction(folder):
    edit(folder, "Run", 5, 1.5)


def refuse_missing_pictures(folder):
    for path in sorted((folder / "images/training").iterdir())[:2]:
        path.unlink()


def refuse_damaged_picture(folder):
    path = sorted((folder / "images/test").iterdir())[0]
    path.write_bytes(path.read_bytes()[:60])


def refuse_other_captions(folder):
    (folder / "captions.json").write_text(json.dumps({"images/training/n01_1.JPEG": "a cat"}))


def refuse_missing_name(folder):
    names = json.loads((folder / "category_names.json").read_text())
    names.pop(min(names))
    (folder / "category_names.json").write_text(json.dumps(names))


def refuse_table(folder):
    path = folder / PICTURE_TABLES[columns.TEST]
    path.write_text(path.read_text().replace(".JPEG", ".png", 1))


def refuse_truncated(folder):
    path = folder / "Subject2.h5"
    path.write_bytes(path.read_bytes()[:-1000])


def refuse_no_subject(folder):
    return {"subjects": (3,)}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (refuse_roi, r"Subject1.h5 has no ROI 'IPS': it has V1, V2, V3, V4, LOC, FFA, PPA, LVC, HVC, VC"),
        (refuse_unknown_id, r"row 3: stimulus id 1443537.022563 is n01443537_22563.JPEG, which .* does not list"),
        (refuse_float32, r"Subject1.h5, row \d+: "),
        (refuse_other_index, r"row 0: stimulus id .* but row \d+ of images/image_training_id.csv is"),
        (
            refuse_imagined,
            r"stimulus id 1443537.0 of an imagery trial \(n01443537_\) matches 0 of the 4 test pictures",
        ),
        (refuse_kind, r"DataType holds 4; it may be 1 \(train\), 2 \(test\), 3 \(imagery\)"),
        (refuse_no_training, "DataType has no training trial"),
        (refuse_fraction, r"row 5: Run is 1.5: it must be a whole number"),
        (refuse_missing_pictures, r"lacks 2 of 22 pictures: training/n\d+_\d+.JPEG, training/n.*ask the dataset's"),
        (refuse_damaged_picture, "cannot be read as a picture"),
        (refuse_other_captions, r"the captions are of other pictures: 'images/training/n01_1.JPEG' \(1 in all\)"),
        (refuse_missing_name, r"the category names lack 1 categories \(first: n"),
        (refuse_table, r"image_test_id.csv, line 1: .* is no stimulus id with the name of its picture"),
        (refuse_truncated, r"Subject2.h5 cannot be opened as HDF5"),
        (refuse_no_subject, r"holds no subject 3; it holds 1, 2"),
    ],
)
def test_what_cannot_be_right_is_refused_and_nothing_is_left(copy, tmp_path, spoil, message):
    options = spoil(copy) or {}
    with pytest.raises(InputError, match=message):
        prepare_god(copy, tmp_path / "store", **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["god"]


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "here").mkdir()
    with pytest.raises(InputError, match=r"here holds no Subject1.h5"):
        prepare_god(tmp_path / "here", tmp_path / "store")
    with pytest.raises(InputError, match="nowhere is not a folder"):
        prepare_god(tmp_path / "nowhere", tmp_path / "store")


def test_captions_and_names_may_come_from_elsewhere(copy, tmp_path):
    captions = json.loads((copy / "captions.json").read_text())
    names = json.loads((copy / "category_names.json").read_text())
    (copy / "captions.json").unlink()
    (copy / "category_names.json").unlink()
    bare = TrialStore(prepare_god(copy, tmp_path / "bare", subjects=(1,)))
    assert set(bare.pictures[columns.CONCEPT]) == set(names)
    assert not any(bare.pictures[columns.CAPTION])
    assert "--category-names" in bare.info.warnings[0]
    same = dict.fromkeys(names, "thing") | {min(names): "crane"}
    (tmp_path / "names.csv").write_text("".join(f'{key},"{text}"\n' for key, text in same.items()))
    by_stem = {
        key.rpartition("/")[2].removesuffix(".JPEG"): text for key, text in captions.items() if "training" in key
    }
    (tmp_path / "said.json").write_text(json.dumps(by_stem))
    given = {"captions": tmp_path / "said.json", "category_names": tmp_path / "names.csv"}
    told = TrialStore(prepare_god(copy, tmp_path / "told", subjects=(1,), **given))
    pictures = told.pictures.set_index(columns.IMAGE_ID)
    assert set(pictures[columns.CONCEPT]) == {"crane", *(f"thing ({key})" for key in names if key != min(names))}
    expected = {key: text if "training" in key else "" for key, text in captions.items()}
    assert pictures[columns.CAPTION].to_dict() == expected
    assert told.info.warnings == [
        f"4 of 22 pictures have no caption (first: {min(key for key in captions if 'test' in key)})."
    ]


def test_labels_that_contradict_the_stimulus_id_are_refused(copy, tmp_path):
    edit(copy, "Label", 2, 1443537.022563)
    with pytest.raises(InputError, match=r"Subject1.h5, row 2: Label is 1443537.022563 and stimulus_id \S+; they di"):
        prepare_god(copy, tmp_path / "store")
    for subject in (1, 2):
        edit(copy, "Label", slice(None), 7, subject)  # of another kind
    prepare_god(copy, tmp_path / "store")


def test_a_region_of_which_nothing_is_left_is_named(copy, tmp_path):
    with h5py.File(copy / "Subject1.h5", "a") as file:
        row = [one.decode() for one in file["metadata/key"]].index("ROI_V1")
        for column in np.flatnonzero(file["metadata/value"][row] == 1):
            file["dataset"][:, column] = 7
    with pytest.raises(InputError, match=r"no voxel is left that changes in training: ask for other --rois than V1"):
        prepare_god(copy, tmp_path / "store", rois=["V1"], drop_bad_voxels=True)
    with pytest.raises(InputError, match=r"ROI V1 has no voxel that changes in training: leave it out of --rois"):
        prepare_god(copy, tmp_path / "store", rois=["V1", "LOC"], drop_bad_voxels=True)
    store = TrialStore(prepare_god(copy, tmp_path / "store", drop_bad_voxels=True))
    assert "V1" not in store.rois("sub-01")
    assert "V1" in store.rois("sub-02")
