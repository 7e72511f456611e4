"""What a model says of every single trial, and means of that: predictions are averaged, recordings are not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from neuroclip_hf import columns
from neuroclip_hf.data.queries import Query, make_queries, require_tested_split
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError
from neuroclip_hf.processing.embedding import embed_queries
from neuroclip_hf.processing.fitting import fitting_part
from neuroclip_hf.processing.processing_brain import BrainImageProcessor

KINDS_OF_TRIALS = dict(zip(columns.TESTED_SPLITS, ("perception", "imagery"), strict=True))
"""Splits whose trials tasks ask about, and what they are of."""


@dataclass(frozen=True)
class Predictions:
    """Brain embeddings of queries.

    Args:
        queries (`list[Query]`): the rows, those of one subject and target one after the other, in order of time.
        embeds (`torch.Tensor` of shape `(queries, projection_dim)`): not normalised; means where several trials are
            one query.
    """

    queries: list[Query]
    embeds: torch.Tensor

    @property
    def averaged(self) -> float:
        """Trials a query; the mean where queries differ."""
        return round(float(np.mean([len(query.trials) for query in self.queries])), 2)


def predict_trials(
    model: Any,
    processor: BrainImageProcessor,
    store: TrialStore,
    split: str = columns.TEST,
    subjects: Sequence[str] | None = None,
) -> Predictions:
    """Embed every trial of a split by itself.

    Args:
        model (`BrainImageModel`): of the checkpoint.
        processor (`BrainImageProcessor`): of the checkpoint.
        store (`TrialStore`): with trials that fit the checkpoint.
        split (`str`): "test", or "imagery".
        subjects (sequence of `str`, *optional*): whose trials; all by default.

    Raises:
        InputError: if the store has no such trials, or does not fit the checkpoint.
    """
    require_tested_split(split)
    store = fitting_part(processor, store)
    rows = store.select(split, subjects)
    if not len(rows):
        held = [name for name in columns.TESTED_SPLITS if len(store.select(name, subjects))]
        raise InputError(
            f"{store.path} holds no {split} trials of these subjects; it has {', '.join(held) or 'none'}."
        )
    queries = make_queries(store.trials, rows, 1)
    return Predictions(queries, embed_queries(model, processor, store, queries))


def average_predictions(single: Predictions, store: TrialStore, average: int | None) -> Predictions:
    """Means of the predictions of several trials of one subject and target.

    As Horikawa & Kamitani (2017) average predicted features: before anything is normalised, so that for a linear model
    it is the prediction for the mean pattern.

    Args:
        single (`Predictions`): from [`predict_trials`].
        store (`TrialStore`): whose trials they are.
        average (`int` or None): trials a query, disjoint, in order of time; None takes all of a target.

    Raises:
        InputError: if `average` is below one, or a target has fewer trials.
    """
    place = {query.trials[0]: number for number, query in enumerate(single.queries)}
    queries = make_queries(store.trials, np.asarray(sorted(place)), average)
    means = [single.embeds[[place[trial] for trial in query.trials]].mean(dim=0) for query in queries]
    return Predictions(queries, torch.stack(means))
