"""Penalties over a batch: the same on any number of processes, however its rows are shared out."""

import torch

from neuroclip_hf.models.brain_image.batches import weigh_penalties

PARTS = {1: [3], 2: [2, 1], 4: [1, 0, 1, 1]}


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
