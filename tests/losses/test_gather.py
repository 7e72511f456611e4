"""The all-gather: nothing on one process, exact on two."""

import subprocess
import sys

import pytest
import torch

from neuroclip_hf.losses import gather_with_gradient, softened_contrastive_loss

# One of two processes: half of the batch through a shared weight, the loss of all of it.
RANK = """
import sys, torch
from neuroclip_hf.losses import gather_with_gradient, softened_contrastive_loss
store, rank, batch, out = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
values = torch.load(batch, weights_only=True)
weight = values["weight"].requires_grad_()
part = slice(3 * rank, 3 * rank + 3)
rows = (values["brain"][part] @ weight, values["image"][part] @ weight, values["ids"][part], values["frozen"][part])
brain, image, ids, frozen = (gather_with_gradient(each) for each in rows)
loss = softened_contrastive_loss(brain, image, 5.0, ids, frozen)
loss.backward()
torch.save({"loss": loss.detach(), "gradient": weight.grad}, out)
torch.distributed.destroy_process_group()
"""


def test_one_process_gets_its_own_tensor_back():
    tensor = torch.randn(3, 2)
    assert gather_with_gradient(tensor) is tensor


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this torch has no gloo")
def test_two_processes_equal_one(tmp_path):
    values = {name: torch.randn(6, 4, dtype=torch.float64) for name in ("brain", "image", "frozen")}
    values["weight"] = torch.randn(4, 3, dtype=torch.float64)
    values["ids"] = torch.tensor([0, 1, 2, 1, 3, 4])  # picture 1 is on both processes
    torch.save(values, tmp_path / "batch.pt")
    outputs = [tmp_path / f"{rank}.pt" for rank in range(2)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(tmp_path / "store"), str(rank), str(tmp_path / "batch.pt"), str(output)]
        )
        for rank, output in enumerate(outputs)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]

    weight = values["weight"].clone().requires_grad_()
    loss = softened_contrastive_loss(
        values["brain"] @ weight, values["image"] @ weight, 5.0, values["ids"], values["frozen"]
    )
    loss.backward()
    ranks = [torch.load(output, weights_only=True) for output in outputs]
    for rank in ranks:
        torch.testing.assert_close(rank["loss"], loss.detach(), rtol=1e-12, atol=0)
    mean_gradient = (ranks[0]["gradient"] + ranks[1]["gradient"]) / 2
    torch.testing.assert_close(mean_gradient, weight.grad, rtol=1e-10, atol=1e-14)
