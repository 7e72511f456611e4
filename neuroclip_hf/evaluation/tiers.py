"""Numbers that use more than the query itself, each under its own heading and never as the number of a model.

- "inductive": nothing but the query. It stands first.
- "calibrated": what is done to the queries of a subject is fitted on unlabelled trials of its training split.
- "transductive": it is fitted on the test queries themselves, all queries of a subject together.
- "matching": every picture is given to one query of a subject at most. That is an easier task than retrieval.

No label is used: what is fitted sees embeddings alone, subject by subject. What is fitted on the gallery's side is
fitted on the gallery, which is known whatever the queries are. No row is chosen by its result (ours: all are given).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from neuroclip_hf import columns
from neuroclip_hf.columns import CALIBRATED, INDUCTIVE, MATCHING, TRANSDUCTIVE
from neuroclip_hf.data.queries import Query
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.evaluation.fit import BY_TRAINING_SUBJECTS, NOT_WHITENED, OWN_SESSION
from neuroclip_hf.evaluation.ranking import Ranking
from neuroclip_hf.metrics.calibration import (
    center,
    csls_scores,
    matching_accuracy,
    orthogonal_alignment,
    sinkhorn_scores,
    standardize,
    whiten,
)
from neuroclip_hf.metrics.retrieval import hits_from_scores, similarity
from neuroclip_hf.metrics.significance import bootstrap_interval
from neuroclip_hf.processing.embedding import embed_queries
from neuroclip_hf.processing.processing_brain import BrainImageProcessor

UNLABELLED_TRIALS = 2000
"""Most training-split trials of a subject that calibration looks at (ours): evenly spread over its recordings."""
NEIGHBOURS = 10

_FITTED_ON = {
    CALIBRATED: "unlabelled training-split trials of the tested subject",
    TRANSDUCTIVE: "the test queries themselves",
}
_WORDS = {
    OWN_SESSION: "own-session whitening",
    BY_TRAINING_SUBJECTS: "training-subjects whitening",
    NOT_WHITENED: "no whitening",
}

Rule = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]
"""Queries (Q, D), gallery (G, D), unlabelled trials (N, D) or None for the queries themselves -> scores (Q, G)."""


def embed_unlabelled(
    model: Any, processor: BrainImageProcessor, store: TrialStore, subjects: Sequence[str]
) -> dict[str, torch.Tensor]:
    """Embeddings of single training-split trials of each subject; which picture each saw is not looked at.

    Averages over the repeats of a picture would be more like the queries, but knowing which trials belong together
    is a label.

    Args:
        model (`BrainImageModel`): of the checkpoint.
        processor (`BrainImageProcessor`): of the checkpoint.
        store (`TrialStore`): whose trials are read.
        subjects (sequence of `str`): whose.

    Returns:
        Subject -> `(trials, projection_dim)`, not normalised; none where a subject has no two such trials.
    """
    found = {}
    for name in dict.fromkeys(subjects):
        rows = store.select(columns.TRAIN, [name])
        if len(rows) > UNLABELLED_TRIALS:
            rows = rows[np.linspace(0, len(rows) - 1, UNLABELLED_TRIALS).round().astype(np.int64)]
        if len(rows) > 1:
            found[name] = embed_queries(model, processor, store, [Query((int(row),), name, "", "") for row in rows])
    return found


def whitening_words(whitening: str) -> str:
    """How the rows of a report call the whitening of a store ([`whitening_of`])."""
    return _WORDS.get(whitening, whitening)


def tier_rows(
    ranking: Ranking, whitening: str, unlabelled: Mapping[str, torch.Tensor] | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """All rows of a ranking: the inductive one, and where it holds its embeddings those of the other tiers.

    Args:
        ranking (`Ranking`): of a model.
        whitening (`str`): of its recordings, in words.
        unlabelled (mapping, *optional*): from [`embed_unlabelled`]; calibrated rows are there only if it has all
            subjects of the ranking.

    Returns:
        Rows with `tier`, `method`, `whitening`, `fitted_on`, `num_trials` (of all subjects together), `top1`, `top5`
        and `interval` (of top-1, over queries with what was fitted held fixed); and a sentence for each row that could
        not be made. Matching has neither `top5` nor an interval: one query's assignment depends on all others.
    """
    rows = [inductive_row(ranking, whitening)]
    failed: list[str] = []
    if ranking.query_embeds is None or ranking.gallery_embeds is None:
        return rows, failed
    num_trials = sum(len(query.trials) for query in ranking.queries)
    references: list[tuple[str, Mapping[str, torch.Tensor] | None, int, Mapping[str, Rule]]] = []
    if unlabelled and set(unlabelled) >= set(ranking.subjects):
        used = sum(len(unlabelled[name]) for name in set(ranking.subjects))
        references.append((CALIBRATED, unlabelled, used, _CALIBRATION))
    references.append((TRANSDUCTIVE, None, num_trials, _CALIBRATION | _TRANSDUCTION))
    for tier, reference, count, rules in references:
        for method, rule in rules.items():
            try:
                scores = _by_subject(ranking, rule, reference)
            except ValueError as error:  # where nothing is finite, for example
                failed.append(f"No {tier} row of {method}: {error}")
                continue
            rows.append(_row(tier, method, whitening, _FITTED_ON[tier], count, ranking, scores))
    places = [_places(ranking, name) for name in dict.fromkeys(ranking.subjects)]
    if all(len(mine) <= len(ranking.image_ids) for mine in places):
        rows.append(_matching_row(ranking, whitening, num_trials, places))
    return rows, failed


def inductive_row(ranking: Ranking, whitening: str) -> dict[str, Any]:
    """The row of a ranking as it is, see [`tier_rows`]."""
    return _row(INDUCTIVE, "cosine", whitening, "nothing", 0, ranking, ranking.scores)


def interval_of(hits: torch.Tensor, ranking: Ranking) -> dict[str, Any]:
    """`low`, `high`, `level`, `resamples` and `over` of [`bootstrap_interval`], queries of one picture together."""
    values, subjects, together = ranking.by_picture(hits)
    found = bootstrap_interval(values, subjects)
    mean = float(hits.double().mean())  # pictures with more queries weigh more in it
    return {
        "low": min(found.low, mean),
        "high": max(found.high, mean),
        "level": found.level,
        "resamples": found.resamples,
        "over": found.over.replace("queries", "pictures") if together else found.over,
    }


def _row(
    tier: str, method: str, whitening: str, fitted_on: str, num_trials: int, ranking: Ranking, scores: torch.Tensor
) -> dict[str, Any]:
    hits = hits_from_scores(scores, ranking.mask)
    return {
        "tier": tier,
        "method": method,
        "whitening": whitening,
        "fitted_on": fitted_on,
        "num_trials": num_trials,
        **{name: float(hit.double().mean()) for name, hit in hits.items()},
        "interval": interval_of(hits["top1"], ranking),
    }


def _matching_row(ranking: Ranking, whitening: str, num_trials: int, places: Sequence[torch.Tensor]) -> dict[str, Any]:
    found = [matching_accuracy(ranking.scores[mine], ranking.mask[mine]) * len(mine) for mine in places]
    return {
        "tier": MATCHING,
        "method": "one-to-one assignment",
        "whitening": whitening,
        "fitted_on": "the test queries themselves, each picture given to one query of a subject at most",
        "num_trials": num_trials,
        "top1": sum(found) / len(ranking.queries),
        "top5": None,
        "interval": None,
    }


def _by_subject(ranking: Ranking, rule: Rule, references: Mapping[str, torch.Tensor] | None) -> torch.Tensor:
    assert ranking.query_embeds is not None
    assert ranking.gallery_embeds is not None
    scores = torch.empty_like(ranking.scores)
    for name in dict.fromkeys(ranking.subjects):
        mine = _places(ranking, name)
        reference = None if references is None else references[name]
        scores[mine] = rule(ranking.query_embeds[mine], ranking.gallery_embeds, reference).to(scores.dtype)
    return scores


def _places(ranking: Ranking, subject: str) -> torch.Tensor:
    return torch.tensor([place for place, name in enumerate(ranking.subjects) if name == subject])


def _standardised(query: torch.Tensor, gallery: torch.Tensor, reference: torch.Tensor | None) -> torch.Tensor:
    return similarity(standardize(query, reference), standardize(gallery))


def _centred(query: torch.Tensor, gallery: torch.Tensor, reference: torch.Tensor | None) -> torch.Tensor:
    return similarity(*center(query, gallery, reference))


def _whitened(query: torch.Tensor, gallery: torch.Tensor, reference: torch.Tensor | None) -> torch.Tensor:
    """The gallery is centred, since what is whitened has no mean."""
    return similarity(whiten(query, reference), center(query, gallery)[1])


def _both_whitened(query: torch.Tensor, gallery: torch.Tensor, reference: torch.Tensor | None) -> torch.Tensor:
    return similarity(whiten(query, reference), whiten(gallery))


def _csls(query: torch.Tensor, gallery: torch.Tensor, reference: torch.Tensor | None) -> torch.Tensor:
    return csls_scores(query, gallery, NEIGHBOURS, reference)


def _aligned(query: torch.Tensor, gallery: torch.Tensor, reference: torch.Tensor | None) -> torch.Tensor:
    return similarity(orthogonal_alignment(query, gallery, reference), gallery)


def _sinkhorn(query: torch.Tensor, gallery: torch.Tensor, _: torch.Tensor | None) -> torch.Tensor:
    return sinkhorn_scores(similarity(query, gallery))


_CALIBRATION: dict[str, Rule] = {
    "per-subject standardisation": _standardised,
    "centring": _centred,
    "whitening of the queries": _whitened,
    "whitening of both sides": _both_whitened,
    "CSLS": _csls,
}
# Trials of the training split show none of the gallery's pictures: they can be neither paired with these nor shared
# out among them.
_TRANSDUCTION: dict[str, Rule] = {"orthogonal alignment": _aligned, "Sinkhorn": _sinkhorn}
