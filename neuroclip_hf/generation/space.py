"""From the space in which a run retrieves to the one that a pipeline paints from.

Both are known on the training pictures: the run embeds them by its adapted tower, the pipeline by its image encoder.
Where the two say the same, as for BrainCLIP on the pipeline's own CLIP, embeddings are used as they are. Elsewhere a
ridge regression takes the one to the other, from the training pictures alone (ours). It is fitted on pictures rather
than on recordings, since recordings that were trained on lie nearer to their pictures than any new one will.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold

from neuroclip_hf.errors import InputError
from neuroclip_hf.generation.moments import Moments, match_moments, require_finite

SAME_SPACE = 0.95
"""Mean cosine of centred picture embeddings from which two towers count as one (ours): preprocessing and precision
move a picture's embedding by a few hundredths, another tower by all it has."""
FOLDS = 5
ALPHAS = tuple(10.0**power for power in range(-2, 6))
"""Penalties that are tried, for inputs of unit variance (ours)."""


@dataclass(frozen=True)
class SpaceMap:
    """How embeddings of a run become those of a pipeline.

    Args:
        likeness (`float`, *optional*): mean cosine of the two towers' centred embeddings; None where widths differ.
        alpha (`float`, *optional*): penalty of the ridge regression; None where the space is the same.
        explained (`float`, *optional*): its R squared on pictures of held-out concepts, mean over dimensions.
        source (`Moments`): of the run's picture embeddings, by which inputs are standardised.
        weights (`torch.Tensor` of shape `(run's width, pipeline's width)`, *optional*) and bias: the map.
    """

    likeness: float | None
    alpha: float | None
    explained: float | None
    source: Moments
    weights: torch.Tensor | None = None
    bias: torch.Tensor | None = None

    @property
    def kind(self) -> str:
        """In words, for the report."""
        return "direct: the run's space is the pipeline's" if self.weights is None else "ridge on training pictures"

    def __call__(self, embeds: torch.Tensor) -> torch.Tensor:
        """Embeddings (embeddings, run's width) to (embeddings, pipeline's width)."""
        if self.weights is None or self.bias is None:
            return embeds
        return _standardised(embeds, self.source) @ self.weights + self.bias


def fit_space_map(run_embeds: torch.Tensor, pipeline_embeds: torch.Tensor, concepts: Sequence[str]) -> SpaceMap:
    """Find how a run's space becomes a pipeline's.

    Args:
        run_embeds (`torch.Tensor` of shape `(pictures, run's width)`): training pictures, embedded by the run.
        pipeline_embeds (`torch.Tensor` of shape `(pictures, pipeline's width)`): the same, by the image encoder.
        concepts (sequence of `str`): what each shows; the penalty is chosen on concepts that were left out.

    Raises:
        InputError: if the spaces differ and the pictures show fewer than two concepts, so that nothing can be fitted.
    """
    require_finite(run_embeds, "the run's embeddings of training pictures")
    require_finite(pipeline_embeds, "the pipeline's embeddings of training pictures")
    likeness, source = _likeness(run_embeds, pipeline_embeds), Moments.of(run_embeds, "training pictures")
    if likeness is not None and likeness >= SAME_SPACE:
        return SpaceMap(likeness, None, None, source)
    folds = min(FOLDS, len(set(concepts)))
    if folds < 2:
        raise InputError(
            f"the run's space is {run_embeds.shape[1]} wide and another than the pipeline's, which is "
            f"{pipeline_embeds.shape[1]} wide, and the training pictures show one concept: a map between the two "
            "needs at least two. Train BrainCLIP on the pipeline's own CLIP, or prepare a store with more pictures."
        )
    inputs, outputs = _standardised(run_embeds, source).double().numpy(), pipeline_embeds.double().numpy()
    parts = list(GroupKFold(folds).split(inputs, groups=np.asarray(concepts)))
    found = RidgeCV(ALPHAS, cv=parts, scoring="r2").fit(inputs, outputs)
    weights, bias = (torch.from_numpy(np.asarray(each)).float() for each in (found.coef_.T, found.intercept_))
    return SpaceMap(likeness, float(found.alpha_), float(found.best_score_), source, weights, bias)


def to_pipeline(
    embeds: torch.Tensor, recordings: torch.Tensor, run_map: SpaceMap, pictures: torch.Tensor
) -> torch.Tensor:
    """Brain embeddings to moment-matched embeddings of a pipeline.

    In the run's space they take the moments of the run's pictures, then the map, then the moments of the pipeline's
    pictures; where the map is none, that is one shift and scale.

    Args:
        embeds (`torch.Tensor` of shape `(queries, run's width)`): brain embeddings.
        recordings (`torch.Tensor` of shape `(recordings, run's width)`): those whose moments are replaced.
        run_map (`SpaceMap`): from [`fit_space_map`].
        pictures (`torch.Tensor` of shape `(pictures, pipeline's width)`): training pictures, by the image encoder.

    Raises:
        InputError: if embeddings are not finite.
    """
    require_finite(embeds, "brain embeddings of the queries")
    source = Moments.of(recordings, "brain embeddings of the recordings that moments are taken from")
    mapped, mapped_recordings = (run_map(match_moments(each, source, run_map.source)) for each in (embeds, recordings))
    target = Moments.of(pictures, "the pipeline's embeddings of training pictures")
    return match_moments(mapped, Moments.of(mapped_recordings, "mapped brain embeddings"), target)


def _likeness(run_embeds: torch.Tensor, pipeline_embeds: torch.Tensor) -> float | None:
    if run_embeds.shape != pipeline_embeds.shape:
        return None
    mine, theirs = (each.double() - each.double().mean(dim=0) for each in (run_embeds, pipeline_embeds))
    return float(torch.cosine_similarity(mine, theirs, dim=1).mean())


def _standardised(embeds: torch.Tensor, moments: Moments) -> torch.Tensor:
    return (embeds.float() - moments.mean) / moments.std.clamp_min(1e-6 * moments.std.max().clamp_min(1e-12))
