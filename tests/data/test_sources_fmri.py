"""`prepare_fmri`: planted responses are found again, and files that do not fit each other are named and refused."""

import gzip
import importlib.util
import json
import struct
from pathlib import Path

import numpy as np
import pytest

from neuroclip_hf import columns
from neuroclip_hf.data.responses import ResponseSettings
from neuroclip_hf.data.sources.fmri import prepare_fmri
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.verification import check_store
from neuroclip_hf.errors import InputError

nibabel = pytest.importorskip("nibabel", reason="the extra fmri brings it")
pytest.importorskip("nilearn", reason="the extra fmri brings it")


@pytest.fixture(scope="session")
def made_up():
    """The functions of `scans.py`."""
    spec = importlib.util.spec_from_file_location("scans", Path(__file__).with_name("scans.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def scans(made_up, tmp_path):
    return made_up.make_scans(tmp_path / "scans", subjects=1)


def prepare(scans, name="store", **options):
    given = {"pictures": scans.pictures, "mask": scans.mask, **options}
    return TrialStore(prepare_fmri(scans.runs, scans.folder.parent / name, **given))


def read(store):
    """All patterns, subject by subject, training before test."""
    splits = [split for split in columns.SPLITS if split in set(store.trials[columns.SPLIT])]
    return np.concatenate([store.read(store.select(split, [one])) for one in store.subjects for split in splits])


def rewrite(path, change=None, affine=None, zooms=None):
    """Write an image anew, with other values, another place or another header."""
    image = nibabel.load(path)
    values = np.asarray(image.dataobj).copy()
    made = nibabel.Nifti1Image(
        values if change is None else change(values), image.affine if affine is None else affine
    )
    made.header.set_zooms((image.header.get_zooms() if zooms is None else zooms)[: made.ndim])
    made.header.set_xyzt_units("mm", "sec")
    made.to_filename(path)


@pytest.mark.parametrize(("method", "least"), [("lsa", 0.97), ("lss", 0.95), ("mean", 0.9)])
def test_planted_responses_are_found_again(made_up, tmp_path, method, least):
    scans = made_up.make_scans(tmp_path / "scans", subjects=2)
    store = prepare(scans, responses=ResponseSettings(method=method))
    found = read(store)
    assert found.shape == scans.amplitudes.shape == (40, 18)
    assert np.corrcoef(found.ravel(), scans.amplitudes.ravel())[0, 1] > least
    assert not check_store(store.path).problems
    # A mask for everybody: the voxels are the same in all, so that subjects are read together.
    assert store.channels("sub-01") == store.channels("sub-02")
    assert store.channels("sub-01")[:2] == ["voxel_1_1_0", "voxel_1_1_1"]
    mine = store.subject_channels("sub-02")
    np.testing.assert_allclose(mine.coordinates[0], [3, 3, 0])
    trials = store.trials.iloc[store.select(columns.TRAIN, ["sub-02"])]
    assert trials[columns.IMAGE_ID].tolist()[:4] == [
        "bird/bird_0.png",
        "cat/cat_1.png",
        "dog/dog_0.png",
        "bird/bird_1.png",
    ]
    assert trials[columns.CONCEPT].tolist()[:4] == ["bird", "cat", "dog", "bird"]
    assert set(trials[columns.FILE]) == {"sub-02_run-1_bold.nii.gz"}
    assert (store.info.modality, store.info.source, store.info.unit) == ("fmri", "fmri", "au")


def test_regions_come_from_an_atlas_on_any_grid(scans):
    files = {"atlas": scans.folder / "atlas.nii.gz", "labels": scans.folder / "labels.tsv"}
    rois = prepare(scans, **files).rois("sub-01")
    assert {name: int(mask.sum()) for name, mask in rois.items()} == {"V1": 6, "LOC": 6}
    atlas = nibabel.load(files["atlas"])
    fine = np.kron(np.asarray(atlas.dataobj), np.ones((3, 3, 3), dtype=np.int16))
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = -1.0
    nibabel.Nifti1Image(fine, affine).to_filename(files["atlas"])
    for name, mask in prepare(scans, "fine", **files).rois("sub-01").items():
        np.testing.assert_array_equal(mask, rois[name])


def test_weights_that_are_there_already_are_taken(scans):
    weights = scans.folder / "weights.nii.gz"
    values = np.random.default_rng(0).normal(5, 1, (5, 4, 3, 10))
    nibabel.Nifti1Image(values, np.diag([3.0, 3.0, 3.0, 1.0])).to_filename(weights)
    lines = scans.runs.read_text().splitlines()
    scans.runs.write_text("\n".join([lines[0], lines[1].replace("sub-01_run-1_bold.nii.gz", "weights.nii.gz")]) + "\n")
    store = prepare(scans, responses=ResponseSettings(method="betas"))
    inside = np.asarray(nibabel.load(scans.mask).dataobj).astype(bool)
    np.testing.assert_allclose(read(store), values[inside].T, rtol=3e-3)
    extra = scans.folder / "sub-01_run-1_events.tsv"
    extra.write_text(extra.read_text() + "170\t1\tcat_0.png\n")
    with pytest.raises(InputError, match=r"weights.nii.gz holds 10 volumes, and .*events.tsv 11 lines: with --method"):
        prepare(scans, "more", responses=ResponseSettings(method="betas"))
    extra.write_text("\n".join(extra.read_text().splitlines()[:-2]) + "\n")
    with pytest.raises(InputError, match=r"weights.nii.gz holds 10 volumes, and .*events.tsv 9 lines: with --method"):
        prepare(scans, "fewer", responses=ResponseSettings(method="betas"))
    with pytest.raises(InputError, match="sub-01 has no mask, and none can be found in images of weights"):
        prepare(scans, "other", mask=None, responses=ResponseSettings(method="betas"))


def test_a_brain_is_found_without_a_mask(tmp_path, made_up):
    scans = made_up.make_scans(tmp_path / "scans")
    big = np.zeros((20, 20, 20))
    big[4:16, 4:16, 4:16] = 1
    noise = np.random.default_rng(0)
    for run in (1, 2):
        path = scans.folder / f"sub-01_run-{run}_bold.nii.gz"
        rewrite(path, lambda _: 10 + 500 * big[..., None] + noise.normal(0, 1, (20, 20, 20, 90)).astype(np.float32))
    store = prepare(scans, mask=None, responses=ResponseSettings(method="mean"))
    names = store.channels("sub-01")
    assert 0.7 * big.sum() < len(names) <= big.sum()
    assert all(name.startswith("sub-01_voxel_") for name in names)


def test_events_and_runs_say_splits_and_what_is_left_out(scans):
    events = scans.folder / "sub-01_run-1_events.tsv"
    lines = [
        f"{line}\ttest" if line.endswith("dog_0.png") else f"{line}\tn/a" for line in events.read_text().splitlines()
    ]
    lines[0] = "onset\tduration\tstim_file\tsplit"
    events.write_text("\n".join([*lines, "170\t1\tfixation\tn/a"]) + "\n")
    store = prepare(
        scans, protocol=columns.NEW_PICTURES, ignore=("fix*",), captions=said(scans, {"dog/dog_0.png": "a dog"})
    )
    pictures = store.pictures.set_index(columns.IMAGE_ID)
    assert pictures.loc["dog/dog_0.png"].tolist()[:2] == ["dog", "a dog"]
    assert (pictures.loc["dog/dog_0.png", columns.GALLERY], pictures.loc["dog/dog_1.png", columns.GALLERY]) == (
        "test",
        "train",
    )
    counts = store.trials[columns.SPLIT].value_counts().to_dict()
    assert counts == {"train": 8, "test": 12}
    with pytest.raises(InputError, match=r"line 12: 'fixation' is no picture: correct it, or leave .* --ignore"):
        prepare(scans, "other", protocol=columns.NEW_PICTURES)


def said(scans, captions):
    (scans.folder / "captions.json").write_text(json.dumps(captions))
    return scans.folder / "captions.json"


def test_confounds_are_read(scans):
    generator = np.random.default_rng(0)
    motion = generator.standard_normal(90)
    bold = scans.folder / "sub-01_run-1_bold.nii.gz"
    rewrite(bold, lambda values: (values + 20 * motion).astype(np.float32))
    rows = ["motion\tfirst", *(f"{value}\t{'n/a' if place == 0 else place % 7}" for place, value in enumerate(motion))]
    (scans.folder / "confounds.tsv").write_text("\n".join(rows) + "\n")
    lines = scans.runs.read_text().splitlines()
    lines = [f"{lines[0]}\tconfounds", f"{lines[1]}\tconfounds.tsv", f"{lines[2]}\t"]
    scans.runs.write_text("\n".join(lines) + "\n")
    for name, wanted in (("all", ()), ("one", ("motion",))):
        found = read(prepare(scans, name, confounds=wanted))
        assert np.corrcoef(found.ravel(), scans.amplitudes.ravel())[0, 1] > 0.97
    with pytest.raises(InputError, match=r"has no confound 'csf': it has motion, first"):
        prepare(scans, "none", confounds=("csf",))
    named = scans.runs.read_text()
    scans.runs.write_text(named.replace("\tconfounds.tsv", "\t"))
    with pytest.raises(InputError, match=r"confounds names motion, and no run of .*runs.tsv has a table of confounds"):
        prepare(scans, "nowhere", confounds=("motion",))
    scans.runs.write_text(named)
    (scans.folder / "confounds.tsv").write_text("\n".join(rows[:-1]) + "\n")
    with pytest.raises(InputError, match="has 89 lines, and the scan 90 volumes"):
        prepare(scans, "short")
    (scans.folder / "confounds.tsv").write_text("\n".join([*rows[:-1], "high\t1"]) + "\n")
    with pytest.raises(InputError, match="line 91: motion is 'high': no number"):
        prepare(scans, "text")


def bold(scans):
    return scans.folder / "sub-01_run-1_bold.nii.gz"


def events(scans):
    return scans.folder / "sub-01_run-1_events.tsv"


def other_shape(scans):
    rewrite(bold(scans), lambda values: values[:, :, :2])


def other_affine(scans):
    rewrite(bold(scans), affine=np.diag([3.0, 3.0, 2.5, 1.0]))


def late_event(scans):
    events(scans).write_text(events(scans).read_text().replace("148.0\t", "188.0\t"))


def unknown_picture(scans):
    events(scans).write_text(events(scans).read_text().replace("cat_1.png", "cow_1.png", 1))


def only_a_concept(scans):
    events(scans).write_text(events(scans).read_text().replace("cat_1.png", "cat", 1))


def nan_voxel(scans):
    def change(values):
        values[1, 1, 2, 7] = np.nan
        return values

    rewrite(bold(scans), change)


def constant_voxel(scans):
    def change(values):
        values[2, 1, 0] = 500
        return values

    rewrite(bold(scans), change)


def no_repetition_time(scans):
    rewrite(bold(scans), zooms=(3.0, 3.0, 3.0, 0.0))


def truncated(scans):
    bold(scans).write_bytes(bold(scans).read_bytes()[:-300])


def not_nifti(scans):
    bold(scans).write_bytes(gzip.compress(b"nothing"))


def huge(scans):
    raw = bytearray(gzip.decompress(bold(scans).read_bytes()))
    raw[40:56] = struct.pack("<8h", 4, 30000, 30000, 30000, 30000, 1, 1, 1)
    bold(scans).write_bytes(gzip.compress(bytes(raw)))


def missing(scans):
    bold(scans).unlink()


def three_dimensions(scans):
    bold(scans).write_bytes((scans.folder / "mask.nii.gz").read_bytes())


def no_mask(scans):
    return {"mask": scans.folder / "atlas.nii.gz"}


def atlas_alone(scans):
    return {"atlas": scans.folder / "atlas.nii.gz"}


def atlas_elsewhere(scans):
    rewrite(scans.folder / "atlas.nii.gz", affine=np.diag([3.0, 3.0, 3.0, 1.0]) + np.eye(4, k=3) * 900)
    return {"atlas": scans.folder / "atlas.nii.gz", "labels": scans.folder / "labels.tsv"}


def other_captions(scans):
    return {"captions": said(scans, {"cow/cow_1.png": "a cow"})}


def unknown_column(scans):
    scans.runs.write_text(scans.runs.read_text().replace("events\n", "event_file\n"))


def unknown_split(scans):
    scans.runs.write_text(scans.runs.read_text().replace("\ttest\t", "\ttesting\t"))


def same_run(scans):
    scans.runs.write_text(scans.runs.read_text().replace("\t2\ttest", "\t1\ttest"))


def no_training(scans):
    scans.runs.write_text(scans.runs.read_text().replace("\ttrain\t", "\ttest\t"))


def shared_concept(scans):
    events(scans).write_text(events(scans).read_text().replace("dog_0", "fish_1"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            other_shape,
            r"sub-01_run-1_bold.nii.gz and its mask are not on one grid \(\(5, 4, 2\) and \(5, 4, 3\) voxels",
        ),
        (other_affine, r"are not on one grid \(other affine matrices\): resample"),
        (late_event, r"trial 9 begins at 188 s, and the scan lasts from 0 to 180 s"),
        (unknown_picture, r"sub-01_run-1_events.tsv, line 3: 'cow_1.png' is no picture.*Did you mean"),
        (only_a_concept, r"line 3: 'cat' names a concept, and not which picture"),
        (nan_voxel, r"sub-01: 1 of 18 voxels hold NaN or infinite values \(first: voxel_1_1_2\)"),
        (constant_voxel, r"sub-01: 1 of 18 voxels never change in training \(first: voxel_2_1_0\)"),
        (no_repetition_time, r"does not say the repetition time: give it with --tr"),
        (truncated, r"sub-01_run-1_bold.nii.gz is damaged"),
        (not_nifti, r"sub-01_run-1_bold.nii.gz cannot be opened as NIfTI"),
        (huge, r"declares 3,240,000,000,000,000,000 bytes"),
        (missing, r"sub-01_run-1_bold.nii.gz does not exist"),
        (three_dimensions, r"has shape \(5, 4, 3\): 4 dimensions are needed"),
        (no_mask, r"atlas.nii.gz is no mask"),
        (atlas_alone, r"give --atlas and --labels together"),
        (atlas_elsewhere, r"none of 3 regions lies in the mask: are both in one space"),
        (other_captions, r"captions.json is of other pictures: .* holds no 'cow/cow_1.png'"),
        (unknown_column, r"runs.tsv lacks the column events"),
        (unknown_split, r"runs.tsv, line 3: split 'testing': choose one of train, validation, test, imagery"),
        (same_run, r"runs.tsv, line 3: subject, session and run come twice"),
        (no_training, r"sub-01 has no training trial"),
        (shared_concept, r"fish"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_left(scans, spoil, message):
    options = spoil(scans) or {}
    with pytest.raises(InputError, match=message):
        prepare(scans, **options)
    assert [path.name for path in scans.folder.parent.iterdir()] == ["scans"]


def test_all_files_are_looked_at_before_any_is_worked_on(made_up, tmp_path, monkeypatch):
    scans = made_up.make_scans(tmp_path / "scans", subjects=2)
    worked = []
    monkeypatch.setattr("neuroclip_hf.data.sources.fmri.estimate_responses", lambda *_: worked.append(1))
    rewrite(scans.folder / "sub-02_run-2_bold.nii.gz", affine=np.eye(4))
    with pytest.raises(InputError, match=r"sub-02_run-2_bold.nii.gz and its mask"):
        prepare(scans)
    assert not worked


def test_voxels_without_a_signal_may_be_left_out(scans):
    names = prepare(scans).channels("sub-01")
    nan_voxel(scans)
    constant_voxel(scans)
    store = prepare(scans, "left", drop_bad_voxels=True)
    assert store.channels("sub-01") == [name for name in names if name not in ("voxel_1_1_2", "voxel_2_1_0")]
    assert len(store.info.warnings) == 2


def test_the_repetition_time_may_be_given(scans):
    once = read(prepare(scans))
    for run in (1, 2):
        rewrite(scans.folder / f"sub-01_run-{run}_bold.nii.gz", zooms=(3.0, 3.0, 3.0, 0.0))
    np.testing.assert_array_equal(read(prepare(scans, "told", responses=ResponseSettings(tr=2.0))), once)


def test_patterns_are_scaled_run_by_run(scans):
    store = prepare(scans, responses=ResponseSettings("mean", scale_runs=True))
    assert store.info.settings["responses"]["scale_runs"] is True
    runs = store.trials[columns.RUN].to_numpy()
    for run in (1, 2):
        found = store.read(np.flatnonzero(runs == run))
        np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-2)
        np.testing.assert_allclose(found.std(axis=0), 1, atol=1e-2)


def test_runs_that_differ_are_said(scans, caplog):
    responses = ResponseSettings("mean", percent=False, high_pass=0.0)
    prepare(scans, responses=responses)
    assert "lies between runs" not in caplog.text
    path = scans.folder / "sub-01_run-2_bold.nii.gz"
    image = nibabel.load(path)
    nibabel.Nifti1Image(image.get_fdata() + 40, image.affine, image.header).to_filename(path)
    store = prepare(scans, responses=responses, overwrite=True)
    assert any("sub-01: " in warning and "lies between runs" in warning for warning in store.info.warnings)


def test_scaling_by_run_needs_whole_runs_to_be_parted(scans):
    events = scans.folder / "sub-01_run-1_events.tsv"
    lines = events.read_text().splitlines()
    split = ["split", *["train"] * (len(lines) - 2), "test"]
    events.write_text("\n".join(f"{line}\t{word}" for line, word in zip(lines, split, strict=True)) + "\n")
    with pytest.raises(InputError, match="run 1 of session 1 of sub-01 holds trials that train and trials that are"):
        prepare(scans, responses=ResponseSettings(scale_runs=True), protocol="new-pictures")


@pytest.mark.filterwarnings("error")
def test_a_scan_without_a_brain_is_said_once(scans):
    path = scans.folder / "sub-01_run-1_bold.nii.gz"
    for run in (1, 2):
        rewrite(path.with_name(f"sub-01_run-{run}_bold.nii.gz"), lambda values: np.zeros_like(values) + 10)
    with pytest.raises(InputError, match=r"no brain is found in .*sub-01_run-1_bold.nii.gz: give a mask with --mask"):
        prepare(scans, mask=None)
