"""MixCo: pairs of recordings are mixed, and so are their targets."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from neuroclip_hf.losses.gather import gather_places, gather_with_gradient


@dataclass(frozen=True)
class Mixing:
    """Which rows of a batch are mixed, and how.

    Args:
        partner (`torch.Tensor`): (batch,) the row that each is mixed with.
        share (`torch.Tensor`): (batch,) what is left of each row itself, from 0 to 1.
    """

    partner: torch.Tensor
    share: torch.Tensor

    def mix(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows (batch, ...) mixed, as a new tensor: what was given may be needed unmixed."""
        share = self.share.to(rows.dtype).view(-1, *[1] * (rows.ndim - 1))
        return share * rows + (1 - share) * rows.index_select(0, self.partner)

    def gathered(self) -> "Mixing":
        """The same for the rows of all processes, in order of rank; each process has mixed its own rows alone."""
        return Mixing(gather_places(self.partner), gather_with_gradient(self.share))


def draw_mixing(rows: int, concentration: float, subject_index: torch.Tensor | None, device: torch.device) -> Mixing:
    """Draw a partner for each row, and a share from a symmetric Beta distribution.

    Source: Kim et al., "MixCo: Mix-up Contrastive Learning for Visual Representation" (arXiv 2010.06300), section 2;
    for fMRI MindEye (Scotti et al., NeurIPS 2023), section 2.3. Patterns of two subjects have no common space: rows
    whose partner is another subject's stay as they are (ours).

    Args:
        rows (`int`): of the batch.
        concentration (`float`): both parameters of the distribution; the smaller, the closer a share is to 0 or 1.
        subject_index (`torch.Tensor`, *optional*): (batch,) whose recordings they are; `None`: of one subject.
        device (`torch.device`): of what is drawn.
    """
    partner = torch.randperm(rows, device=device)
    parameter = torch.full((rows,), concentration, device=device)
    share = torch.distributions.Beta(parameter, parameter).sample()
    if subject_index is not None:
        share = torch.where(subject_index == subject_index[partner], share, 1.0)
    return Mixing(partner, share)


def cross_entropy_both_ways(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Symmetric cross-entropy with any target probabilities.

    From columns to rows the targets are the same numbers, divided by the sum of their column, since mixed targets give
    columns unequal mass (ours; MindEye leaves them as they are). A column without mass counts nothing.

    Args:
        logits (`torch.Tensor`): (recordings, targets), see [`contrastive_logits`].
        targets (`torch.Tensor`): of the same shape; every row sums to one.

    Returns:
        `torch.Tensor`: the mean over rows and both directions, in nats.

    Example:
        >>> targets = softened_targets(class_of_row, None, 0.0, 1.0)  # rows of one class are right for each other
        >>> loss = cross_entropy_both_ways(logits, mixing.mix(targets))
    """
    with torch.autocast(logits.device.type, enabled=False):
        back = targets.T / targets.sum(dim=0)[:, None].clamp_min(torch.finfo(targets.dtype).eps)
        return (functional.cross_entropy(logits, targets) + functional.cross_entropy(logits.T, back)) / 2
