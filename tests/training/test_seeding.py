"""One seed for everything, and batches whose order depends on it alone."""

import random

import numpy as np
import pytest
import torch

from neuroclip_hf.data.sampling import ClassBalanced, Shuffled, SubjectsByPictures
from neuroclip_hf.training.exactness import rows_of_process
from neuroclip_hf.training.seeding import seed_everything


def test_every_generator_starts_again():
    def draw():
        return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002 - what is tested

    seed_everything(3)
    first = draw()
    seed_everything(3)
    assert draw() == first
    seed_everything(4)
    assert all(mine != theirs for mine, theirs in zip(draw(), first, strict=True))


def batches(name):
    subjects, pictures = np.repeat(np.arange(4), 30), np.tile(np.arange(30), 4)
    return {
        "shuffled": Shuffled(120, 16, 1),
        "subjects-by-pictures": SubjectsByPictures(subjects, pictures, 16, 1),
        "class-balanced": ClassBalanced(pictures % 2, 16, 1),
    }[name]


NAMES = ["shuffled", "subjects-by-pictures", "class-balanced"]


@pytest.mark.parametrize("name", NAMES)
def test_the_order_is_of_seed_and_epoch_alone(name):
    order = batches(name)
    first = order.epoch(0)
    assert len(order) == len(first) == 8
    random.random(), torch.rand(3)  # what runs beside it does not matter
    assert order.epoch(0) == first
    assert order.epoch(1) != first
    assert order.epoch(0) == first == batches(name).epoch(0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ranks", [1, 2, 3, 16, 20])
def test_ranks_share_every_batch_out_among_them(name, ranks):
    for batch in batches(name).epoch(0):
        parts = [rows_of_process(batch, rank, ranks) for rank in range(ranks)]
        assert [item for part in parts for item in part] == batch
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_workers_read_the_same_batches(name):
    def read(workers):
        loader = torch.utils.data.DataLoader(range(120), batch_sampler=batches(name).epoch(0), num_workers=workers)
        return [batch.tolist() for batch in loader]

    assert read(0) == read(2) == batches(name).epoch(0)
