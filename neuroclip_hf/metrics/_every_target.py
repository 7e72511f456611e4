"""Hits of fixed scores for whatever might have been the target: what permutations of targets are made of."""

import numpy as np
import numpy.typing as npt
import torch

from neuroclip_hf.metrics._neighbours import AT_ONCE


def hits_of_every_target(
    scores: torch.Tensor, mask: torch.Tensor, k: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """(Q, T) whether each query would be a hit if it had each of the T distinct targets, and (Q,) which one it has."""
    targets, shown = mask.unique(dim=0, return_inverse=True)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    # Among so many first ones there are k wrong ones, which is all that a hit depends on, unless that is the gallery.
    depth = min(k + int(targets.sum(dim=1).max()), scores.shape[1])
    blocks = scores.split(max(1, AT_ONCE // (depth * len(targets))))
    hits = torch.cat([_hits_among_the_first(block, targets, k, depth).cpu() for block in blocks])
    return hits.numpy(), shown.cpu().numpy()


def _hits_among_the_first(scores: torch.Tensor, targets: torch.Tensor, k: int, depth: int) -> torch.Tensor:
    unknown = scores.isnan()
    top = scores.masked_fill(unknown, torch.inf).topk(depth, dim=1)
    values = top.values[:, :, None].expand(-1, -1, len(targets))  # (queries, depth, targets)
    right = targets.T[top.indices]
    wrong_so_far = (~right).cumsum(dim=1, dtype=torch.int32)
    last_allowed = values.masked_fill(right | (wrong_so_far != k), -torch.inf).amax(dim=1)
    best_right = values.masked_fill(~right | unknown.gather(1, top.indices)[:, :, None], -torch.inf).amax(dim=1)
    return (best_right > last_allowed) | (wrong_so_far[:, -1] < k)
