"""Runs are made once, by whoever takes them first, and one that fails stops no other."""

import pytest
from filelock import FileLock
from safetensors.torch import load_file
from torch import equal

from neuroclip_hf.files import read_json
from neuroclip_hf.protocols.reproduce import work as working
from neuroclip_hf.protocols.reproduce.plan import is_done, run_folder
from neuroclip_hf.protocols.reproduce.work import make_missing
from neuroclip_hf.protocols.run import train_run
from neuroclip_hf.run_files import COST_FILE, LAST_EPOCH


@pytest.fixture
def trainings(monkeypatch):
    """Folders that `train_run` was called for."""
    made, real = [], train_run

    def spy(recipe, store, out, **options):
        made.append(f"{out.parent.name}/{out.name}")
        return real(recipe, store, out, **options)

    monkeypatch.setattr(working, "train_run", spy)
    return made


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(one, other):
    mine, theirs = weights(one), weights(other)
    return mine.keys() == theirs.keys() and all(equal(mine[name], theirs[name]) for name in mine)


def test_every_run_is_made_once_with_its_last_epoch_and_what_it_cost(make_work, store, trainings):
    work = make_work(seeds=2)
    make_missing([work], store.path)
    assert trainings == ["sub-01/seed-0", "sub-02/seed-0", "sub-01/seed-1", "sub-02/seed-1"]
    assert not work.unfinished()
    for run in work.plan.runs:
        folder = run_folder(work.folder, run)
        assert is_done(work.folder, run)
        assert read_json(folder / LAST_EPOCH / "run.json")["selection"] == "last"
        cost = read_json(folder / COST_FILE)
        assert cost["peak_memory"] > 1e6
        assert cost["seconds"] > 0
        assert cost["hardware"]["cores"]
    make_missing([work], store.path)
    assert len(trainings) == 4


def test_a_run_is_what_it_would_be_alone_and_seeds_differ(make_work, store, tmp_path):
    work = make_work(seeds=2, subjects=["1"])
    make_missing([work], store.path)
    zero, one = (run_folder(work.folder, run) for run in work.plan.runs)
    assert not same(zero, one)
    train_run(work.plan.recipe_of(work.plan.runs[1]), store, tmp_path / "alone")
    assert same(one, tmp_path / "alone")


def test_what_is_missing_is_made_and_nothing_else(make_work, store, trainings):
    work = make_work()
    make_missing([work], store.path)
    first, second = (run_folder(work.folder, run) for run in work.plan.runs)
    (first / LAST_EPOCH / "report.json").unlink()
    kept = (second / "report.json").stat().st_mtime_ns
    trainings.clear()
    make_missing([work], store.path)
    assert trainings == []  # only evaluated
    assert (first / LAST_EPOCH / "report.json").is_file()
    assert (second / "report.json").stat().st_mtime_ns == kept


def test_a_run_that_somebody_else_makes_is_left_to_them(make_work, store, trainings):
    work = make_work()
    with FileLock(lock_of(work)):
        make_missing([work], store.path, wait=False)
    assert trainings == ["sub-02/seed-0"]
    assert [run.name for run in work.unfinished()] == ["sub-01/seed-0"]
    make_missing([work], store.path)
    assert not work.unfinished()


def test_a_run_that_somebody_else_makes_is_waited_for_and_taken_over(make_work, store, trainings, monkeypatch, caplog):
    work, lock = make_work(), FileLock(lock_of(make_work()))
    lock.acquire()
    monkeypatch.setattr(working.time, "sleep", lambda _: lock.release())  # they stop
    with caplog.at_level("INFO", logger="neuroclip_hf"):
        make_missing([work], store.path)
    assert trainings == ["sub-02/seed-0", "sub-01/seed-0"]
    assert "sub-01/seed-0 is being made by another process: waiting for it." in caplog.messages


def lock_of(work):
    path = work.folder / ".locks" / "sub-01.seed-0.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_lost_numbers_are_noted_and_the_others_made(make_work, store, monkeypatch):
    work, real = make_work(), train_run

    def loses(recipe, store, out, **options):
        if out.parent.name == "sub-01":
            raise FloatingPointError("The loss is nan in epoch 1")
        return real(recipe, store, out, **options)

    monkeypatch.setattr(working, "train_run", loses)
    make_missing([work], store.path)
    assert work.failures() == {"sub-01/seed-0": "The loss is nan in epoch 1"}
    assert [run.name for run in work.unfinished()] == ["sub-01/seed-0"]
    monkeypatch.undo()
    make_missing([work], store.path)
    assert work.unfinished()  # not tried again within one command
    work.forget_failures()
    make_missing([work], store.path)
    assert not work.unfinished()
