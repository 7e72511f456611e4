"""The distance of embeddings from the directions that they should have."""

from collections.abc import Sequence

import torch
from torch.nn import functional


def weighted_directions(targets: Sequence[tuple[torch.Tensor, float]]) -> torch.Tensor:
    """The weighted mean of targets of length one: (batch, width).

    Args:
        targets (sequence of tensor and `float`): (batch, width), normalised here, and the weight of each; their sum is
            above zero.
    """
    total = sum(weight for _, weight in targets)
    parts = [functional.normalize(embeds, dim=-1) * (weight / total) for embeds, weight in targets]
    return torch.stack(parts).sum(dim=0)


def squared_distance(embeds: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Of each row of embeddings (batch, width) from its target, summed over the width: (batch,), in float32 at least.

    Summed and not averaged, so that a weight means the same in spaces of all widths: for targets of length one it is
    about one where nothing is known (ours).
    """
    with torch.autocast(embeds.device.type, enabled=False):
        embeds = embeds if embeds.dtype == torch.float64 else embeds.float()
        return (embeds - targets.to(embeds.dtype)).square().sum(dim=-1)
