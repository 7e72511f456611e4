"""All-gather whose gradient is exact."""

from typing import Any

import torch
from torch import distributed


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, tensor: torch.Tensor) -> torch.Tensor:
        context.sizes = _rows_of_processes(tensor)
        # gloo gathers equal shapes only: the parts are filled up to the largest one, and cut again.
        padded = tensor.new_zeros(max(context.sizes), *tensor.shape[1:])
        padded[: len(tensor)] = tensor
        parts = [torch.empty_like(padded) for _ in context.sizes]
        distributed.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, context.sizes, strict=True)])

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)  # autograd may hand the same one to others
        distributed.all_reduce(gradient)
        return gradient.split(context.sizes)[distributed.get_rank()]


def gather_with_gradient(tensor: torch.Tensor) -> torch.Tensor:
    """Concatenate the processes' tensors along the first axis, in order of rank, gradients included.

    Every process then computes the loss of the whole batch. Its gradient is summed over the processes on the way back
    to the part each gave, so that the mean of the parameters' gradients over the processes, which is what
    `DistributedDataParallel` takes, equals the gradient of one process that holds the whole batch.

    Args:
        tensor (`torch.Tensor`): (rows, ...) with any number of rows on each process, none included; all else of its
            shape, its dtype, and whether it needs a gradient, must be the same on every process. On one process, or
            without an initialised process group, it is returned as it is.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return tensor
    return _Gather.apply(tensor)


def gather_places(places: torch.Tensor) -> torch.Tensor:
    """Places in a process's own rows, (rows,) one for each, to places in the rows of all processes, gathered."""
    gathered = gather_with_gradient(places)
    if gathered is places:
        return places
    owner = gather_with_gradient(torch.full_like(places, distributed.get_rank()))
    rows_before = (owner[None, :] < owner[:, None]).sum(dim=1)
    return gathered + rows_before


def _rows_of_processes(tensor: torch.Tensor) -> list[int]:
    rows = torch.tensor([len(tensor)], device=tensor.device)
    found = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
    distributed.all_gather(found, rows)
    return torch.cat(found).tolist()
