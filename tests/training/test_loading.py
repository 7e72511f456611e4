"""Batches come in order and with the same bits whoever loads them, across epochs; workers end with the training."""

import multiprocessing
from types import SimpleNamespace

import pytest
import torch

from neuroclip_hf.training import loading
from neuroclip_hf.training.loading import Wanted, choose_workers, load_batches

WANTED = [Wanted(epoch, 2 * epoch + place, rows) for epoch in range(3) for place, rows in enumerate([[3, 1], [0, 2]])]


class Items:
    """Item, epoch and a number drawn from torch's own generator."""

    epoch = -1

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return 4

    def __getitem__(self, row):
        return row, self.epoch, torch.rand(()).item()


class Together(Items):
    def __getitems__(self, rows):
        return tuple(self[row] for row in rows)


def collate(items):
    return {"values": torch.tensor(items)}


def load(workers, dataset=None, wanted=WANTED, seed=0, process=0):
    return list(load_batches(dataset or Items(), collate, wanted, workers, seed, process))


@pytest.mark.parametrize("kind", [Items, Together])
def test_workers_load_the_same_bits_in_the_same_order(kind):
    alone, shared = load(0, kind()), load(2, kind())
    assert [wanted for wanted, _ in alone] == [wanted for wanted, _ in shared] == WANTED
    for (wanted, batch), (_, other) in zip(alone, shared, strict=True):
        assert torch.equal(batch["values"], other["values"])
        assert batch["values"][:, 0].tolist() == wanted.rows
        assert set(batch["values"][:, 1].tolist()) == {wanted.epoch}


def test_what_is_drawn_depends_on_seed_step_and_rank_alone():
    drawn = [batch["values"][0, 2].item() for _, batch in load(0)]
    assert len(set(drawn)) == len(WANTED)
    torch.rand(7)
    assert [batch["values"][0, 2].item() for _, batch in load(0, wanted=WANTED[4:])] == drawn[4:]
    for other in ({"seed": 1}, {"process": 1}):
        assert load(0, **other)[0][1]["values"][0, 2].item() != drawn[0]


def test_a_process_without_items_loads_the_first():
    [(wanted, batch)] = load(0, wanted=[Wanted(0, 0, [])])
    assert wanted.rows == []
    assert batch["values"][:, 0].tolist() == [0]


def test_workers_live_across_epochs_and_end_with_the_generator():
    batches = load_batches(Items(), collate, WANTED, 2, 0, 0)
    next(batches)
    workers = multiprocessing.active_children()
    assert len(workers) == 2
    for _ in WANTED[1:-1]:
        next(batches)
    assert multiprocessing.active_children() == workers
    batches.close()
    assert not any(worker.is_alive() for worker in workers)


GIB = 1024**3


@pytest.mark.parametrize(
    ("changes", "workers"),
    [
        ({}, 8),
        ({"asked": 3}, 3),
        ({"asked": 0}, 0),
        ({"cores": 4}, 3),
        ({"cores": 1}, 0),
        ({"processes": 4}, 3),
        ({"processes": 8, "local": "2"}, 7),
        ({"device": "cpu"}, 0),
        ({"device": "cpu", "asked": 2}, 2),
        ({"free": 2 * GIB}, 0),
        ({"free": 6 * GIB, "processes": 2}, 0),
        ({"method": "spawn"}, 0),
    ],
)
def test_how_many_workers_where_nobody_says(changes, workers, monkeypatch):
    case = {"asked": None, "cores": 16, "processes": 1, "local": None, "device": "cuda", "free": 60 * GIB}
    case = SimpleNamespace(**{**case, "method": "fork", **changes})
    monkeypatch.setattr(loading, "_cores", lambda: case.cores)
    monkeypatch.setattr(loading, "_free_shared_memory", lambda: case.free)
    monkeypatch.setattr(loading, "get_start_method", lambda: case.method)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if case.local:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", case.local)
    assert choose_workers(case.asked, torch.device(case.device), case.processes) == workers


def test_this_machine_can_be_asked():
    assert loading._cores() >= 1
    assert loading._free_shared_memory() >= 0
