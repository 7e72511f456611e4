"""Losses, one a file; none of them knows a model."""

from neuroclip_hf.losses.gather import gather_with_gradient
from neuroclip_hf.losses.mmd import mmd_between_subjects
from neuroclip_hf.losses.softened_contrastive import (
    contrastive_logits,
    softened_contrastive_loss,
    softened_cross_entropy,
    softened_targets,
)

__all__ = [
    "contrastive_logits",
    "gather_with_gradient",
    "mmd_between_subjects",
    "softened_contrastive_loss",
    "softened_cross_entropy",
    "softened_targets",
]
