"""Maximum mean discrepancy between the subjects of a batch."""

import torch
from torch.nn import functional

BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Widths of the kernels, in units of the mean squared distance of the rows (Long et al., ICML 2015, section 4.1)."""


def mmd_between_subjects(embeds: torch.Tensor, subject_index: torch.Tensor) -> torch.Tensor | None:
    """Squared maximum mean discrepancy of the rows of two subjects, averaged over all pairs of subjects.

    It is zero in expectation if the embeddings of all subjects are drawn alike. The estimate is unbiased (Gretton et
    al., "A Kernel Two-Sample Test", JMLR 2012, equation 3), and hence may be below zero; the kernel is the mean of
    Gaussians of five widths that follow the distances of the batch. Rows are normalised here, as the contrastive loss
    does it.

    Over several processes give the rows of all of them, see [`gather_with_gradient`].

    Args:
        embeds (`torch.Tensor`): (batch, projection_dim).
        subject_index (`torch.Tensor`): (batch,) whole numbers; subjects with a single row are left out.

    Returns:
        `torch.Tensor`: a scalar, in float32 at least; `None` where fewer than two subjects have two rows or more.

    Raises:
        ValueError: for shapes that do not fit.
    """
    if embeds.ndim != 2 or tuple(subject_index.shape) != (len(embeds),):
        raise ValueError(
            f"embeds {tuple(embeds.shape)} must be (batch, projection_dim), and subject_index "
            f"{tuple(subject_index.shape)} a number for each row."
        )
    subjects, counts = subject_index.unique(return_counts=True)
    subjects = subjects[counts > 1]
    if len(subjects) < 2:
        return None
    with torch.autocast(embeds.device.type, enabled=False):
        rows = embeds if embeds.dtype == torch.float64 else embeds.float()
        member = (subject_index[:, None] == subjects[None, :]).to(rows.dtype)  # (B, S)
        kernel = _kernel(functional.normalize(rows, dim=-1))
        sizes = member.sum(dim=0)
        sums = member.T @ kernel @ member  # (S, S)
        within = (sums.diagonal() - member.T @ kernel.diagonal()) / (sizes * (sizes - 1))
        discrepancy = within[:, None] + within[None, :] - 2 * sums / torch.outer(sizes, sizes)
        pairs = torch.ones_like(discrepancy).triu(diagonal=1)
        return (discrepancy * pairs).sum() / pairs.sum()


def _kernel(rows: torch.Tensor) -> torch.Tensor:
    """(B, D) of length one to the kernel of all pairs (B, B)."""
    squared = (2 - 2 * rows @ rows.T).clamp_min(0)
    others = len(rows) * (len(rows) - 1)
    # The widths are a measure, not a lever: no gradient makes them wider.
    width = (squared.detach().sum() - squared.detach().diagonal().sum()) / others
    width = width.clamp_min(torch.finfo(rows.dtype).eps)
    return torch.stack([torch.exp(-squared / (part * width)) for part in BANDWIDTHS]).mean(dim=0)
