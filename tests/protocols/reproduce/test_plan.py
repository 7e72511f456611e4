"""Every subject and seed once, each apart from the others, and one folder for one thing."""

from dataclasses import replace

import numpy as np
import pytest

from neuroclip_hf import columns
from neuroclip_hf.data.store_part import part_of_store
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json
from neuroclip_hf.protocols.reproduce.claims import at_work
from neuroclip_hf.protocols.reproduce.plan import PLAN_FILE, make_plan, open_folder, run_folder, widened


def changed(recipe, **settings):
    return replace(recipe, training=replace(recipe.training, **settings))


def test_intra_trains_each_subject_alone_with_every_seed(recipe, store):
    plan = make_plan(changed(recipe, seed=5), store, "intra", 2)
    assert [run.name for run in plan.runs] == ["sub-01/seed-5", "sub-02/seed-5", "sub-01/seed-6", "sub-02/seed-6"]
    assert plan.seeds == [5, 6]
    assert plan.subjects == ["sub-01", "sub-02"]
    settings = plan.recipe_of(plan.runs[1])
    assert (settings.data.split, settings.data.subjects) == (columns.INTRA_SUBJECT, ["sub-02"])
    assert settings.training.seed == 5
    assert plan.recipe_of(plan.runs[3]).training.seed == 6
    assert run_folder(store.path, plan.runs[0]) == store.path / "runs" / "sub-01" / "seed-5"


def test_inter_holds_each_subject_out_once(recipe, store):
    plan = make_plan(recipe, store, "inter", 1)
    settings = [plan.recipe_of(run).data for run in plan.runs]
    assert [one.held_out_subject for one in settings] == ["sub-01", "sub-02"]
    assert [one.subjects for one in settings] == [["sub-02"], ["sub-01"]]
    assert {one.split for one in settings} == {columns.LEAVE_ONE_SUBJECT_OUT}


def test_what_validation_would_choose_is_known_also_of_a_recipe_that_takes_the_last_epoch(recipe, store):
    for mine, used in (("last", "loss"), ("top1", "top1"), ("loss", "loss")):
        plan = make_plan(changed(recipe, selection=mine), store, "intra", 1)
        assert plan.recipe_of(plan.runs[0]).training.selection == used


@pytest.mark.parametrize(
    ("protocol", "seeds", "subjects", "words"),
    [
        ("both", 1, None, "--protocol is 'both': choose one of intra, inter"),
        ("intra", 0, None, "--seeds is 0"),
        ("intra", -1, None, "--seeds is -1"),
        ("intra", 1001, None, "1 to 1000"),
        ("intra", 1, ["7"], "holds no subject 7"),
        ("inter", 1, ["1"], "subject"),
    ],
)
def test_what_cannot_be_planned_is_refused(recipe, store, protocol, seeds, subjects, words):
    with pytest.raises(InputError, match=words):
        make_plan(recipe, store, protocol, seeds, subjects)


def test_subjects_of_a_recipe_are_refused(recipe, store):
    mine = replace(recipe, data=replace(recipe.data, subjects=["sub-01"]))
    with pytest.raises(InputError, match=r"subjects is set by --protocol.*--subjects"):
        make_plan(mine, store, "intra", 1)


def test_a_part_of_a_store_is_refused_since_runs_open_the_whole(recipe, store):
    with pytest.raises(InputError, match=r"say channels= and window="):
        make_plan(recipe, part_of_store(store, ["Oz"]), "intra", 1)


def test_a_folder_is_gone_on_with_for_the_same_thing_alone(recipe, store, tmp_path):
    folder, plan = tmp_path / "out", make_plan(recipe, store, "intra", 1)
    open_folder(folder, plan.identity())
    before = (folder / PLAN_FILE).read_bytes()
    more = make_plan(changed(recipe, seed=3, num_workers=1), store, "intra", 4, ["2"])
    open_folder(folder, more.identity())  # seeds and subjects may be added
    assert (folder / PLAN_FILE).read_bytes() == before
    for other, word in (
        (make_plan(changed(recipe, epochs=3), store, "intra", 1), "recipe"),
        (make_plan(recipe, store, "inter", 1), "protocol"),
    ):
        with pytest.raises(InputError, match=f"another .*{word}.*: use the same to go on.*--overwrite"):
            open_folder(folder, other.identity())
    open_folder(folder, make_plan(recipe, store, "inter", 1).identity(), overwrite=True)
    assert read_json(folder / PLAN_FILE)["protocol"] == "inter"


def test_who_trains_is_part_of_what_is_made_across_subjects(array_store, recipe, tmp_path):
    three = array_store(subject=np.repeat(["sub-01", "sub-02", "sub-03"], [20, 20, 10]))
    open_folder(tmp_path / "out", make_plan(recipe, three, "inter", 1, ["1", "2"]).identity())
    open_folder(tmp_path / "out", make_plan(recipe, three, "inter", 2, ["1", "2"]).identity())
    with pytest.raises(InputError, match="another subjects"):
        open_folder(tmp_path / "out", make_plan(recipe, three, "inter", 1).identity())


def test_a_folder_is_not_removed_while_somebody_works_there(recipe, store, tmp_path):
    identity = make_plan(recipe, store, "intra", 1).identity()
    open_folder(tmp_path / "out", identity)
    with at_work(tmp_path / "out"), pytest.raises(InputError, match="being worked in by process"):
        open_folder(tmp_path / "out", identity, overwrite=True)
    assert (tmp_path / "out" / PLAN_FILE).is_file()


@pytest.mark.parametrize(
    ("protocol", "asked", "finished", "runs", "left"),
    [
        ("intra", (1, None), {(1, 0), (2, 0), (1, 1), (2, 1)}, ["1/0", "2/0", "1/1", "2/1"], []),
        ("intra", (1, ["1"]), {(1, 0), (2, 0), (1, 1)}, ["1/0", "2/0"], ["1/1"]),
        ("intra", (2, ["2"]), {(1, 0), (2, 0), (2, 1), (2, 2)}, ["2/0", "2/1", "2/2"], ["1/0"]),
        ("inter", (1, None), {(1, 0), (2, 0), (1, 1), (2, 1), (1, 2)}, ["1/0", "2/0", "1/1", "2/1"], ["1/2"]),
    ],
)
def test_earlier_runs_stay_in_the_report_where_every_subject_has_them(
    recipe, store, protocol, asked, finished, runs, left
):
    made = {(f"sub-0{subject}", seed) for subject, seed in finished}
    plan, names = widened(make_plan(recipe, store, protocol, *asked), made, store)
    assert [run.name for run in plan.runs] == [f"sub-0{one.replace('/', '/seed-')}" for one in runs]
    assert names == [f"sub-0{one.replace('/', '/seed-')}" for one in left]
    assert {run.split for run in plan.runs} == {run.split for run in make_plan(recipe, store, protocol, 1).runs} or (
        asked[1] == ["2"]
    )


def test_somebody_elses_folder_is_never_touched(recipe, store, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(InputError, match=PLAN_FILE):
            open_folder(tmp_path, make_plan(recipe, store, "intra", 1).identity(), overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
