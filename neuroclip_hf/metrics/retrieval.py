"""Retrieval accuracy on a gallery, and what blind guessing would give.

Rows of `scores` (Q, G) are queries, columns are gallery entries. `target` says what is right, in one of two forms:
an integer tensor (Q,) with the right gallery row of each query, or a boolean tensor (Q, G) where several entries may
be right (any picture of a concept, for example).

Two choices of ours make the numbers safe to compare. A wrong entry whose score *equals* the best right one counts as
ranked before it, so a model that maps everything onto one point scores 0 and not 1. And NaN counts against the model
on either side: a right entry with NaN is last, a wrong one with NaN is first.
"""

import math
from collections.abc import Iterable, Sequence

import torch

from neuroclip_hf.metrics._targets import check_tensor, name_rows, target_mask, whole_number


def similarity(query: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
    """Cosine of every query with every gallery entry.

    Args:
        query: (Q, D), need not be normalised.
        gallery: (G, D).

    Returns:
        (Q, G), in float32 or wider. A vector of zeros has cosine 0 with everything.

    Raises:
        TypeError: if one of the two is no tensor.
        ValueError: if the two are not matrices of one width.
    """
    check_tensor("query", query)
    check_tensor("gallery", gallery)
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
        TypeError: if scores or target are no tensors.
        ValueError: if shapes, rows or ks do not fit, or a query has no right entry.
    """
    hits = hits_from_scores(scores, target, ks)
    return {name: int(hit.sum()) / len(hit) for name, hit in hits.items()}


def hits_from_scores(
    scores: torch.Tensor, target: torch.Tensor, ks: Sequence[int] = (1, 5)
) -> dict[str, torch.Tensor]:
    """Which queries have their best right entry among the k highest scores: what intervals and tests are made of.

    Args:
        scores: (Q, G), higher is more similar.
        target: (Q,) rows or (Q, G) mask.
        ks: as for [`accuracy_from_scores`], which is the mean of each over the queries.

    Returns:
        `{"top1": (Q,) bool, "top5": (Q,) bool}`, on the CPU.

    Raises:
        TypeError, ValueError: as [`accuracy_from_scores`].
    """
    if isinstance(ks, str) or not isinstance(ks, Iterable):
        raise ValueError(f"ks is {ks!r}: expected whole numbers in a list or tuple, as in ks=(1, 5).")
    ks = [whole_number("k", k, 1) for k in ks]
    if not ks:
        raise ValueError("ks is empty: name one at least, as in ks=(1, 5).")
    before = ranks_from_scores(scores, target)
    return {f"top{k}": before < k for k in ks}


def ranks_from_scores(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """How many wrong entries stand before the best right one: 0 for a query whose picture comes first.

    Right entries do not stand in each other's way; wrong ones that tie with the best right one stand before it.

    Args:
        scores: (Q, G), higher is more similar.
        target: (Q,) rows or (Q, G) mask.

    Returns:
        (Q,) int64, on the CPU.

    Raises:
        TypeError, ValueError: as [`accuracy_from_scores`].

    Example:
        >>> ranks_from_scores(torch.tensor([[0.9, 0.5, 0.5]]), torch.tensor([1]))
        tensor([2])
    """
    return _ranked_before(scores, target_mask(scores, target))


def n_way_accuracy(scores: torch.Tensor, target: torch.Tensor, n: int, k: int = 1) -> float:
    """Expected top-k accuracy in random galleries of n entries, exact: no gallery is drawn.

    A gallery would hold the query's best right entry and n - 1 of its wrong ones, drawn without replacement. If b of
    its W wrong entries stand before the right one, how many of those are drawn is hypergeometric, and the query is
    found where it is fewer than k. The literature draws such galleries instead, and its numbers move with the draw.
    With n = 1 + W this is [`accuracy_from_scores`]; chance is k / n for one right entry.

    Args:
        scores: (Q, G), higher is more similar.
        target: (Q,) rows or (Q, G) mask. With a mask the best right entry stands for all right ones (ours), so that
            chance is higher than k / n.
        n: size of the random galleries, 2 to 1 + the wrong entries of every query.
        k: how many of the first count; k >= n gives 1.0.

    Returns:
        A fraction in [0, 1], mean over the queries.

    Raises:
        TypeError, ValueError: as [`accuracy_from_scores`], and if the gallery has too few wrong entries for n.

    Example:
        >>> n_way_accuracy(torch.tensor([[0.5, 0.9, 0.1]]), torch.tensor([0]), n=2)
        0.5
    """
    n, k = whole_number("n", n, 2), whole_number("k", k, 1)
    right = target_mask(scores, target)
    wrong = (~right).sum(dim=1).cpu()
    if (wrong < n - 1).any():
        raise ValueError(
            f"n is {n}, and the gallery holds {int(wrong.min())} wrong entries for {name_rows(wrong < n - 1)}: n may "
            f"be {int(wrong.min()) + 1} at most."
        )
    pairs, queries = torch.stack([wrong, _ranked_before(scores, right)], dim=1).unique(dim=0, return_counts=True)
    found = (
        number * _share_of_draws(of_wrong, before, n - 1, k)
        for (of_wrong, before), number in zip(pairs.tolist(), queries.tolist(), strict=True)
    )
    return math.fsum(found) / len(scores)


def retrieval_scores(
    query: torch.Tensor, gallery: torch.Tensor, target: torch.Tensor, scale: float | torch.Tensor
) -> dict[str, float]:
    """What a validation looks at: a smooth `loss` beside `top1`, which moves in steps of one query.

    The loss is the mean over queries of [`log_loss_from_scores`].

    Args:
        query: (Q, D), need not be normalised.
        gallery: (G, D).
        target: (Q,) rows or (Q, G) mask.
        scale: the factor on the cosines, already exponentiated.

    Returns:
        `{"loss": ..., "top1": ...}`; guessing blindly gives a loss of log(G / right entries).
    """
    scores = similarity(query, gallery)
    right = target_mask(scores, target)
    loss = log_loss_from_scores(scores, right, scale).mean()
    return {"loss": float(loss), **accuracy_from_scores(scores, right, ks=(1,))}


def log_loss_from_scores(scores: torch.Tensor, target: torch.Tensor, scale: float | torch.Tensor) -> torch.Tensor:
    """-log of the probability that softmax(scale * scores) over the gallery gives to the right entries together.

    A proper scoring rule, the natural logarithm of it (ours; with one right entry its mean is the brain-to-image half
    of CLIP's loss). It judges the whole ranking and moves with every score, where a hit moves in steps of one: two
    models on the same queries are told apart by far fewer queries. It also judges `scale`, so that only models of
    about one scale compare by what they rank.

    Args:
        scores: (Q, G), higher is more similar.
        target: (Q,) rows or (Q, G) mask.
        scale: the factor on the scores, already exponentiated.

    Returns:
        (Q,) in float32 or wider, on the device of `scores`, 0 at best; guessing blindly gives log(G / right entries),
        and NaN stays NaN.

    Raises:
        TypeError, ValueError: as [`accuracy_from_scores`].

    Example:
        >>> log_loss_from_scores(torch.zeros(1, 4), torch.tensor([2]), scale=10.0).exp()
        tensor([4.])
    """
    right = target_mask(scores, target)
    logits = scores.to(torch.promote_types(scores.dtype, torch.float32)) * scale
    return logits.logsumexp(dim=1) - logits.masked_fill(~right, -math.inf).logsumexp(dim=1)


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
    return float(pairwise_from_scores(scores, target).mean())


def pairwise_from_scores(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """[`pairwise_identification`] query by query: what its interval is made of.

    Args:
        scores: (Q, G), higher is more similar.
        target: (Q,) rows or (Q, G) mask.

    Returns:
        (Q,) float64 fractions, on the device of `scores`.

    Raises:
        ValueError: as [`pairwise_identification`].
    """
    right = target_mask(scores, target)
    wrong = (~right).sum(dim=1)
    if (wrong == 0).any():
        raise ValueError(f"every gallery entry is right for {name_rows(wrong == 0)}: nothing wrong to tell it from.")
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    rivals = scores.masked_fill(right | scores.isnan(), math.inf).sort(dim=1).values
    below = torch.searchsorted(
        rivals, scores.nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf)
    )  # strictly lower wrong entries
    pairs = right.sum(dim=1).double() * wrong
    return (below * right).sum(dim=1) / pairs


def _ranked_before(scores: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Per query, on the CPU: how many wrong entries rank before the best right one."""
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    best_right = scores.masked_fill(~right | scores.isnan(), -math.inf).amax(dim=1, keepdim=True)
    # Not "scores >= best_right": a NaN among the wrong would then lose against everything.
    before = ~(scores < best_right) & ~right
    return before.sum(dim=1).cpu()


def _share_of_draws(wrong: int, before: int, drawn: int, k: int) -> float:
    """Of all ways to draw from the wrong entries, the part in which fewer than k stand before the right one."""
    # Whole numbers as long as they are; only the last division rounds.
    ways = sum(math.comb(before, some) * math.comb(wrong - before, drawn - some) for some in range(min(k, drawn + 1)))
    return ways / math.comb(wrong, drawn)
