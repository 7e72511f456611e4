"""What rankings say, of one run or of several together: accuracies, smaller galleries, permutations."""

from collections.abc import Hashable, Sequence
from typing import Any

import torch

from neuroclip_hf.data.queries import Query
from neuroclip_hf.evaluation.ranking import Ranking
from neuroclip_hf.metrics.blocks import TOP1, permutation_test_of_blocks
from neuroclip_hf.metrics.retrieval import accuracy_from_scores, n_way_accuracy, pairwise_identification

N_WAYS = (2, 4, 5, 6, 10, 20, 50, 100, 200)
"""Sizes of random galleries that the field reports, as far as there are so many candidates."""


def accuracy_of(ranking: Ranking) -> dict[str, float]:
    """`top1`, `top5` and `pairwise` of a ranking, fractions in [0, 1]."""
    found = accuracy_from_scores(ranking.scores, ranking.mask, ks=(1, 5))
    return {**found, "pairwise": pairwise_identification(ranking.scores, ranking.mask)}


def n_ways(rankings: Sequence[Ranking]) -> list[int]:
    """Sizes of random galleries that every query of all rankings has wrong pictures for, the largest among them."""
    largest = 1 + min(int((~ranking.mask).sum(dim=1).min()) for ranking in rankings)
    return sorted({*(size for size in N_WAYS if size <= largest), *([largest] if largest > 1 else [])})


def n_way_of(scores: torch.Tensor, mask: torch.Tensor, sizes: Sequence[int]) -> dict[str, dict[str, float]]:
    """Exact expectations in random galleries of these sizes: size -> `top1` and, above five pictures, `top5`."""
    return {str(n): {f"top{k}": n_way_accuracy(scores, mask, n, k) for k in (1, 5) if k < n} for n in sizes}


def shown_in(query: Query) -> Hashable:
    """What queries have in common that are no independent answers: the picture; else each stands for itself."""
    return query.image_id or (query.concept, query.trials)


def permute(rankings: Sequence[Ranking], statistic: str = TOP1) -> dict[str, Any]:
    """Permutations of what was shown, in which all queries of a picture keep one target.

    Targets are exchanged within subjects where no picture was seen by several of them, else among all pictures.

    Args:
        rankings (sequence of `Ranking`): of the same gallery.
        statistic (`str`): see [`permutation_test_of_blocks`].

    Returns:
        `p`, `statistic`, `permutations`, and in words what exchanged targets, `over`.
    """
    queries = [query for ranking in rankings for query in ranking.queries]
    blocks = [shown_in(query) for query in queries]
    owners: dict[Hashable, set[str]] = {}
    for block, query in zip(blocks, queries, strict=True):
        owners.setdefault(block, set()).add(query.subject)
    within = all(len(names) == 1 for names in owners.values())
    found = permutation_test_of_blocks(
        torch.cat([ranking.scores for ranking in rankings]),
        torch.cat([ranking.mask for ranking in rankings]),
        blocks,
        [query.subject for query in queries] if within else None,
        statistic=statistic,
    )
    what = "pictures, all queries of a picture together" if len(owners) < len(queries) else "queries"
    if len(owners) < len(queries) and not any(query.image_id for query in queries):
        what = "queries, all answers to a query together"
    several = within and len({query.subject for query in queries}) > 1
    return {**found._asdict(), "over": what + (", within subjects" if several else "")}
