"""Rankings of a run -> its report."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from neuroclip_hf import columns
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation.comparison import check_same_queries
from neuroclip_hf.evaluation.fit import whitening_of
from neuroclip_hf.evaluation.measuring import accuracy_of, n_way_of, n_ways, permute
from neuroclip_hf.evaluation.ranking import LOG_LOSS, Ranking
from neuroclip_hf.evaluation.report import Report
from neuroclip_hf.evaluation.tiers import inductive_row, interval_of, tier_rows, whitening_words
from neuroclip_hf.metrics.retrieval import chance_level, log_loss_from_scores


def evaluate(
    ranking: Ranking,
    store: TrialStore,
    run: dict[str, Any],
    tower: str,
    control: Ranking | None = None,
    *,
    protocol: str | None = None,
    repeats: Sequence[dict[str, float]] = (),
    unlabelled: Mapping[str, torch.Tensor] | None = None,
    also: tuple[Ranking, TrialStore, Sequence[dict[str, float]]] | None = None,
    flags: Sequence[str] = (),
) -> Report:
    """Turn rankings into a report.

    Args:
        ranking (`Ranking`): of the trained model; the rows of other tiers are there only if it has its embeddings.
        store (`TrialStore`): where its queries come from.
        run (`dict`): what run.json says; empty for a checkpoint that came without one.
        tower (`str`): name of the vision tower.
        control (`Ranking`, *optional*): of the model trained on shuffled pairs.
        protocol (`str`, *optional*): what training and test really shared; by default what the store declares.
        repeats (sequence of `dict`, *optional*): from [`accuracy_by_repeats`].
        unlabelled (mapping, *optional*): from [`embed_unlabelled`], for the calibrated rows.
        also (`tuple`, *optional*): the same queries of the same model, the store of the same recordings, whitened
            otherwise, that they come from, and what [`accuracy_by_repeats`] says of it: a second inductive row.
        flags (sequence of `str`): from [`flags_of`].

    Raises:
        InputError: if `also` holds other queries or another gallery, or was whitened alike.
    """
    size, found = len(ranking.image_ids), accuracy_of(ranking)
    shown = "every picture of the concept is right" if store.concepts_only else "the shown picture is right"
    tiers, failed = tier_rows(ranking, whitening_words(whitening_of(store)), unlabelled)
    if also is not None:
        tiers.insert(1, _other_whitening(ranking, store, *also))
    return Report(
        top1=found["top1"],
        top5=found["top5"],
        pairwise=found["pairwise"],
        log_loss=_log_loss(ranking),
        chance_log_loss=_chance_log_loss(ranking),
        chance=chance_level(ranking.mask, size, 1),
        chance_top5=chance_level(ranking.mask, size, 5),
        gallery_size=size,
        num_queries=len(ranking.queries),
        control_top1=None if control is None else accuracy_of(control)["top1"],
        data=store.info.data,
        tower=tower,
        seed=run.get("seed"),
        protocol=protocol or store.info.protocol,
        split=run.get("split"),
        tested_subjects=_acquaintance(run, set(ranking.subjects)),
        gallery=f"the {size} pictures of the test split, unblurred; {shown}",
        averaged_repeats=_averaged(ranking),
        target=store.info.target,
        tier=columns.INDUCTIVE,
        selection=run.get("selection"),
        subjects=_by_subject(ranking),
        n_way=_n_way(ranking),
        repeats=list(repeats),
        intervals={name: interval_of(hits, ranking) for name, hits in ranking.hits().items()},
        permutation=permute([ranking]),
        tiers=tiers,
        whitening_fit=whitening_of(store),
        flags=[*flags, *failed],
        store=store.info.fingerprint,
        run={**run, "same_store": run["store"] == store.info.fingerprint} if run else {},
    )


def _other_whitening(
    ranking: Ranking, store: TrialStore, also: Ranking, other: TrialStore, repeats: Sequence[dict[str, float]]
) -> dict[str, Any]:
    """A row that says all that the report says of the first one."""
    if whitening_of(other) == whitening_of(store):
        raise InputError(
            f"{other.path} and {store.path} were whitened alike ({whitening_of(store)}): name a store of the same "
            "recordings that was prepared with another --whitening."
        )
    check_same_queries(
        ranking, also, (str(store.path), str(other.path)), "name a store of the same recordings with --also."
    )
    row = inductive_row(also, whitening_words(whitening_of(other)))
    more = {"pairwise": accuracy_of(also)["pairwise"], LOG_LOSS: _log_loss(also), "n_way": _n_way(also)}
    return {**row, **more, "repeats": list(repeats)}


def _log_loss(ranking: Ranking) -> float | None:
    losses = ranking.log_loss()
    return None if losses is None else float(losses.mean())


def _chance_log_loss(ranking: Ranking) -> float:
    """Of the same score for all pictures; exact, hence not in single precision."""
    equal = torch.zeros(ranking.mask.shape, dtype=torch.float64)
    return float(log_loss_from_scores(equal, ranking.mask.cpu(), 1.0).mean())


def _averaged(ranking: Ranking) -> float:
    sizes = [len(query.trials) for query in ranking.queries]
    return sizes[0] if len(set(sizes)) == 1 else round(float(np.mean(sizes)), 2)


def _n_way(ranking: Ranking) -> dict[str, dict[str, float]]:
    return n_way_of(ranking.scores, ranking.mask, n_ways([ranking]))


def _acquaintance(run: dict[str, Any], tested: set[str]) -> str | None:
    if not run:
        return None
    trained = tested & set(run["subjects"])
    if trained == tested:
        return columns.TRAINED_SUBJECTS
    return columns.MIXED_SUBJECTS if trained else columns.NEW_SUBJECTS


def _by_subject(ranking: Ranking) -> dict[str, dict[str, float]]:
    names = ranking.subjects
    found: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(names):
        rows = torch.tensor([place for place, other in enumerate(names) if other == name])
        mine = replace(ranking, scores=ranking.scores[rows], mask=ranking.mask[rows])
        found[name] = {**accuracy_of(mine), "num_queries": len(rows)}
    return found
