"""Retrieval accuracy on a gallery, and what blind guessing would give.

Rows of `scores` (Q, G) are queries, columns are gallery entries. `target` says what is right, in one of two forms:
an integer tensor (Q,) with the right gallery row of each query, or a boolean tensor (Q, G) where several entries may
be right (any picture of a concept, for example).

Two choices of ours make the numbers safe to compare. A wrong entry whose score *equals* the best right one counts as
ranked before it, so a model that maps everything onto one point scores 0 and not 1. And NaN counts against the model
on either side: a right entry with NaN is last, a wrong one with NaN is first.
"""

import math
from collections.abc import Sequence

import torch


def similarity(query: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
    """Cosine of every query with every gallery entry.

    Args:
        query: (Q, D), need not be normalised.
        gallery: (G, D).

    Returns:
        (Q, G), in float32 or wider. A vector of zeros has cosine 0 with everything.

    Raises:
        ValueError: if the two are not matrices of one width.
    """
    if query.ndim != 2 or gallery.ndim != 2 or query.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"query is {tuple(query.shape)} and gallery {tuple(gallery.shape)}: expected (Q, D) and (G, D) of one D."
        )
    dtype = torch.promote_types(torch.promote_types(query.dtype, gallery.dtype), torch.float32)
    query, gallery = (torch.nn.functional.normalize(side.to(dtype), dim=1) for side in (query, gallery))
    return query @ gallery.T


def retrieval_accuracy(
    query: torch.Tensor, gallery: torch.Tensor, target: torch.Tensor, ks: Sequence[int] = (1, 5)
) -> dict[str, float]:
    """Top-k accuracy of cosine retrieval: [`similarity`], then [`accuracy_from_scores`].

    Example:
        >>> embeds = torch.eye(3)
        >>> retrieval_accuracy(embeds, embeds, torch.tensor([0, 1, 0]), ks=(1, 3))
        {'top1': 0.6666666666666666, 'top3': 1.0}
    """
    return accuracy_from_scores(similarity(query, gallery), target, ks)


def accuracy_from_scores(scores: torch.Tensor, target: torch.Tensor, ks: Sequence[int] = (1, 5)) -> dict[str, float]:
    """Fraction of queries whose best right entry is among the k highest scores.

    Args:
        scores: (Q, G), higher is more similar.
        target: (Q,) rows or (Q, G) mask.
        ks: the k to report; one larger than the gallery gives 1.0, as blind guessing does.

    Returns:
        `{"top1": ..., "top5": ...}`, fractions in [0, 1].

    Raises:
        ValueError: if shapes, rows or ks do not fit, or a query has no right entry.
    """
    ks = [_checked_k(k) for k in ks]
    before = _ranked_before(scores, _target_mask(scores, target))
    return {f"top{k}": int((before < k).sum()) / len(before) for k in ks}


def retrieval_scores(
    query: torch.Tensor, gallery: torch.Tensor, target: torch.Tensor, scale: float | torch.Tensor
) -> dict[str, float]:
    """What a validation looks at: a smooth `loss` beside `top1`, which moves in steps of one query.

    The loss is the mean over queries of -log of the probability that softmax(scale * cosine) over the gallery gives to
    the right entries together (ours; with one right entry it is the brain-to-image half of CLIP's loss).

    Args:
        query: (Q, D), need not be normalised.
        gallery: (G, D).
        target: (Q,) rows or (Q, G) mask.
        scale: the factor on the cosines, already exponentiated.

    Returns:
        `{"loss": ..., "top1": ...}`; guessing blindly gives a loss of log(G / right entries).
    """
    scores = similarity(query, gallery)
    right = _target_mask(scores, target)
    logits = scores * scale
    right_logits = logits.masked_fill(~right, -math.inf)
    loss = (logits.logsumexp(dim=1) - right_logits.logsumexp(dim=1)).mean()
    return {"loss": float(loss), **accuracy_from_scores(scores, right, ks=(1,))}


