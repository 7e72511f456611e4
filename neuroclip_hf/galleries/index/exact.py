"""Exact search among many vectors: a product at a time, and of it only what may be among the best.

One query reads every vector once, which is all that it takes; a batch costs its matrix product. The best of a block
are found through the maxima of its groups: at most `top_k` groups hold them, so nothing else is looked at again.
"""

from collections.abc import Sequence

import torch

BLOCK_SCORES = 2**26
"""Scores of a product (ours): 256 MB."""
BLOCK_QUERIES = 512
"""Queries of one product (ours): as fast as thousands, in little memory."""
GROUP = 32
"""Scores of which the largest stands for all (ours)."""


def search_exact(
    blocks: Sequence[torch.Tensor], queries: torch.Tensor, top_k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The vectors with the greatest inner products.

    Args:
        blocks (sequence of `torch.Tensor` of shape `(rows, width)`): the vectors, one after the other.
        queries (`torch.Tensor` of shape `(queries, width)`): in the vectors' dtype.
        top_k (`int`): at most as many as there are vectors.

    Returns:
        The inner products, greatest first, and the rows, both `(queries, top_k)`.
    """
    found = [_search_few(blocks, some, top_k) for some in queries.split(BLOCK_QUERIES)]
    return torch.cat([scores for scores, _ in found]), torch.cat([rows for _, rows in found])


def _search_few(
    blocks: Sequence[torch.Tensor], queries: torch.Tensor, top_k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    if len(queries) == 1:  # a product with one vector is read at the speed of memory only as such
        return largest(torch.cat([torch.mv(block, queries[0]) for block in blocks])[None], top_k)
    kept_scores, kept_rows = [], []
    start, height = 0, max(GROUP, BLOCK_SCORES // len(queries))
    for block in blocks:
        for part in block.split(height):
            best, rows = largest(queries @ part.T, min(top_k, len(part)))
            kept_scores.append(best)
            kept_rows.append(rows + start)
            start += len(part)
    values, places = torch.topk(torch.cat(kept_scores, dim=1), top_k, dim=1)
    return values, torch.cat(kept_rows, dim=1).gather(1, places)


def largest(scores: torch.Tensor, top_k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The greatest of each row and their places, as `torch.topk`, which looks at each score many times.

    Args:
        scores (`torch.Tensor` of shape `(queries, entries)`): contiguous.
        top_k (`int`): at most `entries`.
    """
    whole = scores.shape[1] // GROUP * GROUP
    if whole // GROUP <= top_k:
        return tuple(torch.topk(scores, top_k, dim=1))  # type: ignore[return-value]
    groups = scores[:, :whole].unflatten(1, (-1, GROUP)).amax(dim=2).topk(top_k, dim=1).indices
    places = (groups[:, :, None] * GROUP + torch.arange(GROUP)).flatten(1)
    rest = torch.arange(whole, scores.shape[1]).expand(len(scores), -1)
    places = torch.cat([places, rest], dim=1)
    best = torch.topk(scores.gather(1, places), top_k, dim=1)
    return best.values, places.gather(1, best.indices)
