"""All-gather whose gradient is exact."""

from typing import Any

import torch
from torch import distributed


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, tensor: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(tensor) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)  # autograd may hand the same one to others
        distributed.all_reduce(gradient)
        return gradient.chunk(distributed.get_world_size())[distributed.get_rank()]


def gather_with_gradient(tensor: torch.Tensor) -> torch.Tensor:
    """Concatenate the processes' tensors along the first axis, in order of rank, gradients included.

    Every process then computes the loss of the whole batch. Its gradient is summed over the processes on the way back
    to the part each gave, so that the mean of the parameters' gradients over the processes, which is what
    `DistributedDataParallel` takes, equals the gradient of one process that holds the whole batch.

    Args:
        tensor (`torch.Tensor`): of the same shape and dtype on every process. On one process, or without an
            initialised process group, it is returned as it is.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return tensor
    return _Gather.apply(tensor)
