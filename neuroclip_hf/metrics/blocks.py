"""Permutations where several queries ask for the same thing: trials of one picture, or one picture in several brains.

A model that always takes one picture for a certain other one is right for all its trials together, or for none.
Dealing targets out trial by trial would take those trials for as many independent answers, and find p far too small.
"""

from collections.abc import Hashable, Sequence

import numpy as np
import torch

from neuroclip_hf.metrics._every_target import hits_of_every_target
from neuroclip_hf.metrics._targets import target_mask, whole_number
from neuroclip_hf.metrics.significance import Doubles, Integers, PermutationResult

TOP1, PAIRWISE = "top1", "pairwise"


def permutation_test_of_blocks(
    scores: torch.Tensor,
    target: torch.Tensor,
    blocks: Sequence[Hashable],
    groups: Sequence[Hashable] | None = None,
    *,
    statistic: str = TOP1,
    permutations: int = 999,
    seed: int = 0,
) -> PermutationResult:
    """[`permutation_test`] in which queries that belong together keep one target (ours).

    Whole blocks exchange their targets, and all queries of a block get the new one. Where a block has queries of
    several subjects, they all do, since subjects who saw the same pictures err alike.

    Args:
        scores: (Q, G), higher is more similar.
        target: (Q,) rows or (Q, G) mask; equal within a block.
        blocks: (Q,) what each query belongs to, the picture that was shown for example.
        groups: (Q,) blocks exchange targets within a group only; equal within a block. `None`: one group.
        statistic: "top1", or "pairwise" ([`pairwise_identification`]), where one entry is right for each query.
        permutations: how many; the smallest p is 1 / (1 + permutations), and no smaller than few blocks allow.
        seed: of numpy's generator.

    Returns:
        [`PermutationResult`]; its statistic is the plain mean over queries.

    Raises:
        TypeError: if scores or target are no tensors.
        ValueError: as [`permutation_test`], and if a block has two targets or groups, or the statistic is not one.

    Example:
        >>> scores = torch.eye(8).repeat_interleave(3, dim=0)
        >>> shown = torch.arange(8).repeat_interleave(3)
        >>> permutation_test_of_blocks(scores, shown, shown.tolist()).p
        0.001
    """
    permutations = whole_number("permutations", permutations, 1)
    generator = np.random.default_rng(whole_number("seed", seed, 0))
    mask = target_mask(scores, target)
    if statistic not in _VALUES:
        raise ValueError(f"statistic is {statistic!r}: choose one of {', '.join(_VALUES)}.")
    values, shown = _VALUES[statistic](scores.detach(), mask)
    places = _numbers("blocks", blocks, len(mask))
    target_of = _of_blocks(shown, places, blocks, "targets")
    group_of = _of_blocks(_numbers("groups", groups or [0] * len(mask), len(mask)), places, blocks, "groups")
    sums = np.zeros((len(target_of), values.shape[1]))
    np.add.at(sums, places, values)
    rows = np.arange(len(sums))
    observed = float(sums[rows, target_of].sum())
    found = np.zeros(permutations)
    for group in np.unique(group_of):
        mine = np.flatnonzero(group_of == group)
        shuffled = generator.permuted(np.tile(target_of[mine], (permutations, 1)), axis=1)
        found += sums[mine, shuffled].sum(axis=1)
    as_many = found >= observed - 1e-9 * max(1.0, abs(observed))  # sums that are equal on paper count against
    return PermutationResult((1 + int(as_many.sum())) / (1 + permutations), observed / len(mask), permutations)


def _of_blocks(of_query: Integers, places: Integers, blocks: Sequence[Hashable], what: str) -> Integers:
    """What all queries of each block have."""
    found = np.full(int(places.max()) + 1, -1, dtype=np.int64)
    found[places] = of_query
    strange = np.flatnonzero(found[places] != of_query)
    if len(strange):
        raise ValueError(
            f"block {blocks[int(strange[0])]!r} has queries with different {what}: all queries of a block have one."
        )
    return found


def _numbers(name: str, keys: Sequence[Hashable], queries: int) -> Integers:
    """Keys as numbers, in the order in which they come first."""
    if len(keys) != queries:
        raise ValueError(f"{name} has {len(keys)} entries for {queries} queries: expected one a query.")
    places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    return np.asarray([places[key] for key in keys], dtype=np.int64)


def _hits(scores: torch.Tensor, mask: torch.Tensor) -> tuple[Doubles, Integers]:
    hits, shown = hits_of_every_target(scores, mask, 1)
    return hits.astype(np.float64), shown


def _pairs_won(scores: torch.Tensor, mask: torch.Tensor) -> tuple[Doubles, Integers]:
    """Part of the other entries that score lower, for each distinct target; ties and NaN count against it."""
    if (mask.sum(dim=1) != 1).any():
        raise ValueError("statistic is 'pairwise', and a query has several right entries: permute top1 instead.")
    columns, shown = mask.int().argmax(dim=1).unique(return_inverse=True)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    rivals = scores.masked_fill(scores.isnan(), torch.inf).sort(dim=1).values
    mine = scores.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)[:, columns].contiguous()
    won = torch.searchsorted(rivals, mine).double() / (scores.shape[1] - 1)
    return won.cpu().numpy(), shown.cpu().numpy()


_VALUES = {TOP1: _hits, PAIRWISE: _pairs_won}
