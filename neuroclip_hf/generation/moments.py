"""Mean and standard deviation by dimension, taken off one set of embeddings and put on another."""

from dataclasses import dataclass

import torch

from neuroclip_hf.errors import InputError

_NO_SPREAD = 1e-6  # of a set's largest standard deviation: a dimension below it is constant but for rounding


@dataclass(frozen=True)
class Moments:
    """First two moments of embeddings.

    Args:
        mean, std (`torch.Tensor` of shape `(width,)`): of each dimension, float32.
        count (`int`): of how many embeddings.
    """

    mean: torch.Tensor
    std: torch.Tensor
    count: int

    @classmethod
    def of(cls, embeds: torch.Tensor, what: str) -> "Moments":
        """Moments of embeddings (embeddings, width).

        Raises:
            InputError: for fewer than two embeddings, or numbers that are not finite; the message calls them `what`.
        """
        require_finite(embeds, what)
        if len(embeds) < 2:
            raise InputError(f"{what}: there is {len(embeds)}, and a standard deviation needs at least two.")
        values = embeds.double()
        return cls(values.mean(dim=0).float(), values.std(dim=0, correction=0).float(), len(values))


def match_moments(embeds: torch.Tensor, source: Moments, target: Moments) -> torch.Tensor:
    """Shift and scale every dimension as it takes `source` to `target`.

    A brain's embedding lies where no picture's does: its scale is what the loss left it, and noise spreads it
    otherwise in every dimension. A pipeline knows pictures' embeddings alone. A dimension without spread in `source`
    becomes the target's mean.

    Args:
        embeds (`torch.Tensor` of shape `(embeddings, width)`): to be moved.
        source (`Moments`): what is taken off, of the width of `embeds`.
        target (`Moments`): what is put on, of the same width.

    Returns:
        `torch.Tensor` of shape `(embeddings, width)`, float32.

    Raises:
        InputError: if embeddings are not finite or widths differ.
    """
    require_finite(embeds, "embeddings to be matched")
    widths = {embeds.shape[1], len(source.mean), len(target.mean)}
    if len(widths) > 1:
        raise InputError(
            f"embeddings are {embeds.shape[1]} wide, their moments {len(source.mean)} and those of pictures "
            f"{len(target.mean)}: they must lie in one space."
        )
    spread = source.std > _NO_SPREAD * source.std.max()
    scale = torch.where(spread, target.std / source.std.where(spread, torch.ones_like(source.std)), 0.0)
    return (embeds.float() - source.mean) * scale + target.mean


def require_finite(embeds: torch.Tensor, what: str) -> None:
    """Raise [`InputError`] unless embeddings (embeddings, width) are all numbers; the message calls them `what`."""
    if embeds.ndim != 2:
        raise InputError(f"{what}: they are {tuple(embeds.shape)}, and must be (embeddings, width).")
    strange = (~embeds.isfinite()).any(dim=1).nonzero().flatten()
    if len(strange):
        raise InputError(
            f"{what}: {len(strange)} of {len(embeds)} hold NaN or infinity, the first is number {int(strange[0])}; "
            "train again, or look at the recordings with `neuroclip check`."
        )
