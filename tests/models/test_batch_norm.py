"""BatchNorm over several processes: that of one process with all rows, and the same layer everywhere else."""

import pytest
import torch

from neuroclip_hf.models.batch_norm import BatchNormOverProcesses, batch_norm_over_processes

ROWS, PARTS = 7, {1: [7], 2: [3, 4], 4: [1, 3, 0, 3]}
SHAPES = {"1d": (ROWS, 3), "1d_long": (ROWS, 3, 5), "2d": (ROWS, 3, 4, 5)}


def layers():
    return {
        "1d": torch.nn.BatchNorm1d(3, momentum=None),
        "1d_long": torch.nn.BatchNorm1d(3, eps=0.1),
        "2d": torch.nn.BatchNorm2d(3, momentum=0.3),
        "without_statistics": torch.nn.BatchNorm1d(3, track_running_stats=False),
        "without_weights": torch.nn.BatchNorm1d(3, affine=False),
    }


def batches(rank, world):
    """Two training steps of every kind of layer, and one in evaluation."""
    results = {}
    for name, layer in layers().items():
        torch.manual_seed(4)
        shape = SHAPES.get(name, SHAPES["1d"])
        model = torch.nn.Sequential(layer).double()
        for parameter in model.parameters():
            parameter.data.normal_()
        results[name] = _steps(model, shape, PARTS[world], rank)
    return results


def _steps(model, shape, parts, rank):
    with batch_norm_over_processes(model):
        for _ in range(2):
            values, wanted = (torch.randn(shape, dtype=torch.float64) * 3 + 2 for _ in range(2))
            values = values.split(parts)[rank].requires_grad_()
            model.zero_grad()
            found = model(values)
            (found * wanted.split(parts)[rank]).sum().backward()
        gradients = {name: value.grad.clone() for name, value in model.named_parameters()}
        model.eval()
        evaluated = model(values) if model[0].track_running_stats else values
    assert type(model[0]).__module__ == "torch.nn.modules.batchnorm"
    assert not model[0].training
    state = {name: value.clone() for name, value in model.state_dict().items()}
    return {
        "found": found.detach(),
        "into": values.grad,
        "evaluated": evaluated.detach(),
        "gradients": gradients,
        "state": state,
    }


def test_several_processes_equal_one(on_ranks):
    found = on_ranks(batches, PARTS)
    for name, alone in found[1][0].items():
        for world in (2, 4):
            ranks = [rank[name] for rank in found[world]]
            for key in ("found", "into", "evaluated"):
                close(torch.cat([rank[key] for rank in ranks]), alone[key])
            for key, value in alone["gradients"].items():  # the loss is a sum over the processes
                close(sum(rank["gradients"][key] for rank in ranks), value)
            for rank in ranks:
                assert rank["state"].keys() == alone["state"].keys()
                for key, value in alone["state"].items():
                    close(rank["state"][key], value)


def close(mine, theirs):
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_one_process_keeps_its_layers():
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(3))
    layer = model[0]
    with batch_norm_over_processes(model):
        assert model[0] is layer


def half_and_single(rank, world):
    """The type that comes out for bfloat16, and what one row on all processes is told."""
    layer = BatchNormOverProcesses(2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(torch.randn(3, 2).bfloat16())
    try:
        layer(torch.ones(1 - rank, 2))
        message = ""
    except ValueError as error:
        message = str(error)
    return {"dtype": str(found.dtype), "message": message}


def test_half_precision_stays_and_a_single_row_is_refused(on_ranks):
    for rank in on_ranks(half_and_single, (2,))[2]:
        assert rank["dtype"] == "torch.bfloat16"
        assert "more than 1 value" in rank["message"]


def test_rows_without_channels_are_refused():
    with pytest.raises(ValueError, match="batch, channels"):
        BatchNormOverProcesses(3)(torch.ones(3))
