"""Simulated Generic Object Decoding: layout, determinism, planted signal, and what is refused."""

import csv
import errno
import hashlib
import json
import shutil
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data.god import FACTS, PICTURE_FOLDERS, PICTURE_TABLES, image_file, roi_key, subject_path
from neuroclip_hf.data.simulation import god
from neuroclip_hf.data.simulation.concepts import NUMBER_OF_CONCEPTS, list_concepts
from neuroclip_hf.data.simulation.fmri import SubjectBrain
from neuroclip_hf.data.simulation.god import category_number, plan_pictures, plan_runs, planted_codes, simulate_god
from neuroclip_hf.data.simulation.god_settings import GodSettings
from neuroclip_hf.data.simulation.pictures import APPEARANCE_SIZE, CODE_SIZE
from neuroclip_hf.errors import InputError

h5py = pytest.importorskip("h5py", reason="the extra fmri brings it")

SMALL: dict[str, Any] = {
    "concepts": 30,
    "test_concepts": 12,
    "images_per_concept": 4,
    "test_repeats": 5,
    "imagery_repeats": 4,
    "voxels": 600,
    "snr": 0.6,
    "image_size": 16,
}
TINY = {**SMALL, "concepts": 4, "test_concepts": 3, "test_repeats": 2, "imagery_repeats": 1, "voxels": 120}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "god"
    simulate_god(out, **SMALL)
    return out


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "tiny"
    simulate_god(out, **TINY)
    return out


class Table:
    """A subject's file, read with nothing but h5py."""

    def __init__(self, path: Path) -> None:
        with h5py.File(path) as file:
            self.matrix = file["dataset"][:]
            self.keys = [key.decode() for key in file["metadata/key"][:]]
            self.values = file["metadata/value"][:]
            self.descriptions = [text.decode() for text in file["metadata/description"][:]]
            self.header = {name: text[()].decode() for name, text in file["header"].items()}

    def columns(self, key: str) -> np.ndarray:
        return self.matrix[:, self.values[self.keys.index(key)] == 1]

    def trial(self, key: str) -> np.ndarray:
        (column,) = self.columns(key).T
        return column


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_equal_seeds_give_equal_bytes(tiny: Path, tmp_path: Path) -> None:
    simulate_god(tmp_path / "again", **TINY)
    assert digests(tmp_path / "again") == digests(tiny)
    simulate_god(tmp_path / "other", **TINY, seed=1)
    assert not set(digests(tmp_path / "other").items()) & set(digests(tiny).items())


def test_a_subject_does_not_depend_on_the_others(tiny: Path, tmp_path: Path) -> None:
    simulate_god(tmp_path / "two", **TINY, subjects=[2, 1])
    two, one = digests(tmp_path / "two"), digests(tiny)
    assert {name for name in one if two[name] != one[name]} == {"simulation.json"}
    first, second = (Table(subject_path(tmp_path / "two", subject)) for subject in (1, 2))
    assert not np.array_equal(first.columns("VoxelData"), second.columns("VoxelData"))
    assert not np.array_equal(first.trial("image_index"), second.trial("image_index"))


def test_more_training_concepts_leave_the_test_as_it_is(tiny: Path, tmp_path: Path) -> None:
    simulate_god(tmp_path / "more", **{**TINY, "concepts": 6})
    more, fewer = (Table(subject_path(folder, 1)) for folder in (tmp_path / "more", tiny))
    for key in ("VoxelData", "stimulus_id", "image_index"):
        tests = [table.columns(key)[table.trial("DataType") > FACTS.training] for table in (more, fewer)]
        np.testing.assert_array_equal(*tests)
    for name in (PICTURE_TABLES[TEST], *[f"{PICTURE_FOLDERS[TEST]}/{file.name}" for file in tiny.glob("*/test/*")]):
        assert (tmp_path / "more" / name).read_bytes() == (tiny / name).read_bytes()


