"""BatchNorm whose statistics are those of the whole batch, however many processes share it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _Sum(torch.autograd.Function):
    """Sum over the processes; so is its gradient, since every process uses the sum."""

    @staticmethod
    def forward(context: Any, tensor: torch.Tensor) -> torch.Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        return _Sum.forward(context, gradient)


class BatchNormOverProcesses(_BatchNorm):
    """`BatchNorm1d`, `2d` or `3d` that normalises by the mean and variance of all processes' rows together.

    `torch.nn.SyncBatchNorm` refuses CPUs; this one runs wherever `all_reduce` does. Processes may hold different
    numbers of rows, or none. Output, gradients and running statistics are those of one process that holds the whole
    batch, provided that the loss is that of the whole batch too, see [`gather_with_gradient`]. In evaluation it is the
    layer that it stands for. Parameters and buffers have the same names as there.

    Shapes: (batch, channels, ...) to the same. Sums are taken in float32 at least.
    """

    def _check_input_dim(self, input: torch.Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"BatchNorm reads (batch, channels, ...), not {tuple(input.shape)}.")

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalise each channel."""
        if not self.training:
            return super().forward(input)
        self._check_input_dim(input)
        with torch.autocast(input.device.type, enabled=False):
            values = input if input.dtype == torch.float64 else input.float()
            axes = [axis for axis in range(values.ndim) if axis != 1]
            count = _count(values)
            mean = _Sum.apply(values.sum(axes)) / count
            centred = values - _along_channels(mean, values)
            variance = _Sum.apply(centred.square().sum(axes)) / count
            self._follow(mean.detach(), variance.detach() * (count / (count - 1)))
            normalised = centred * _along_channels((variance + self.eps).rsqrt(), values)
            if self.affine:
                normalised = normalised * _along_channels(self.weight, values) + _along_channels(self.bias, values)
        return normalised.to(input.dtype)

    def _follow(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        """Move the running statistics towards those of a batch."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        part = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.mul_(1 - part).add_(mean, alpha=part)
        self.running_var.mul_(1 - part).add_(variance, alpha=part)


def several_processes() -> bool:
    """Whether this is one of several processes that train together."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


@contextmanager
def batch_norm_over_processes(model: nn.Module) -> Iterator[None]:
    """Let every BatchNorm of a model look at all processes' rows while the block runs.

    The layers are replaced by [`BatchNormOverProcesses`] that hold the very same parameters and buffers, and put back
    at the end, so that an optimiser made before still fits and checkpoints do not change. On one process nothing is
    done. Every process must call the model equally often while it trains.
    """
    if not several_processes():
        yield
        return
    replaced = [
        (parent, name, layer)
        for parent in model.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, _BatchNorm) and not isinstance(layer, (nn.SyncBatchNorm, BatchNormOverProcesses))
    ]
    for parent, name, layer in replaced:
        setattr(parent, name, _over_processes(layer))
    try:
        yield
    finally:
        for parent, name, layer in replaced:
            layer.train(getattr(parent, name).training)
            setattr(parent, name, layer)


def _over_processes(layer: _BatchNorm) -> BatchNormOverProcesses:
    made = BatchNormOverProcesses(
        layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats, device="meta"
    )
    made._parameters, made._buffers = layer._parameters, layer._buffers
    return made.train(layer.training)


def _count(values: torch.Tensor) -> int:
    """Values a channel on all processes together."""
    mine = torch.tensor(values.numel() // values.shape[1], device=values.device)
    distributed.all_reduce(mine)
    count = int(mine)
    if count < 2:
        raise ValueError(f"BatchNorm needs more than {count} value a channel to train: batches of two rows or more.")
    return count


def _along_channels(statistics: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return statistics.view(1, -1, *[1] * (values.ndim - 2))
