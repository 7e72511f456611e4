"""Losses, one a file; none of them knows a model."""

from neuroclip_hf.losses.gather import gather_places, gather_with_gradient
from neuroclip_hf.losses.mixco import Mixing, cross_entropy_both_ways, draw_mixing
from neuroclip_hf.losses.mmd import mmd_between_subjects
from neuroclip_hf.losses.softened_contrastive import (
    contrastive_logits,
    softened_contrastive_loss,
    softened_cross_entropy,
    softened_targets,
)
from neuroclip_hf.losses.unit_distance import squared_distance, weighted_directions

__all__ = [
    "Mixing",
    "contrastive_logits",
    "cross_entropy_both_ways",
    "draw_mixing",
    "gather_places",
    "gather_with_gradient",
    "mmd_between_subjects",
    "softened_contrastive_loss",
    "softened_cross_entropy",
    "softened_targets",
    "squared_distance",
    "weighted_directions",
]
