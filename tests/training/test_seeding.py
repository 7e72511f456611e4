"""One seed for everything, and batches whose order depends on it alone."""

import random

import numpy as np
import pytest
import torch
from accelerate.data_loader import BatchSamplerShard

from neuroclip_hf.data.sampling import ClassBalanced, Shuffled, SubjectsByPictures
from neuroclip_hf.training.seeding import BatchOrder, seed_everything


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
    order = BatchOrder(batches(name))
    first = list(order)
    assert len(order) == len(first) == 8
    random.random(), torch.rand(3)  # what runs beside it does not matter
    assert list(order) == first
    order.set_epoch(1)
    assert list(order) != first
    order.set_epoch(0)
    assert list(order) == first == list(BatchOrder(batches(name)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_share_every_batch_out_among_them(name, ranks):
    order = BatchOrder(batches(name))
    whole = list(order)[:7]
    slices = [list(BatchSamplerShard(order, ranks, rank, split_batches=True)) for rank in range(ranks)]
    assert {len(mine) for mine in slices} == {8}
    assert [[item for mine in slices for item in mine[step]] for step in range(7)] == whole
    assert {len(part) for mine in slices for part in mine} == {16 // ranks}


@pytest.mark.parametrize("name", NAMES)
def test_workers_read_the_same_batches(name):
    def read(workers):
        loader = torch.utils.data.DataLoader(range(120), batch_sampler=BatchOrder(batches(name)), num_workers=workers)
        return [batch.tolist() for batch in loader]

    assert read(0) == read(2) == list(BatchOrder(batches(name)))
