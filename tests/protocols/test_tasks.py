"""Category decoding and matching by runs of a store."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from neuroclip_hf import columns
from neuroclip_hf.checkpoints import load_run
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation.predictions import average_predictions, predict_trials
from neuroclip_hf.evaluation.references import BRAVL
from neuroclip_hf.protocols.decoding import CategoryDecoding, Matching
from neuroclip_hf.protocols.task_folders import TaskFolder, task_folders
from neuroclip_hf.protocols.tasks import Asked, Task, ask_runs
from neuroclip_hf.run_files import TASKS

SINGLE, MEANS = "single trials", "means of the predictions of 4 trials"


@pytest.fixture(scope="module")
def god(god_store):
    return TrialStore(god_store)


@pytest.fixture
def reproduction(god_reproduction, tmp_path):
    return shutil.copytree(god_reproduction, tmp_path / "ridge")


@pytest.fixture
def one(reproduction):
    """The run of the first subject."""
    return task_folders([reproduction])[0].runs[0]


def together(*runs):
    return TaskFolder("", None, list(runs))


def unit(values):
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def test_predictions_are_averaged_and_patterns_are_not(one, god):
    model, processor = load_run(one)
    single = predict_trials(model, processor, god, subjects=["sub-01"])
    assert len(single.queries) == 12
    mean = average_predictions(single, god, None)
    for query, found in zip(mean.queries, mean.embeds, strict=True):
        rows = [place for place, each in enumerate(single.queries) if each.image_id == query.image_id]
        torch.testing.assert_close(found, single.embeds[rows].mean(dim=0))
    pairs = average_predictions(single, god, 2)
    assert [len(query.trials) for query in pairs.queries] == [2] * 6
    assert (single.averaged, pairs.averaged, mean.averaged) == (1, 2, 4)
    with pytest.raises(InputError, match="fewer than the 5 trials"):
        average_predictions(single, god, 5)


def test_single_trials_and_means_stand_side_by_side(one, god):
    report = ask_runs(CategoryDecoding(), together(one), god, Asked())
    assert [(row["queries"], row["averaged_predictions"]) for row in report.rows] == [(SINGLE, 1), (MEANS, 4)]
    assert [row["num_queries"] for row in report.rows] == [12, 3]
    assert (report.data, report.trials, report.zero_shot) == ("simulated", "perception", True)
    assert report.supervision == {"image_weight": 1.0, "text_weight": 1.0}
    saved = json.loads((one / "categories.json").read_text())
    assert saved["results"] == [json.loads(json.dumps(report.to_dict()))]


def test_categories_beside_numpy(one, god):
    model, processor = load_run(one)
    single = predict_trials(model, processor, god, subjects=["sub-01"])
    gallery = god.gallery(columns.TEST)
    with torch.no_grad():
        pixels = processor(images=[god.open_picture(name) for name in gallery[columns.IMAGE_ID]])["pixel_values"]
        images = unit(model.get_image_features(pixels).numpy())
    found = (unit(single.embeds.numpy()) @ images.T).argmax(axis=1)
    names = list(gallery[columns.CONCEPT])
    hits = [names[place] == query.concept for place, query in zip(found, single.queries, strict=True)]
    np.testing.assert_allclose(CategoryDecoding("images").candidates(model, processor, god).embeds, images, atol=1e-5)
    report = ask_runs(CategoryDecoding("images"), together(one), god, Asked(average="1"))
    (row,) = report.rows
    assert row["top1"] == np.mean(hits)
    assert np.trace(row["confusion"]["counts"]) == sum(hits)
    assert report.candidates == "pictures: the one gallery picture of each class, which is the one that was shown"


def test_pictures_of_a_class_are_normalised_averaged_and_normalised(one, god):
    model, processor = load_run(one)
    each = CategoryDecoding("images").candidates(model, processor, god).embeds.numpy()
    merged = TrialStore(god.path)
    tested = merged.pictures.index[merged.pictures[columns.GALLERY] == columns.TEST]
    merged.pictures.loc[tested, columns.CONCEPT] = ["first", "second", "first"]
    found = CategoryDecoding("images").candidates(model, processor, merged)
    assert found.names == ["first", "second"]
    np.testing.assert_allclose(found.embeds, np.stack([unit(each[0] + each[2]), each[1]]), atol=1e-5)
    assert found.described.startswith(
        "pictures: the mean of each class's 1 to 2 gallery pictures, those that were shown"
    )


def test_what_was_imagined_is_another_question(one, god):
    for trials, kind, count in (("imagery", "imagery", 6), ("test", "perception", 12)):
        report = ask_runs(CategoryDecoding(), together(one), god, Asked(trials))
        assert (report.trials, report.rows[0]["num_queries"]) == (kind, count)
    saved = json.loads((one / "categories.json").read_text())["results"]
    assert [result["trials"] for result in saved] == ["imagery", "perception"]
    with pytest.raises(InputError, match=r"imagery against texts gave: pass --overwrite"):
        ask_runs(CategoryDecoding(), together(one), god, Asked("imagery"))
    ask_runs(CategoryDecoding(), together(one), god, Asked("imagery", average="1"), overwrite=True)
    saved = json.loads((one / "categories.json").read_text())["results"]
    assert [(result["trials"], len(result["rows"])) for result in saved] == [("perception", 2), ("imagery", 1)]


def test_a_reproduction_has_a_table_of_all_its_subjects(reproduction, god):
    (folder,) = task_folders([reproduction])
    assert [path.name for path in folder.runs] == ["last_epoch"] * 2
    report = ask_runs(Matching("texts"), folder, god, Asked())
    assert [row["direction"] for row in report.rows] == ["brain to text", "text to brain"] * 2
    assert report.candidates == "3 texts of 3 gallery pictures, 3 of them captions"
    for row in report.rows:
        assert list(row["subjects"]) == ["sub-01", "sub-02"]
        assert row["top1"] == pytest.approx(np.mean([found["top1"] for found in row["subjects"].values()]))
        assert row["intervals"]["top1"]["over"] == "pictures within subjects"
    alone = [json.loads((path / "matching.json").read_text())["results"][0] for path in folder.runs]
    assert [one["rows"][0]["top1"] for one in alone] == [
        found["top1"] for found in report.rows[0]["subjects"].values()
    ]
    assert json.loads((reproduction / "matching.json").read_text())["results"][0]["runs"][1]["subjects"] == ["sub-02"]


def test_captions_of_other_pictures_are_refused(one, god):
    ids = list(god.gallery(columns.TEST)[columns.IMAGE_ID])
    texts = {name: f"thing {place}" for place, name in enumerate(ids)}
    report = ask_runs(Matching("texts", texts), together(one), god, Asked())
    assert report.candidates == "3 texts of 3 gallery pictures, 3 of them captions"
    for captions, message in (
        ({**texts, "elsewhere.jpg": "x"}, r"1 captions are for pictures that .* does not hold \('elsewhere.jpg'\)"),
        ({ids[0]: "x"}, "2 gallery pictures have no caption"),
    ):
        with pytest.raises(InputError, match=message):
            ask_runs(Matching("texts", captions), together(one), god, Asked(), overwrite=True)


def test_a_test_class_in_training_is_refused(one, god):
    name = god.gallery(columns.TEST)[columns.CONCEPT].iloc[0]
    path = one / "trained_on.json"
    seen = json.loads(path.read_text())
    path.write_text(json.dumps({**seen, "concept": [*seen["concept"], name]}))
    with pytest.raises(
        InputError, match=rf"declares new-concepts, and 1 of its 3 test classes were trained on \({name}"
    ):
        ask_runs(CategoryDecoding(), together(one), god, Asked())
    shared = TrialStore(god.path)
    shared.info = replace(god.info, protocol=columns.NEW_PICTURES)
    assert not ask_runs(CategoryDecoding(), together(one), shared, Asked()).zero_shot


def test_the_papers_row_stands_beside_no_simulation(one, god):
    task = CategoryDecoding(protocol=BRAVL)
    report = ask_runs(task, together(one), god, Asked(average="1"))
    assert (report.named_protocol, report.reference) == (BRAVL, None)
    assert "BraVL's own numbers do not stand here: the recordings are simulated" in report.flags[-1]
    for asked in (Asked(), Asked("imagery", average="1")):
        with pytest.raises(InputError, match="single trials of perception"):
            ask_runs(task, together(one), god, asked, overwrite=True)


def test_a_control_stands_beside(reproduction, one, god):
    (one / "control").mkdir()
    other = task_folders([reproduction])[0].runs[0]
    for path in other.iterdir():
        if path.is_file():
            shutil.copy(path, one / "control")
    row = ask_runs(CategoryDecoding(), together(one), god, Asked()).rows[0]
    assert row["control"]["top1"] == row["top1"]


def test_neuroclip_has_pictures_and_no_texts(run_copy, store):
    report = ask_runs(Matching("images"), together(run_copy), store, Asked())
    assert [row["direction"] for row in report.rows] == ["brain to image", "image to brain"] * 2
    assert list(report.rows[0]["subjects"]) == ["sub-01", "sub-02"]
    assert report.supervision is None
    assert ask_runs(CategoryDecoding("images"), together(run_copy), store, Asked()).rows[0]["gallery_size"] == 6
    for task in (Matching("texts"), CategoryDecoding("texts")):
        with pytest.raises(InputError, match=r"a neuroclip run brings recordings .* in which no texts lie"):
            ask_runs(task, together(run_copy), store, Asked())
    with pytest.raises(InputError, match="holds no imagery trials of these subjects; it has test"):
        ask_runs(Matching("images"), together(run_copy), store, Asked("imagery"))


def test_folders(reproduction, one, tmp_path):
    with pytest.raises(InputError, match="is named twice"):
        task_folders([one, one])
    runs, whole = task_folders([reproduction, one])
    assert (runs.path, whole.path) == (None, reproduction)
    ablation = tmp_path / "ablation"
    for name in ("v1", "loc"):
        shutil.copytree(reproduction, ablation / "variations" / name)
    assert [folder.name for folder in task_folders([ablation])] == ["loc", "v1"]
    shutil.rmtree(reproduction / "runs")
    with pytest.raises(InputError, match="holds no finished run"):
        task_folders([reproduction])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Asked("train"), "--trials is 'train': choose one of test, imagery"),
        (lambda: Asked(average="0"), "--average is '0': say all, or a whole number"),
        (lambda: CategoryDecoding("words"), "--against is 'words': choose one of texts, images"),
        (lambda: CategoryDecoding("images", ["{}"]), "--templates are of texts"),
        (lambda: CategoryDecoding(protocol="other"), "--protocol is 'other': choose one of bravl"),
        (lambda: Matching("images", {"a": "b"}), "--captions are texts"),
    ],
)
def test_refused_settings(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_runs_that_make_no_mean_are_refused(reproduction, one, god, tmp_path):
    _, other = task_folders([reproduction])[0].runs
    twin = shutil.copytree(one, tmp_path / "twin")
    with pytest.raises(
        InputError,
        match=r"are of the same subjects and the same seed.*one by one; to set regions .*ablate --over channels",
    ):
        ask_runs(CategoryDecoding(), together(one, twin), god, Asked())
    (one / "control").mkdir()
    for path in (path for path in twin.iterdir() if path.is_file()):
        shutil.copy(path, one / "control")
    report = ask_runs(CategoryDecoding(), together(one, other), god, Asked())
    assert report.rows[0]["control"] is None
    assert "1 of the 2 runs have a control, so that none is shown." in report.flags
    facts = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps({**facts, "recipe": "brainclip"}))
    with pytest.raises(InputError, match=r"runs differ in recipe \(brainclip-ridge and brainclip\)"):
        ask_runs(CategoryDecoding(), together(one, other), god, Asked(), overwrite=True)


def test_every_task_is_registered():
    assert {task.name for task in Task.__subclasses__() if task.__module__.startswith("neuroclip_hf.")} == set(TASKS)