def test_layout_is_that_of_the_dataset(dataset: Path) -> None:
    table = Table(subject_path(dataset, 1))
    assert table.matrix.dtype == np.float64
    assert table.matrix.shape == (120 + 60 + 48, 600 + len(FACTS.trial_columns))
    rois = [roi_key(name) for name in FACTS.areas + FACTS.regions]
    assert table.keys == ["VoxelData", *rois, "voxel_x", "voxel_y", "voxel_z", *FACTS.trial_columns]
    assert len(table.descriptions) == len(table.keys)
    assert table.header == {"description": "simulated by neuroclip_hf", "subject": "Subject1"}
    voxels = table.values[0] == 1
    assert voxels.sum() == 600
    for key, row in zip(table.keys, table.values, strict=True):
        described = ~np.isnan(row)
        if key in FACTS.trial_columns:
            assert described.sum() == 1
            assert not (described & voxels).any()
        else:
            np.testing.assert_array_equal(described, voxels)
        if key.startswith("ROI_"):
            assert set(row[voxels]) == ({1.0} if key == "ROI_VC" else {0.0, 1.0})
    assert Counter(table.trial("DataType")) == {1: 120, 2: 60, 3: 48}
    assert (np.diff(table.trial("DataType")) >= 0).all(), "training, perception, imagery"
    np.testing.assert_array_equal(table.trial("Block"), np.arange(1, 229))
    assert set(np.diff(table.trial("Run"))) == {0, 1}
    signal = table.columns("VoxelData")
    assert np.isfinite(signal).all()
    assert 0.5 < signal.std(axis=0).mean() < 3
    assert signal.std(axis=0).min() > 0.3


