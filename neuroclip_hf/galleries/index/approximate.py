"""Approximate search: FAISS looks through the lists of vectors near a query, and the best found are compared exactly.

Inverted lists (Sivic and Zisserman, 2003; Johnson et al., 2017) around the centres of k-means; a vector takes a byte a
value in them, which names ten times as many candidates as are asked for, and those are compared with all their bits.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neuroclip_hf.errors import InputError
from neuroclip_hf.galleries.index.exact import search_exact
from neuroclip_hf.logging import get_logger, progress

MIN_ENTRIES = 10_000
"""Fewer are not put into lists (ours): looking at all of them takes a few milliseconds."""
POINTS_A_LIST = 64
"""Vectors a list that k-means looks at (ours): FAISS asks for 39 at least."""
ROUNDS = 10
"""Of k-means (FAISS's default)."""
CANDIDATES = 10
"""Candidates that are compared exactly, for each entry asked for (ours)."""
TESTED, TESTED_K = 200, 10
RECALL = 0.99
"""Of its ten nearest entries an entry must find so many on average (ours)."""
MARGIN = 4
"""So many times the lists that entries need are looked through (ours): the lists were made around entries."""


def require_faiss() -> Any:
    """The library.

    Raises:
        InputError: if it is not installed.
    """
    try:
        import faiss
    except ImportError:
        raise InputError(
            "an index needs FAISS, which is not installed: run pip install 'neuroclip-hf[index]'."
        ) from None
    return faiss


def train_lists(blocks: Sequence[torch.Tensor]) -> Any:
    """A FAISS index of unit vectors: all of them as they are if they are few, and in lists otherwise.

    Args:
        blocks (sequence of `torch.Tensor` of shape `(rows, width)`): the vectors, one after the other.

    Returns:
        `faiss.Index` by inner product, whose numbers are rows.
    """
    faiss = require_faiss()
    entries, width = sum(map(len, blocks)), blocks[0].shape[1]
    if entries < MIN_ENTRIES:
        index = faiss.IndexFlatIP(width)
    else:
        lists = round(entries**0.5)
        index = faiss.index_factory(width, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
        index.cp.niter, index.cp.max_points_per_centroid = ROUNDS, POINTS_A_LIST
        chosen = np.sort(np.random.default_rng(0).permutation(entries)[: lists * POINTS_A_LIST])
        get_logger().info("Grouping %d entries into %d lists.", entries, lists)
        index.train(take_rows(blocks, torch.from_numpy(chosen)).numpy())
    for block in progress(blocks, desc="search index", unit="block"):
        index.add(block.numpy())
    return index


def choose_probes(index: Any, blocks: Sequence[torch.Tensor]) -> tuple[int, float]:
    """How many lists to look through: [`MARGIN`] times those with which entries find each other, see [`RECALL`].

    Returns:
        The number, and the part of their ten nearest entries, themselves included, that entries find with it.
    """
    entries = sum(map(len, blocks))
    rows = np.sort(np.random.default_rng(1).permutation(entries)[:TESTED])
    queries = take_rows(blocks, torch.from_numpy(rows))
    wanted = search_exact(blocks, queries, min(TESTED_K, entries))[1]
    lists = getattr(index, "nlist", 1)

    def recall(probes: int) -> float:
        return recall_at(search_lists(index, blocks, queries, wanted.shape[1], probes)[1], wanted)

    probes = 1
    while probes < lists and recall(probes) < RECALL:
        probes *= 2
    probes = min(MARGIN * probes, lists)
    return probes, recall(probes)


def recall_at(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The part of `wanted` rows (queries, k) that is among `found` ones, whatever their order."""
    return float((wanted[:, :, None] == found[:, None, :]).any(dim=2).float().mean())


def search_lists(
    index: Any, blocks: Sequence[torch.Tensor], queries: torch.Tensor, top_k: int, probes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """What [`search_exact`] gives, found in few lists: an entry in another list is missed, scores are exact.

    Where the lists hold fewer than `top_k` entries the last rows are -1, with a score of -inf.

    Args:
        index (`faiss.Index`): from [`train_lists`].
        blocks (sequence of `torch.Tensor` of shape `(rows, width)`): the same vectors.
        queries (`torch.Tensor` of shape `(queries, width)`): of length one.
        top_k (`int`): entries a query.
        probes (`int`): lists that are looked through.
    """
    faiss = require_faiss()
    entries = sum(map(len, blocks))
    settings = faiss.SearchParametersIVF(nprobe=probes) if hasattr(index, "nlist") else None
    _, near = index.search(queries.numpy(), min(CANDIDATES * top_k, entries), params=settings)
    candidates = torch.from_numpy(near)
    vectors = take_rows(blocks, candidates.clamp(min=0).flatten()).unflatten(0, candidates.shape)
    products = np.matmul(vectors.numpy(), queries.numpy()[:, :, None])[:, :, 0]
    scores = torch.from_numpy(products).masked_fill(candidates < 0, -torch.inf)
    best = torch.topk(scores, min(top_k, entries), dim=1)
    return best.values, candidates.gather(1, best.indices)


def take_rows(blocks: Sequence[torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
    """Some vectors, `(rows, width)`, copied."""
    wanted, ends = rows.numpy(), np.cumsum([len(block) for block in blocks])
    place = np.searchsorted(ends, wanted, side="right")
    taken = np.empty((len(wanted), blocks[0].shape[1]), np.float32)
    # NumPy copies a few rows in less time than torch takes to wake its threads.
    for number in np.unique(place):
        mine = place == number
        taken[mine] = blocks[number].numpy()[wanted[mine] - (ends[number] - len(blocks[number]))]
    return torch.from_numpy(taken)


def write_lists(index: Any, path: Path) -> None:
    """Write a FAISS index."""
    require_faiss().write_index(index, str(path))


def read_lists(path: Path, entries: int, width: int) -> Any:
    """Read a FAISS index.

    Raises:
        InputError: if it is missing, damaged, or of other vectors.
    """
    faiss = require_faiss()
    remedy = "make the index again."
    if not path.is_file():
        raise InputError(f"{path} does not exist: {remedy}")
    try:
        index = faiss.read_index(str(path))
    except RuntimeError as error:
        raise InputError(f"{path} cannot be read ({str(error).splitlines()[0]}): {remedy}") from None
    if (index.ntotal, index.d) != (entries, width):
        raise InputError(f"{path} holds {index.ntotal} vectors of {index.d}, not {entries} of {width}: {remedy}")
    return index
