"""What a single answer lived from: channels, and moments of the trial."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neuroclip_hf.errors import InputError
from neuroclip_hf.figures.inspection.channels import Scorer, right_score, without_channel
from neuroclip_hf.processing.processing_brain import BrainImageProcessor

MOMENT = 0.05
"""Seconds that are taken out at once (ours): short beside a component of the evoked response, long beside noise."""


@dataclass(frozen=True)
class QueryImportance:
    """How far the right score of one query falls without each channel, and without each moment.

    The right score is the mean cosine of the right entries minus that of the others; what is taken out is set to its
    mean over the training trials.

    Args:
        channels (sequence of `str`): their names.
        by_channel (`numpy.ndarray`): (channels,), the falls.
        edges (`numpy.ndarray`): (moments + 1,), seconds from the onset.
        by_moment (`numpy.ndarray`): (moments,), the falls.
        whole (`float`): the right score with all of them.
    """

    channels: Sequence[str]
    by_channel: NDArray[np.floating]
    edges: NDArray[np.floating]
    by_moment: NDArray[np.floating]
    whole: float


def query_importance(
    model: Any,
    processor: BrainImageProcessor,
    values: NDArray[np.floating],
    gallery: torch.Tensor,
    right: NDArray[np.bool_],
    subject: str = "",
) -> QueryImportance:
    """Take channels and moments out of one query, each in turn.

    Args:
        model (`BrainImageModel`): of the checkpoint.
        processor (`BrainImageProcessor`): of the checkpoint.
        values (`numpy.ndarray`): (channels, samples), in the checkpoint's form and not standardised.
        gallery (`torch.Tensor` of shape `(entries, projection_dim)`): embeddings.
        right (`numpy.ndarray` of `bool`): (entries,), which entries are right.
        subject (`str`): whose trial it is; "" where that is not known.

    Raises:
        InputError: for patterns, which have no times, or if no entry is right, or all are.
    """
    trials = processor.feature_extractor
    if len(trials.trial_shape) != 2:
        raise InputError("Which times mattered is asked of recordings; this checkpoint reads patterns, without times.")
    if right.all() or not right.any():
        raise InputError(f"{right.sum()} of {len(right)} entries are right: it must be some, and not all.")
    whole = trials(np.asarray(values)[None])[trials.input_name]
    rate = trials.sampling_rate or 1.0
    starts = np.arange(0, whole.shape[-1], max(1, round(MOMENT * rate)))
    edges = np.append(starts, whole.shape[-1])
    variants = [whole, *(without_channel(whole, channel) for channel in range(whole.shape[1]))]
    variants += [_without_moment(whole, *ends) for ends in pairwise(edges)]
    mask = torch.from_numpy(right)[None].expand(len(variants), -1)
    places = torch.tensor(trials.subject_index([subject] * len(variants)))
    found = right_score(Scorer(model, gallery, mask).scores(torch.cat(variants), places), mask).numpy()
    falls, count = found[0] - found[1:], whole.shape[1]
    seconds = trials.window_start + edges / rate
    return QueryImportance(trials.channel_names, falls[:count], seconds, falls[count:], float(found[0]))


def _without_moment(values: torch.Tensor, start: int, stop: int) -> torch.Tensor:
    """Standardised trials with some samples at the training mean, which is zero there."""
    values = values.clone()
    values[..., start:stop] = 0.0
    return values
