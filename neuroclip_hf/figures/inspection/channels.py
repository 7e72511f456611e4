"""Which channels a model listens to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.queries import Query, make_queries, target_mask
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError
from neuroclip_hf.figures.scalp import METHODS
from neuroclip_hf.logging import progress
from neuroclip_hf.metrics.retrieval import accuracy_from_scores, similarity
from neuroclip_hf.processing.collator import PictureSet
from neuroclip_hf.processing.embedding import BATCH, embed_pictures, inference
from neuroclip_hf.processing.fitting import fitting_part

MAX_QUERIES = 400
"""Queries that are looked at (ours), spread over all; each channel costs one more pass of them through the encoder."""


@dataclass(frozen=True)
class ChannelImportance:
    """What a model would lose without each channel.

    The right score of a query is the mean cosine of its right pictures minus that of the wrong ones.

    Args:
        method (`str`): "occlusion": the fall of the mean right score when a channel is set to its training mean;
            "gradient": gradient x input, what that fall would be if the model were linear.
        channels (sequence of `str`): their names.
        values (`numpy.ndarray`): (channels,), the fall of the mean right score.
        top1 (`numpy.ndarray` or None): (channels,), the fall of top-1; None for "gradient".
        whole_score, whole_top1 (`float`): mean right score and top-1 with all channels.
        num_queries (`int`): of which these are means.
    """

    method: str
    channels: Sequence[str]
    values: NDArray[np.floating]
    top1: NDArray[np.floating] | None
    whole_score: float
    whole_top1: float
    num_queries: int


def channel_importance(
    model: Any,
    processor: Any,
    store: TrialStore,
    *,
    method: str = "occlusion",
    subjects: Sequence[str] | None = None,
) -> ChannelImportance:
    """Ask a model which channels its test queries live from. Nothing is trained or chosen by it.

    Args:
        model (`BrainImageModel`): of the checkpoint.
        processor (`BrainImageProcessor`): of the checkpoint.
        store (`TrialStore`): whose test split is read, in the channels and the window of the
            checkpoint; all repeats of a picture are averaged.
        method (`str`): "occlusion" or "gradient".
        subjects (sequence of `str`, *optional*): whose trials; all by default.

    Raises:
        InputError: for another method, or a store that does not fit or has no test trials.
    """
    if method not in METHODS:
        raise InputError(f"method is {method!r}: choose one of {', '.join(METHODS)}.")
    store = fitting_part(processor, store)
    queries = _queries(store, subjects)
    gallery = store.gallery(columns.TEST)
    right = torch.from_numpy(target_mask(queries, gallery))
    pictures = PictureSet(store.open_picture, list(gallery[columns.IMAGE_ID]), processor)
    scorer = Scorer(model, embed_pictures(model, pictures, "test gallery"), right)
    trials = processor.feature_extractor
    means = store.read_means([query.trials for query in queries])
    values = trials(means, channel_names=store.info.channels)[trials.input_name]
    places = torch.tensor(trials.subject_index([query.subject for query in queries]))
    whole_score, whole_top1 = scorer.measure(values, places)
    top1 = None
    if method == "gradient":
        falls = scorer.gradient_times_input(values, places)
    else:
        found = [scorer.measure(without_channel(values, channel), places) for channel in _channels(values)]
        falls = whole_score - np.array([score for score, _ in found])
        top1 = whole_top1 - np.array([accuracy for _, accuracy in found])
    return ChannelImportance(method, trials.channel_names, falls, top1, whole_score, whole_top1, len(queries))


def _queries(store: TrialStore, subjects: Sequence[str] | None) -> list[Query]:
    rows = store.select(columns.TEST, subjects)
    queries = make_queries(store.trials, rows, 1 if store.concepts_only else None)
    places = np.unique(np.linspace(0, len(queries) - 1, min(MAX_QUERIES, len(queries))).round().astype(int))
    return [queries[place] for place in places]


def _channels(values: torch.Tensor) -> Any:
    return progress(range(values.shape[1]), desc="channels", unit="channel")


def without_channel(values: torch.Tensor, channel: int) -> torch.Tensor:
    """Standardised trials with one channel at its training mean, which is zero there."""
    values = values.clone()
    values[:, channel] = 0.0
    return values


class Scorer:
    """Scores of standardised trials against one gallery.

    Args:
        model (`BrainImageModel`): of the checkpoint.
        gallery (`torch.Tensor` of shape `(entries, projection_dim)`): embeddings.
        right (`torch.Tensor` of `bool`, `(queries, entries)`): which entries are right.
    """

    def __init__(self, model: Any, gallery: torch.Tensor, right: torch.Tensor) -> None:
        self.model, self.gallery, self.right = model, gallery, right

    def scores(self, values: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Cosines with the whole gallery: (queries, entries)."""
        with inference(self.model):
            features = [self._features(values, places, start) for start in range(0, len(values), BATCH)]
        return similarity(torch.cat(features), self.gallery)

    def measure(self, values: torch.Tensor, places: torch.Tensor) -> tuple[float, float]:
        """Mean right score and top-1."""
        scores = self.scores(values, places)
        return float(right_score(scores, self.right).mean()), accuracy_from_scores(scores, self.right)["top1"]

    def gradient_times_input(self, values: torch.Tensor, places: torch.Tensor) -> NDArray[np.floating]:
        """Mean over queries of gradient x input of the right score, summed over time: (channels,)."""
        parts = []
        for start in range(0, len(values), BATCH):
            some = slice(start, start + BATCH)
            with torch.enable_grad():
                given = values[some].clone().requires_grad_()
                scores = similarity(self._features(given, places[some], 0), self.gallery)
                (gradient,) = torch.autograd.grad(right_score(scores, self.right[some]).sum(), given)
            parts.append((gradient * given.detach()).flatten(2).sum(dim=2))
        return torch.cat(parts).mean(dim=0).cpu().numpy()

    def _features(self, values: torch.Tensor, places: torch.Tensor, start: int) -> torch.Tensor:
        some, device = slice(start, start + BATCH), self.model.device
        return self.model.get_brain_features(values[some].to(device), places[some].to(device)).float().cpu()


def right_score(scores: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Mean cosine of the right pictures minus that of the wrong ones: (queries,)."""
    wrong = ~right
    return (scores * right).sum(1) / right.sum(1) - (scores * wrong).sum(1) / wrong.sum(1).clamp(min=1)