def test_bdpy_reads_it(dataset: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its source has escapes that newer Pythons warn of
        bdpy = pytest.importorskip("bdpy", reason="the extra fmri brings it")
    data, table = bdpy.BData(str(subject_path(dataset, 1))), Table(subject_path(dataset, 1))
    assert data.dataset.shape == table.matrix.shape
    for name in FACTS.areas + FACTS.regions:
        np.testing.assert_array_equal(data.select(roi_key(name)), table.columns(roi_key(name)))
    np.testing.assert_array_equal(data.select("VoxelData"), table.columns("VoxelData"))
    np.testing.assert_array_equal(data.select("stimulus_id")[:, 0], table.trial("stimulus_id"))
    assert data.select("ROI_V1 + ROI_V2").shape[1] < data.select("ROI_LVC").shape[1]
    assert data.get_metadata("voxel_x", where="VoxelData").shape == (600,)
    assert data.header["description"] == "simulated by neuroclip_hf"


def test_every_id_leads_to_its_picture(dataset: Path) -> None:
    table = Table(subject_path(dataset, 1))
    captions = json.loads((dataset / "captions.json").read_text())
    names = json.loads((dataset / "category_names.json").read_text())
    misleading = 0
    for split, kinds in ((TRAIN, (1,)), (TEST, (2, 3))):
        with (dataset / PICTURE_TABLES[split]).open(newline="") as file:
            listed = list(csv.reader(file))
        assert [image_file(float(stimulus)) for stimulus, _ in listed] == [file for _, file in listed]
        assert {path.name for path in (dataset / PICTURE_FOLDERS[split]).iterdir()} == {file for _, file in listed}
        for kind in kinds:
            rows = table.trial("DataType") == kind
            stimuli, indices = (table.trial(key)[rows] for key in ("stimulus_id", "image_index"))
            assert set(indices) == set(range(1, len(listed) + 1))
            for stimulus, index in zip(stimuli, indices, strict=True):
                file = listed[int(index) - 1][1]
                assert image_file(stimulus) == file
                assert names[file.partition("_")[0]] in captions[f"{PICTURE_FOLDERS[split]}/{file}"]
                misleading += int(str(stimulus).split(".")[1]) != int(file[10:].removesuffix(".JPEG"))
    np.testing.assert_array_equal(table.trial("Label"), table.trial("stimulus_id"))
    assert misleading > 0, "some ids have lost a zero"
    assert len(names) == 42
    assert any(name.startswith("n000") for name in names), "some categories begin with zeros"
    assert len(captions) == 132


def test_no_two_concepts_share_a_category_and_none_is_a_noun_of_wordnet() -> None:
    numbers = {category_number(concept) for concept in list_concepts(NUMBER_OF_CONCEPTS)}
    assert len(numbers) == NUMBER_OF_CONCEPTS
    assert not [number for number in numbers if 1740 <= number <= 16_000_000]
    assert min(numbers) < 1740 < 16_000_000 < max(numbers) < 10**8


def test_pictures_of_a_concept_are_sorted_by_the_text_of_their_names() -> None:
    planned = plan_pictures(GodSettings(**{**TINY, "images_per_concept": 99}), TRAIN)
    files = [picture.file for _, picture in planned]
    assert files == sorted(files)
    assert len(set(files)) == 4 * 99
    assert [stimulus for stimulus, _ in planned] != sorted(stimulus for stimulus, _ in planned)


def test_pictures_show_what_was_drawn(dataset: Path) -> None:
    for split in (TRAIN, TEST):
        with Image.open(next((dataset / PICTURE_FOLDERS[split]).iterdir())) as picture:
            assert (picture.size, picture.mode, picture.format) == ((16, 16), "RGB", "JPEG")
            assert np.asarray(picture).std() > 10


def test_runs_are_those_of_the_experiment() -> None:
    runs = plan_runs(GodSettings(), 1)
    counts = Counter((run.kind, len(run.pictures)) for run in runs)
    assert counts == {(FACTS.training, 50): 24, (FACTS.perception, 50): 35, (FACTS.imagery, 25): 20}
    assert sorted(np.concatenate([run.pictures for run in runs[:24]])) == list(range(1200))
    assert list(runs[0].pictures) != sorted(runs[0].pictures)
    for run in runs[24:59]:
        assert sorted(run.pictures) == list(range(50))
    for first, second in zip(runs[59::2], runs[60::2], strict=True):
        assert sorted([*first.pictures, *second.pictures]) == list(range(50))


@pytest.mark.parametrize(("changes", "lengths"), [({"test_concepts": 1}, [1, 1]), ({"imagery_repeats": 0}, [3, 3])])
def test_small_experiments_have_no_empty_run(changes: dict[str, int], lengths: list[int]) -> None:
    runs = plan_runs(GodSettings(**{**TINY, **changes}), 1)
    assert min(len(run.pictures) for run in runs) > 0
    assert [len(run.pictures) for run in runs if run.kind == FACTS.perception] == lengths


class Decoder:
    """Ridge from some voxels to the planted codes; how well it finds each part of the code."""

    def __init__(self, folder: Path, roi: str) -> None:
        from sklearn.linear_model import Ridge

        table = Table(subject_path(folder, 1))
        settings = GodSettings(**json.loads((folder / "simulation.json").read_text())["settings"])
        kind, index = table.trial("DataType"), table.trial("image_index").astype(int) - 1
        voxels, training = table.columns(roi_key(roi)), kind == FACTS.training
        voxels = (voxels - voxels[training].mean(axis=0)) / voxels[training].std(axis=0)
        model = Ridge(alpha=300).fit(voxels[training], planted_codes(settings, TRAIN)[index[training]])
        self.codes = planted_codes(settings, TEST)
        self.found = {kind_: model.predict(voxels[kind == kind_]) for kind_ in (FACTS.perception, FACTS.imagery)}
        self.shown = {kind_: index[kind == kind_] for kind_ in self.found}

    def correlation(self, part: slice, kind: int = FACTS.perception, averaged: bool = True) -> float:
        found, shown = self.found[kind], self.shown[kind]
        if averaged:
            found = np.stack([found[shown == picture].mean(axis=0) for picture in range(len(self.codes))])
            shown = np.arange(len(self.codes))
        pairs = zip(found[:, part].T, self.codes[shown][:, part].T, strict=True)
        return float(np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs]))


APPEARANCE, ATTRIBUTES = slice(0, APPEARANCE_SIZE), slice(APPEARANCE_SIZE, CODE_SIZE)


def test_early_areas_tell_appearance_and_late_ones_attributes(dataset: Path) -> None:
    early, late = Decoder(dataset, "LVC"), Decoder(dataset, "HVC")
    assert early.correlation(APPEARANCE) > 0.7
    assert early.correlation(APPEARANCE) > early.correlation(ATTRIBUTES) + 0.3
    assert late.correlation(ATTRIBUTES) > 0.4
    assert late.correlation(ATTRIBUTES) > late.correlation(APPEARANCE) + 0.1
    assert late.correlation(ATTRIBUTES) > early.correlation(ATTRIBUTES) + 0.2


