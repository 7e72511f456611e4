"""What is right for each query, checked in one place for all measures: rows of the gallery, or a mask over it."""

import math
import numbers
from typing import Any

import torch


def target_mask(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """`target` in either form as a mask (Q, G) on the device of `scores`, which are checked as well."""
    check_matrix("scores", scores)
    check_tensor("target", target)
    if target.ndim == 0 or len(target) != len(scores):
        raise ValueError(f"scores have {len(scores)} queries and target is {tuple(target.shape)}: expected as many.")
    right_per_query(target, scores.shape[1])
    target = target.to(scores.device)
    if target.dtype == torch.bool:
        return target
    return torch.arange(scores.shape[1], device=scores.device) == target[:, None]


def right_per_query(target: torch.Tensor, gallery_size: int) -> torch.Tensor:
    """How many entries are right for each query (Q,); checks `target` on the way."""
    if target.dtype == torch.bool and target.ndim == 2 and target.shape[1] == gallery_size and len(target):
        right = target.sum(dim=1)
        if (right == 0).any():
            raise ValueError(
                f"the gallery holds nothing right for {name_rows(right == 0)}: leave out or add its target."
            )
        return right
    if target.ndim != 1 or not len(target) or target.dtype == torch.bool or target.is_floating_point():
        raise ValueError(
            f"target is {target.dtype} {tuple(target.shape)}: expected integer rows (Q,) or a boolean mask "
            f"(Q, {gallery_size}), and a query at least."
        )
    outside = (target < 0) | (target >= gallery_size)
    if outside.any():
        raise ValueError(
            f"target has row {int(target[outside][0])} in a gallery of {gallery_size}: {name_rows(outside)}."
        )
    return torch.ones_like(target)


def check_tensor(name: str, value: Any) -> None:
    """Raise `TypeError` for whatever is no tensor."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} is a {type(value).__name__}: expected a torch.Tensor, as torch.as_tensor makes one.")


def check_matrix(name: str, value: torch.Tensor) -> None:
    """Raise for whatever is no matrix of real numbers with a row and a column."""
    check_tensor(name, value)
    if value.ndim != 2 or 0 in value.shape or value.is_complex():
        raise ValueError(
            f"{name} are {tuple(value.shape)} {value.dtype}: expected real numbers (rows, columns), one each at least."
        )


def check_scores(scores: torch.Tensor) -> None:
    """Raise for whatever is no matrix, or holds +inf."""
    check_matrix("scores", scores)
    if scores.isposinf().any():
        raise ValueError("scores hold inf: expected finite numbers, or NaN and -inf for what can never be right.")


def whole_number(name: str, value: Any, least: int) -> int:
    """`value` as an int, where it is a whole number of `least` or more."""
    number: Any = value if isinstance(value, numbers.Real) else math.nan
    if not math.isfinite(number) or number != int(number) or number < least:
        raise ValueError(f"{name} is {value!r}: expected a whole number of {least} or more.")
    return int(number)


def name_rows(where: torch.Tensor) -> str:
    """The queries at which `where` (Q,) is true, in words; five of them if there are many."""
    rows = where.nonzero().flatten().tolist()
    return "query " + ", ".join(map(str, rows[:5])) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
