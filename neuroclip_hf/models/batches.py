"""What a batch may hold: kinds of number and shapes, looked at before anything is computed from them."""

from typing import Any

import torch

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.batch_norm import several_processes

_WHOLE_NUMBERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def require_floating(name: str, values: Any, meaning: str) -> None:
    """Raise [`InputError`] unless this is a tensor of a floating type; `meaning` says what the numbers should be."""
    _require_tensor(name, values)
    if not values.is_floating_point():
        raise InputError(f"{name} is {values.dtype}: it must be a floating type, {meaning}.")


def require_rows(name: str, values: torch.Tensor, what: str) -> None:
    """Raise [`InputError`] for none of what a batch should hold; `values` has a row for each.

    Of several processes that train together one may have no row of a last batch.
    """
    if not len(values) and not several_processes():
        raise InputError(f"{name} holds 0 {what}s: it must hold at least one.")


def require_whole_numbers(name: str, values: Any, rows: int) -> None:
    """Raise [`InputError`] unless this is a tensor of whole numbers (rows,), one for each recording."""
    _require_tensor(name, values)
    if tuple(values.shape) != (rows,) or values.dtype not in _WHOLE_NUMBERS:
        raise InputError(
            f"{name} is {values.dtype} of {tuple(values.shape)}: it must be whole numbers of ({rows},), one for each "
            "recording."
        )


def require_places(name: str, values: torch.Tensor, pictures: int) -> None:
    """Raise [`InputError`] for a place (rows,) beyond the pictures of a batch.

    On a CPU, and outside of a compiled graph: looking would stop a GPU, whose own assertion catches it.
    """
    if values.device.type != "cpu" or torch.compiler.is_compiling():
        return
    values = values.long()  # a small type would wrap the number that it is compared with
    outside = values[(values < 0) | (values >= pictures)]
    if len(outside):
        raise InputError(
            f"{name} names picture {int(outside[0])}: there are {pictures}, from 0 to {pictures - 1}, in this batch."
        )


def require_subjects(values: torch.Tensor, subjects: int) -> None:
    """Raise [`InputError`] for a subject (rows,) that is neither in a list of so many, nor -1 for an unknown one.

    As [`require_places`], on a CPU and outside of a compiled graph.
    """
    if values.device.type != "cpu" or torch.compiler.is_compiling():
        return
    values = values.long()  # see there
    outside = values[(values < -1) | (values >= subjects)]
    if len(outside):
        raise InputError(
            f"subject_index names subject {int(outside[0])}: there are {subjects}, from 0 to {subjects - 1}, and -1 "
            "stands for a subject that was not trained on."
        )


def require_pictures(pixel_values: Any, colours: int, size: int | None) -> None:
    """Raise [`InputError`] unless these are pictures (pictures, colours, size, size); `None` for pictures of any size.

    Whole numbers are refused, because they are pixels that no processor has standardised.
    """
    require_floating("pixel_values", pixel_values, "as the model's processor makes it")
    shape = tuple(pixel_values.shape)
    if len(shape) != 4 or shape[1] != colours or (size is not None and shape[2:] != (size, size)):
        wanted = "height, width" if size is None else f"{size}, {size}"
        raise InputError(
            f"pixel_values is {shape}: it must be (pictures, {colours} colours, {wanted}), as the model's processor "
            "makes it."
        )
    require_rows("pixel_values", pixel_values, "picture")


def _require_tensor(name: str, values: Any) -> None:
    if not isinstance(values, torch.Tensor):
        raise InputError(f"{name} is a {type(values).__name__}: it must be a tensor.")
