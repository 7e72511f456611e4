"""What every loss over a batch needs: rows that fit each other, gradients of one batch, penalties of all rows."""

from collections.abc import Mapping

import torch
from accelerate.state import GradientState

from neuroclip_hf.errors import InputError
from neuroclip_hf.losses import gather_with_gradient
from neuroclip_hf.models.batches import require_places, require_whole_numbers


def of_rows(pictures: torch.Tensor | None, picture_index: torch.Tensor | None) -> torch.Tensor | None:
    """What is known of each picture (pictures, ...) for each recording (rows, ...)."""
    if pictures is None or picture_index is None:
        return pictures
    require_places("picture_index", picture_index, len(pictures))
    return pictures.index_select(0, picture_index.long())  # whose gradient is deterministic


def check_numbers(brain: torch.Tensor | None, **named: torch.Tensor | None) -> None:
    """Raise [`InputError`] unless whatever is given by these names are whole numbers, one for each recording."""
    for name, values in named.items():
        if values is not None:
            require_whole_numbers(name, values, len(values if brain is None else brain))


def check_pairs(brain: torch.Tensor, image: torch.Tensor) -> None:
    """Raise [`InputError`] unless there is a picture for each recording."""
    if len(brain) != len(image):
        raise InputError(
            f"{len(brain)} recordings but {len(image)} pictures: pass picture_index, which says the picture of each."
        )


def refuse_accumulation() -> None:
    """Raise [`InputError`] while the gradients of several batches are being summed.

    Accelerate, and with it transformers' Trainer, says in its state whether they are.
    """
    if not GradientState().sync_gradients:
        GradientState._reset_state()  # it is the process', and would say so of the next training too
        raise InputError(
            "gradients are accumulated over several batches: a contrastive loss would tell each picture from fewer "
            "others. Set gradient_accumulation_steps to 1, and the model's picture_chunk_size to save memory."
        )


def weigh_penalties(
    penalties: Mapping[str, torch.Tensor], weights: Mapping[str, float], gathered: bool
) -> torch.Tensor:
    """What an encoder's penalties add to a loss: the sum of their weighted means over the batch.

    Args:
        penalties (`Mapping`): name -> (batch,), at least one.
        weights (`Mapping`): name -> weight, see [`BrainEncoderConfig.penalty_weights`].
        gathered (`bool`): whether the batch is that of all processes together.
    """
    rows = {name: gather_with_gradient(values) if gathered else values for name, values in penalties.items()}
    return torch.stack([weights[name] * values.mean() for name, values in rows.items()]).sum()
