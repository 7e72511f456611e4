"""`prepare arrays` on files as they are found: other names, a row a trial, labels, products of patterns, no split."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuroclip_hf import columns
from neuroclip_hf.data.sources.array_reading import ArrayReading
from neuroclip_hf.data.sources.arrays import prepare_arrays
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError

LABELS = np.tile(["rest", "face", "house", "cat", "face", "rest"], 4)
RUN = np.repeat([0, 1, 2, 3], 6).astype(np.int8)
NAMES = {"brain": "bold"}


def volumes() -> np.ndarray:
    """(24, 7): each label has a pattern, each run a mean and a scale of its own."""
    generator = np.random.default_rng(0)
    pattern = {name: generator.standard_normal(7) for name in sorted(set(LABELS))}
    values = np.stack([pattern[label] for label in LABELS]) + 0.1 * generator.standard_normal((24, 7))
    return np.round(10 * values * (RUN + 10)[:, None] + 900.0 * RUN[:, None]).astype(np.int16)


def prepare(folder: Path, arrays: dict[str, Any], protocol: str = columns.NEW_TRIALS, **asked: Any) -> TrialStore:
    np.savez(folder / "found.npz", **arrays)
    reading = ArrayReading(**asked)
    return TrialStore(prepare_arrays(folder / "found.npz", folder / "store", protocol=protocol, reading=reading))


def scans(**changes: Any) -> dict[str, Any]:
    return {"bold": volumes(), "label": LABELS, "run": RUN, **changes}


def test_labelled_volumes_are_scaled_by_run_and_what_is_left_out_counted_in(tmp_path: Path, caplog):
    store = prepare(tmp_path, scans(), names=NAMES, leave_out=("rest",), test_runs=(3,), scale_runs=True)
    trials = store.trials
    assert Counter(trials[columns.CONCEPT]) == {"face": 8, "house": 4, "cat": 4}
    assert set(trials[columns.RUN][trials[columns.SPLIT] == "test"]) == {3}
    assert store.info.settings["scale_runs"] is True
    assert store.info.settings["leave_out"] == ["rest"]
    assert store.info.settings["test_runs"] == [3]
    found = store.read(np.arange(len(trials)))
    # The mean of the trials that are kept is not 0: those of rest belong to the run.
    assert abs(found[trials[columns.RUN] == 0].mean(axis=0)).max() > 0.1
    kept = trials[columns.RUN].to_numpy()
    face = trials[columns.CONCEPT].to_numpy() == "face"
    means = np.stack([found[face & (kept == run)].mean(axis=0) for run in range(4)])
    assert means.std(axis=0).max() < 0.2
    assert "lies between runs" not in caplog.text


def test_unscaled_runs_that_differ_are_said(tmp_path: Path, caplog):
    store = prepare(tmp_path, scans(), names=NAMES, leave_out=("rest",), test_runs=(3,))
    assert "of a voxel's variance (the median one) lies between runs" in caplog.text
    assert any("--scale-runs takes a line" in warning for warning in store.info.warnings)
    assert store.info.unit == "au"


def test_pictures_a_row_a_trial_are_one_picture_where_they_are_equal(tmp_path: Path):
    images = np.random.default_rng(1).integers(0, 2, (3, 10, 10), dtype=np.uint8)
    shown = np.array([2, 0, 0, 1, 2, 1, 0, 2, 1])
    brain = np.random.default_rng(2).standard_normal((9, 4))
    store = prepare(tmp_path, {"brain": brain, "images": images[shown]}, test_part=0.34)
    names = store.trials.sort_values(columns.SAMPLE)[columns.IMAGE_ID].tolist()
    order = [2, 0, 1]  # as the file shows them first
    assert names == [f"{order.index(one):05d}" for one in shown]
    first = np.asarray(store.open_picture("00000").convert("L"))
    np.testing.assert_array_equal(first, 255 * images[2])  # black and white
    tested = store.trials[store.trials[columns.SPLIT] == "test"]
    assert sorted(tested[columns.SAMPLE]) == [6, 7, 8]  # the last trial of each picture


def test_products_of_patterns_become_patterns_with_those_products(tmp_path: Path):
    patterns = np.random.default_rng(0).standard_normal((2, 8, 5))
    gram = np.einsum("spv,sqv->spq", patterns, patterns).astype(np.float32)
    images = np.random.default_rng(1).integers(0, 255, (8, 9, 9, 3), dtype=np.uint8)
    category = np.array(["face", "tool"] * 4)
    store = prepare(
        tmp_path,
        {"gram_x": gram, "images": images, "category": category, "caption": category},
        columns.NEW_PICTURES,
        names={"gram": "gram_x", "concept": "category"},
        test_part=0.25,
        seed=1,
    )
    order = np.argsort(store.trials[columns.SAMPLE].to_numpy())
    found = store.read(np.arange(8))[order].astype(np.float64)
    np.testing.assert_allclose(found @ found.T, gram.sum(axis=0), atol=0.02)
    tested = store.trials[store.trials[columns.SPLIT] == "test"]
    assert Counter(tested[columns.CONCEPT]) == {"face": 1, "tool": 1}


@pytest.mark.parametrize(
    ("protocol", "tested"), [(columns.NEW_CONCEPTS, 2), (columns.NEW_PICTURES, 2), (columns.NEW_TRIALS, 12)]
)
def test_a_part_is_of_what_the_protocol_tests_anew(tmp_path: Path, protocol: str, tested: int):
    arrays = {"brain": np.random.default_rng(0).standard_normal((36, 4)), "image_id": np.tile(np.arange(12), 3)}
    arrays["images"] = np.arange(12, dtype=np.uint8)[:, None, None] * np.full((12, 5, 5), 20, dtype=np.uint8)
    store = prepare(tmp_path, arrays, protocol, test_part=0.2)
    assert store.trials[columns.IMAGE_ID][store.trials[columns.SPLIT] == "test"].nunique() == tested
    other = tmp_path / "other"
    other.mkdir()
    same = prepare(other, arrays, protocol, test_part=0.2, seed=1).trials.equals(store.trials)
    assert same == (protocol == columns.NEW_TRIALS)


@pytest.mark.parametrize(
    ("changes", "asked", "message"),
    [
        ({}, {"names": {}}, r"unknown array 'bold'.*--arrays, as in brain=bold"),
        ({}, {"names": {"brian": "bold"}}, r"no array is called 'brian'"),
        ({}, {"names": {"brain": "bald"}}, r"lacks the array 'bald'"),
        ({"brain": volumes()}, {}, r"two arrays would have one name"),
        ({"run": None}, {"scale_runs": True}, r"lacks the array run \(trials,\), by which --scale-runs"),
        ({}, {"scale_runs": True, "test_part": 0.6}, r"run 1 holds trials that train and trials that are tested"),
        ({}, {"leave_out": ("pause",)}, r"no label 'pause' to leave out: it has cat, face, house, rest"),
        ({}, {"leave_out": ("cat", "face", "house", "rest")}, r"every trial would be left out"),
        ({}, {"test_runs": (7,)}, r"has no run 7 that could test: it has 0, 1, 2, 3"),
        ({"split": np.array(["train"] * 24)}, {"test_runs": (3,)}, r"has a split of its own"),
        ({"concept": np.array(["a"])}, {}, r"holds label, the concept of each trial, and concept"),
        ({"label": None, "image_id": np.zeros(24, int)}, {"leave_out": ("rest",)}, r"lacks the array label"),
        ({"gram": np.eye(24)}, {}, r"holds brain and gram"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tmp_path: Path, changes, asked, message):
    arrays = {name: value for name, value in scans(**changes).items() if value is not None}
    with pytest.raises(InputError, match=message):
        prepare(tmp_path, arrays, **{"names": NAMES, **asked})
    assert [path.name for path in tmp_path.iterdir()] == ["found.npz"]


def test_settings_contradict_each_other():
    with pytest.raises(InputError, match=r"test_part is 1\.5"):
        ArrayReading(test_part=1.5)
    with pytest.raises(InputError, match="both say what tests"):
        ArrayReading(test_part=0.5, test_runs=(1,))


def test_a_picture_has_one_caption(tmp_path: Path):
    images = np.zeros((4, 5, 5), dtype=np.uint8)
    images[2:] = 9
    arrays = {"brain": np.eye(4), "images": images, "caption": np.array(["a", "a", "b", "c"])}
    with pytest.raises(InputError, match=r"trial 3 shows the picture of trial 2, and its caption is 'c', not 'b'"):
        prepare(tmp_path, arrays)


@pytest.mark.parametrize("gram", [np.ones((3, 4)), -np.eye(4), np.eye(4, dtype=int)])
def test_what_are_no_products_is_refused(tmp_path: Path, gram):
    with pytest.raises(InputError, match="gram has"):
        prepare(tmp_path, {"gram": gram, "images": np.zeros((4, 5, 5), dtype=np.uint8)})