def pairwise_identification(scores: torch.Tensor, target: torch.Tensor) -> float:
    """Mean over queries of the part of all pairs of a right and a wrong entry in which the right one scores higher.

    The two-way identification accuracy of the fMRI literature, exact rather than drawn. Chance is 0.5, however many
    entries are right; ties and NaN count against the model, and one that maps everything onto one point scores 0.

    Args:
        scores: (Q, G), higher is more similar.
        target: (Q,) rows or (Q, G) mask.

    Raises:
        ValueError: as [`accuracy_from_scores`], and if a query has no wrong entry to be compared with.
    """
    right = _target_mask(scores, target)
    wrong = (~right).sum(dim=1)
    if (wrong == 0).any():
        raise ValueError(f"every gallery entry is right for {_rows(wrong == 0)}: nothing wrong to tell it from.")
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    rivals = scores.masked_fill(right | scores.isnan(), math.inf).sort(dim=1).values
    below = torch.searchsorted(
        rivals, scores.nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf)
    )  # strictly lower wrong entries
    pairs = right.sum(dim=1).double() * wrong
    return float(((below * right).sum(dim=1) / pairs).mean())


def chance_level(target: torch.Tensor, gallery_size: int, k: int) -> float:
    """Expected top-k accuracy of a uniformly random ranking, exact.

    With m right entries among G, a query is missed when all of the k first are wrong: C(G - m, k) of C(G, k) ways.

    Args:
        target: (Q,) rows or (Q, G) mask, as for the accuracy that is to be compared.
        gallery_size: G.
        k: how many of the first count; k >= G gives 1.0.

    Raises:
        ValueError: if `target` does not fit a gallery of that size.
    """
    k = min(_checked_k(k), gallery_size)
    counts, queries = _right_per_query(target, gallery_size).unique(return_counts=True)
    all_ways = math.comb(gallery_size, k)
    missed = sum(
        number * (math.comb(gallery_size - right, k) / all_ways)
        for right, number in zip(counts.tolist(), queries.tolist(), strict=True)
    )
    return 1 - missed / len(target)


def _ranked_before(scores: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Per query, on the CPU: how many wrong entries rank before the best right one."""
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    best_right = scores.masked_fill(~right | scores.isnan(), -math.inf).amax(dim=1, keepdim=True)
    # Not "scores >= best_right": a NaN among the wrong would then lose against everything.
    before = ~(scores < best_right) & ~right
    return before.sum(dim=1).cpu()


def _target_mask(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """`target` in either form as a mask (Q, G) beside `scores`."""
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError(f"scores are {tuple(scores.shape)}: expected (Q, G) with a query and an entry at least.")
    if len(target) != len(scores):
        raise ValueError(f"scores have {len(scores)} queries and target is {tuple(target.shape)}: expected as many.")
    _right_per_query(target, scores.shape[1])
    target = target.to(scores.device)
    if target.dtype == torch.bool:
        return target
    return torch.arange(scores.shape[1], device=scores.device) == target[:, None]


def _right_per_query(target: torch.Tensor, gallery_size: int) -> torch.Tensor:
    """How many entries are right for each query (Q,); checks `target` on the way."""
    if target.dtype == torch.bool and target.ndim == 2 and target.shape[1] == gallery_size and len(target):
        right = target.sum(dim=1)
        if (right == 0).any():
            raise ValueError(f"the gallery holds nothing right for {_rows(right == 0)}: leave out or add its target.")
        return right
    if target.ndim != 1 or not len(target) or target.dtype == torch.bool or target.is_floating_point():
        raise ValueError(
            f"target is {target.dtype} {tuple(target.shape)}: expected integer rows (Q,) or a boolean mask "
            f"(Q, {gallery_size}), and a query at least."
        )
    outside = (target < 0) | (target >= gallery_size)
    if outside.any():
        raise ValueError(f"target has row {int(target[outside][0])} in a gallery of {gallery_size}: {_rows(outside)}.")
    return torch.ones_like(target)


def _checked_k(k: int) -> int:
    if k != int(k) or k < 1:
        raise ValueError(f"k is {k}: expected a whole number of 1 or more.")
    return int(k)


def _rows(where: torch.Tensor) -> str:
    rows = where.nonzero().flatten().tolist()
    return "query " + ", ".join(map(str, rows[:5])) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