def test_averages_tell_more_than_single_trials_and_imagery_less(dataset: Path) -> None:
    decoder = Decoder(dataset, "VC")
    assert decoder.correlation(ATTRIBUTES) > decoder.correlation(ATTRIBUTES, averaged=False) + 0.05
    imagined = decoder.correlation(ATTRIBUTES, FACTS.imagery)
    assert 0.15 < imagined < decoder.correlation(ATTRIBUTES) - 0.05
    assert decoder.correlation(APPEARANCE, FACTS.imagery) < decoder.correlation(APPEARANCE) - 0.4


def test_nothing_planted_is_nothing_found(tmp_path: Path) -> None:
    simulate_god(tmp_path / "god", **{**SMALL, "snr": 0})
    decoder = Decoder(tmp_path / "god", "VC")
    for kind in (FACTS.perception, FACTS.imagery):
        assert abs(decoder.correlation(slice(0, CODE_SIZE), kind)) < 0.2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"concept": 3}, "concept is no setting.*concepts"),
        ({"concepts": 0}, "concepts is 0"),
        ({"concepts": NUMBER_OF_CONCEPTS}, f"concepts is {NUMBER_OF_CONCEPTS} and test_concepts 50"),
        ({"test_concepts": 0}, "test_concepts is 0"),
        ({"images_per_concept": 100}, "images_per_concept is 100: it must be a whole number from 1 to 99"),
        ({"subjects": ()}, "subjects are"),
        ({"subjects": 1}, "subjects are 1: give a list"),
        ({"subjects": "12"}, "subjects are '12': give a list"),
        ({"subjects": (1, 1)}, "none twice"),
        ({"subjects": (0,)}, "subjects is 0"),
        ({"test_repeats": True}, "test_repeats is True"),
        ({"imagery_repeats": -1}, "imagery_repeats is -1"),
        ({"voxels": 99}, "voxels is 99: it must be a whole number from 100"),
        ({"snr": float("nan")}, "snr is nan"),
        ({"snr": "0.3"}, "snr is '0.3'"),
        ({"image_size": 4}, "image_size is 4"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_impossible_settings_are_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        simulate_god(tmp_path / "out", **settings)
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    for overwrite, message in ((False, "already exists"), (True, "holds other files")):
        with pytest.raises(InputError, match=message):
            simulate_god(tmp_path / "out", overwrite=overwrite, **TINY)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_full_disk_is_found_before_work_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: space._replace(free=50_000_000))
    simulate_god(tmp_path / "small", **TINY)
    shutil.rmtree(tmp_path / "small")
    with pytest.raises(InputError, match=r"out would take 87 MB and its disk has 50 MB free"):
        simulate_god(tmp_path / "out", **{**TINY, "test_repeats": 600, "voxels": 6000})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (OSError("the cable fell out"), InputError, "out cannot be written: the cable fell out"),
        (OSError(errno.ENOSPC, "file write failed: time = ..."), InputError, "written: No space left on device. Name"),
    ],
)
def test_an_interrupted_simulation_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    kind: type[BaseException],
    message: str | None,
) -> None:
    scanned = []
    scan = SubjectBrain.scan

    def break_off(self: SubjectBrain, run_kind: str, *arguments: Any, **options: Any) -> np.ndarray:
        scanned.append(run_kind)
        if len(scanned) == 2:
            raise error
        return scan(self, run_kind, *arguments, **options)

    monkeypatch.setattr(SubjectBrain, "scan", break_off)
    with pytest.raises(kind, match=message):
        simulate_god(tmp_path / "out", **TINY)
    assert len(scanned) == 2
    assert not list(tmp_path.iterdir())


def test_without_h5py_the_remedy_is_named_before_work_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    monkeypatch.setattr(god, "write_pictures", lambda *arguments: pytest.fail("work has started"))
    with pytest.raises(InputError, match=r"pip install 'neuroclip-hf\[fmri\]'"):
        simulate_god(tmp_path / "out", **TINY)
