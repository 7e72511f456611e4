"""Who is near whom in a score matrix, a few rows at a time."""

import torch

AT_ONCE = 2**23  # numbers that are copied at a time


def mean_of_highest(scores: torch.Tensor, k: int, dim: int) -> torch.Tensor:
    """Mean of the k highest along `dim`, of as many as there are without NaN; 0 where all are NaN."""
    blocks = scores.split(_rows_at_once(scores))
    if dim == 1:
        top = torch.cat([_highest(block, k, dim) for block in blocks])
    else:
        top = scores[:0]
        for block in blocks:  # contiguous rows: columns would have to be copied
            top = _highest(torch.cat([top, _highest(block, k, dim)]), k, dim)
    known = top.isfinite()
    return top.masked_fill(~known, 0).sum(dim=dim) / known.sum(dim=dim).clamp(min=1)


def _highest(scores: torch.Tensor, k: int, dim: int) -> torch.Tensor:
    """The k highest along `dim`, or all; -inf in place of NaN."""
    k = min(k, scores.shape[dim])
    top = scores.topk(k, dim=dim).values
    if top.isnan().any():  # topk takes NaN for the highest of all, so that none is overlooked
        top = scores.masked_fill(scores.isnan(), -torch.inf).topk(k, dim=dim).values
    return top


def mutual_nearest(scores: torch.Tensor) -> torch.Tensor:
    """(pairs, 2) rows and columns that have each other's highest score."""
    scores = scores.nan_to_num(nan=-torch.inf)
    best, of_row = scores.max(dim=1)
    rows = torch.arange(len(scores), device=scores.device)
    mutual = (scores.argmax(dim=0)[of_row] == rows) & best.isfinite()
    return torch.stack([rows, of_row], dim=1)[mutual]


def less_mass(logits: torch.Tensor, potential: torch.Tensor) -> torch.Tensor:
    """Logarithm of what to multiply each row with for its sum to be 1; 0 for a row without anything."""
    blocks = logits.split(_rows_at_once(logits))
    mass = torch.cat([torch.logsumexp(block + potential, dim=1) for block in blocks])
    return (-mass).masked_fill(mass.isneginf(), 0)


def _rows_at_once(matrix: torch.Tensor) -> int:
    """How many rows of `matrix` are copied at a time."""
    return max(1, AT_ONCE // matrix.shape[1])
