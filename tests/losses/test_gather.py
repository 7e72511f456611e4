"""The all-gather: nothing on one process, exact on several, whatever part of the rows each one holds."""

import torch

from neuroclip_hf.losses import gather_with_gradient, softened_contrastive_loss

# Rows of each process: even, uneven, and one process without any.
PARTS = {
    "even": {1: [6], 2: [3, 3], 3: [2, 2, 2], 4: [2, 1, 2, 1]},
    "uneven": {1: [6], 2: [1, 5], 3: [4, 0, 2], 4: [0, 3, 1, 2]},
}


def shared_weight(rank, world):
    """The loss of six rows and the gradient of a weight that all of them share, for each way to part the rows."""
    return {name: _loss(parts[world], rank) for name, parts in PARTS.items()}


def _loss(sizes, rank):
    generator = torch.Generator().manual_seed(3)
    brain, image, frozen = (torch.randn(6, 4, dtype=torch.float64, generator=generator) for _ in range(3))
    weight = torch.randn(4, 3, dtype=torch.float64, generator=generator).requires_grad_()
    image_id = torch.tensor([0, 1, 2, 1, 3, 1])  # picture 1 is on every process that has two rows or more
    brain, image, frozen, image_id = (rows.split(sizes)[rank] for rows in (brain, image, frozen, image_id))
    gathered = [gather_with_gradient(rows) for rows in (brain @ weight, image @ weight, image_id, frozen)]
    loss = softened_contrastive_loss(*gathered[:2], 5.0, *gathered[2:], softening=0.2, softening_temperature=0.05)
    loss.backward()
    return {"loss": loss.detach(), "gradient": weight.grad}


def test_one_process_gets_its_own_tensor_back():
    tensor = torch.randn(3, 2)
    assert gather_with_gradient(tensor) is tensor


def test_several_processes_equal_one(on_ranks):
    found = on_ranks(shared_weight, (1, 2, 3, 4))
    for parts in PARTS:
        (alone,) = found[1]
        for world in (2, 3, 4):
            ranks = [rank[parts] for rank in found[world]]
            for rank in ranks:
                torch.testing.assert_close(rank["loss"], alone[parts]["loss"], rtol=1e-12, atol=0)
            gradient = sum(rank["gradient"] for rank in ranks) / world
            torch.testing.assert_close(gradient, alone[parts]["gradient"], rtol=1e-10, atol=1e-14)


def order_of_rows(rank, world):
    """What every process sees of rows that are numbered."""
    return gather_with_gradient(torch.arange(5).split([2, 0, 3])[rank])


def test_rows_come_in_the_order_of_the_processes(on_ranks):
    assert [rows.tolist() for rows in on_ranks(order_of_rows, (3,))[3]] == [[0, 1, 2, 3, 4]] * 3
