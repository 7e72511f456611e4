"""Seeds of steps, deterministic algorithms, and the parts of a batch."""

import random

import numpy as np
import pytest
import torch

from neuroclip_hf.training.exactness import deterministic_on_cpus, rows_of_process, seed_step, without_rows


def draws(*step):
    seed_step(*step)
    return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002 - what is tested


def test_a_step_draws_by_seed_step_and_process_alone():
    first = draws(0, 1, 2)
    random.random(), torch.rand(5)
    assert draws(0, 1, 2) == first
    for other in ((1, 1, 2), (0, 2, 2), (0, 1, 3), (0, 2, 1)):
        assert all(mine != theirs for mine, theirs in zip(draws(*other), first, strict=True))


@pytest.mark.parametrize(("device", "inside"), [("cpu", (True, False)), ("cuda", (True, True))])
def test_what_was_set_before_is_set_again(device, inside):
    def state():
        return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()

    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with pytest.raises(KeyError), deterministic_on_cpus(torch.device(device)):
            assert state() == inside
            raise KeyError
        assert state() == (True, True)
    finally:
        torch.use_deterministic_algorithms(False)


def test_parts_are_neighbours_and_equal_up_to_one():
    assert [rows_of_process([7, 5, 3], rank, 2) for rank in range(2)] == [[7], [5, 3]]
    assert sorted(len(rows_of_process([1, 2], rank, 5)) for rank in range(5)) == [0, 0, 0, 1, 1]


def test_without_rows_pictures_stay_where_rows_point_to_them():
    batch = {"eeg_values": torch.ones(2, 3), "pixel_values": torch.ones(2, 1), "image_id": torch.ones(2)}
    assert {name: len(value) for name, value in without_rows(batch).items()} == dict.fromkeys(batch, 0)
    pointed = {**batch, "picture_index": torch.zeros(2), "image_features": torch.ones(1, 1, 4)}
    lengths = {name: len(value) for name, value in without_rows(pointed).items()}
    assert lengths == {**dict.fromkeys(pointed, 0), "pixel_values": 2, "image_features": 1}
