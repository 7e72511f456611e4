"""What a step of training makes smaller: the model's own loss, and the distance between subjects beside it."""

from collections.abc import Mapping
from typing import Any

import torch

from neuroclip_hf import columns
from neuroclip_hf.errors import InputError
from neuroclip_hf.losses import gather_with_gradient, mmd_between_subjects
from neuroclip_hf.training.sections import TrainingSettings


def training_loss(
    output: Any, batch: Mapping[str, torch.Tensor], settings: TrainingSettings, epoch: int
) -> torch.Tensor:
    """The loss of a batch; without `mmd_weight` it is the model's own, untouched.

    With it a part `w` of the loss is [`mmd_between_subjects`] of the recordings' embeddings and `1 - w` the model's.
    In a batch that knows only one subject the model's own loss is all.

    Source: SAMGA (arXiv 2604.17782), whose first epochs weigh an MMD like this. Between what it is taken there was not
    readable for us; between subjects is our reading, since it is to make them alike.

    Args:
        output (`ModelOutput`): with `loss`, and with `brain_embeds` (batch, projection_dim) for `mmd_weight`.
        batch (`Mapping`): what the model was given, with `subject_index`.
        settings (`TrainingSettings`): `mmd_weight`, `mmd_epochs`, `epochs`.
        epoch (`int`): counted from 0.

    Raises:
        InputError: if the batch does not say whose the recordings are.
    """
    weight = mmd_weight(settings, epoch)
    if weight == 0:
        return output.loss
    if columns.SUBJECT_INDEX not in batch:
        raise InputError(f"mmd_weight is {settings.mmd_weight}: it needs batches with {columns.SUBJECT_INDEX}.")
    brain = gather_with_gradient(output.brain_embeds)
    distance = mmd_between_subjects(brain, gather_with_gradient(batch[columns.SUBJECT_INDEX]))
    return output.loss if distance is None else (1 - weight) * output.loss + weight * distance


def mmd_weight(settings: TrainingSettings, epoch: int) -> float:
    """The share of the distance between subjects in an epoch, counted from 0."""
    epochs = settings.epochs if settings.mmd_epochs is None else settings.mmd_epochs
    if settings.mmd_weight is None or epoch >= epochs:
        return 0.0
    first, last = settings.mmd_weight
    return first + (last - first) * epoch / max(1, epochs - 1)
