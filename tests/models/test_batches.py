"""Penalties over a batch: the same on any number of processes, however its rows are shared out."""

import pytest
import torch

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.batches import require_places, require_subjects
from neuroclip_hf.models.brain_image.batches import weigh_penalties

PARTS = {1: [3], 2: [2, 1], 4: [1, 0, 1, 1]}


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int64])
def test_numbers_of_small_types_do_not_wrap(dtype):
    values = torch.tensor([0, 50, 100], dtype=dtype)
    for many in (101, 200, 300, 70_000):
        require_places("picture_index", values, many)
        require_subjects(values, many)
    with pytest.raises(InputError, match="picture_index names picture 100: there are 100, from 0 to 99"):
        require_places("picture_index", values, 100)
    with pytest.raises(InputError, match="subject_index names subject 100: there are 100"):
        require_subjects(values, 100)


def weighed(rank, world):
    values = torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64).split(PARTS[world])[rank].requires_grad_()
    total = weigh_penalties({"kl": values, "size": values.square()}, {"kl": 2.0, "size": 0.5}, gathered=True)
    total.backward()
    return {"total": total.detach(), "gradient": values.grad / world}  # DistributedDataParallel takes the mean


def test_means_are_those_of_all_rows(on_ranks):
    found = on_ranks(weighed, PARTS)
    expected = 2 * 3.0 + 0.5 * 41 / 3
    for ranks in found.values():
        torch.testing.assert_close(torch.stack([each["total"] for each in ranks]).mean().item(), expected)
    alone, *shared = (torch.cat([each["gradient"] for each in ranks]) for ranks in found.values())
    for each in shared:
        torch.testing.assert_close(each, alone)
