"""Accuracy against the number of averaged repeats."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.queries import Query, make_queries, target_mask
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.evaluation.ranking import Ranking
from neuroclip_hf.logging import progress
from neuroclip_hf.metrics.retrieval import ranks_from_scores, similarity
from neuroclip_hf.processing.embedding import embed_queries, encode_trials
from neuroclip_hf.processing.processing_brain import NeuroCLIPProcessor

REPEATS = (1, 2, 5, 10, 20, 40, 80)
"""Those of the field; each divides the last one."""
_MEANS_AT_ONCE = 256


def accuracy_by_repeats(
    model: Any, processor: NeuroCLIPProcessor, store: TrialStore, ranking: Ranking
) -> list[dict[str, float]]:
    """Accuracy with queries of 1, 2, 5, 10, 20, 40 and 80 repeats, as far as every target has them, and of all.

    What is averaged is recordings, not embeddings. The trials of a target, in the order of the store, are parted into
    as many disjoint queries as they give, and all numbers of repeats are made of the same reading. Where trials know
    only their concept, "all" is no number of repeats of one thing and is left out.

    Args:
        model (`NeuroCLIPModel`): of the checkpoint.
        processor (`NeuroCLIPProcessor`): of the checkpoint.
        store (`TrialStore`): that was ranked.
        ranking (`Ranking`): with its embeddings; its subjects and gallery are taken, and its queries where they are
            those of all repeats.

    Returns:
        Fewest repeats first: `repeats` (the mean where targets differ), `top1`, `top5`, `num_queries`.
    """
    if ranking.gallery_embeds is None:
        raise ValueError("the ranking holds no embeddings: it was loaded, or made by hand")
    rows = store.select(columns.TEST, list(dict.fromkeys(ranking.subjects)))
    targets = make_queries(store.trials, rows, None)
    mask = torch.from_numpy(target_mask(targets, store.gallery(columns.TEST)))
    fewest, most = (chosen(len(target.trials) for target in targets) for chosen in (min, max))
    sizes = [size for size in REPEATS if size <= fewest]
    ranks: dict[float, list[torch.Tensor]] = defaultdict(list)
    for size, places, means in _blocks(store, targets, sizes):
        subjects = [targets[place].subject for place in places]
        embeds = encode_trials(model, processor, means, channel_names=store.info.channels, subjects=subjects)
        ranks[size].append(ranks_from_scores(similarity(embeds, ranking.gallery_embeds), mask[places]))
    if not store.concepts_only and (fewest != most or fewest not in sizes):
        mean = round(float(np.mean([len(target.trials) for target in targets])), 2)
        ranks[fewest if fewest == most else mean].append(_ranks_of_all(model, processor, store, targets, mask, ranking))
    return [_entry(size, torch.cat(found)) for size, found in sorted(ranks.items())]


def _blocks(
    store: TrialStore, targets: Sequence[Query], sizes: Sequence[int]
) -> Iterator[tuple[int, list[int], NDArray[np.float32]]]:
    """Number of repeats, places of the targets, and means `(queries, channels, samples)`; each trial is read once."""
    pending: dict[int, list[tuple[int, NDArray[np.float32]]]] = {size: [] for size in sizes}
    for place in progress(range(len(targets)), desc="repeats", unit="target"):
        trials = targets[place].trials
        for start in range(0, len(trials), REPEATS[-1]):  # which all numbers divide, so that no query is cut
            values = store.read(trials[start : start + REPEATS[-1]])
            for size in sizes:
                for first in range(0, len(values) - size + 1, size):
                    pending[size].append((place, values[first : first + size].mean(axis=0)))
                if len(pending[size]) >= _MEANS_AT_ONCE:
                    yield _block(size, pending)
    for size in sizes:
        if pending[size]:
            yield _block(size, pending)


def _block(
    size: int, pending: dict[int, list[tuple[int, NDArray[np.float32]]]]
) -> tuple[int, list[int], NDArray[np.float32]]:
    places, means = zip(*pending[size], strict=True)
    pending[size] = []
    return size, list(places), np.stack(means)


def _ranks_of_all(
    model: Any,
    processor: NeuroCLIPProcessor,
    store: TrialStore,
    targets: Sequence[Query],
    mask: torch.Tensor,
    ranking: Ranking,
) -> torch.Tensor:
    if ranking.queries == targets:
        return ranks_from_scores(ranking.scores, mask)
    assert ranking.gallery_embeds is not None
    embeds = embed_queries(model, processor, store, targets)
    return ranks_from_scores(similarity(embeds, ranking.gallery_embeds), mask)


def _entry(size: float, ranks: torch.Tensor) -> dict[str, float]:
    found = {f"top{k}": int((ranks < k).sum()) / len(ranks) for k in (1, 5)}
    return {"repeats": size, **found, "num_queries": len(ranks)}
