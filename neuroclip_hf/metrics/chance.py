"""What blind guessing gives, exact: alike for however many queries, as long as they have as many right entries."""

import math
from collections.abc import Callable

import torch

from neuroclip_hf.metrics._targets import right_per_query, whole_number


def chance_level(target: torch.Tensor, gallery_size: int, k: int) -> float:
    """Expected top-k accuracy of a uniformly random ranking.

    With m right entries among G, a query is missed when all of the k first are wrong: C(G - m, k) of C(G, k) ways.

    Args:
        target: (Q,) rows or (Q, G) mask, as for the accuracy that is to be compared.
        gallery_size: G.
        k: how many of the first count; k >= G gives 1.0.

    Raises:
        ValueError: if `target` does not fit a gallery of that size.
    """
    k = min(whole_number("k", k, 1), gallery_size)
    all_ways = math.comb(gallery_size, k)
    return 1 - _mean(target, gallery_size, lambda right: math.comb(gallery_size - right, k) / all_ways)


def chance_log_loss(target: torch.Tensor, gallery_size: int) -> float:
    """[`log_loss_from_scores`] where all entries have the same score, mean over queries: log(G / m) of m right ones.

    Args:
        target: (Q,) rows or (Q, G) mask, as for the log-loss that is to be compared.
        gallery_size: G.

    Raises:
        ValueError: if `target` does not fit a gallery of that size.
    """
    return _mean(target, gallery_size, lambda right: math.log(gallery_size / right))


def _mean(target: torch.Tensor, gallery_size: int, of_right: Callable[[int], float]) -> float:
    """Mean over queries of what follows from how many entries are right."""
    counts, queries = right_per_query(target, gallery_size).unique(return_counts=True)
    # Shares of the queries, not a sum over them: that would round differently for different numbers of queries, and
    # subjects who were asked the same question would seem to differ.
    return math.fsum(
        number / len(target) * of_right(right) for right, number in zip(counts.tolist(), queries.tolist(), strict=True)
    )
