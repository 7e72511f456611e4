"""How a training ends: with a result, or without numbers."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

Validate = Callable[[Any], dict[str, float]]
"""Model -> what validation says of it, by name."""
_REMEDY = "lower learning_rate, or look for extreme trials (prepare with --reject)."
_MOST_NAMED = 5


@dataclass(frozen=True)
class TrainingResult:
    """What training did.

    Args:
        best_epoch (`int`): the epoch whose weights the model now has, counted from 1.
        history (`list[dict]`): an entry an epoch: epoch, loss, and what validation gave.
        seconds (`float`): wall time, that of processes which were stopped included as far as a checkpoint knows it.
        trainable_parameters (`int`): how many numbers were trained.
        last_weights (`dict` from `str` to `torch.Tensor`): what was trained, as it was after the last epoch.
        facts (`dict`): what else `run.json` is to say.
    """

    best_epoch: int
    history: list[dict[str, float]]
    seconds: float
    trainable_parameters: int
    last_weights: dict[str, torch.Tensor]
    facts: dict[str, Any] = field(default_factory=dict)


class LostNumbersError(FloatingPointError):
    """The loss, a weight or what validation says is no longer finite.

    Args:
        message (`str`): names the epoch, and the trials of the batch where it was one.
        batch (sequence of `str`): all trials that this process gave to that batch.
        good (`TrainingResult`, *optional*): of the last state that was good, which the model then has again; only on
            the first process, and None where no epoch had ended.
    """

    def __init__(self, message: str, batch: Sequence[str] = (), good: TrainingResult | None = None) -> None:
        super().__init__(message)
        self.batch = list(batch)
        self.good = good


def first_broken(model: torch.nn.Module) -> str | None:
    """Name of the first trained parameter that is not finite."""
    trained = ((name, value) for name, value in model.named_parameters() if value.requires_grad)
    return next((name for name, value in trained if not value.isfinite().all()), None)


def refuse_lost_loss(loss: torch.Tensor, epoch: int, step: int, dataset: Any, batch: Sequence[int]) -> None:
    """Stop where the loss of a step is not finite.

    Args:
        loss (`torch.Tensor` of shape `()`): of that step.
        epoch (`int`): counted from 0.
        step (`int`): of that epoch, counted from 0.
        dataset (map-style): training items.
        batch (sequence of `int`): places of those that this process gave to the step.

    Raises:
        LostNumbersError: naming epoch, step and batch.
    """
    if torch.isfinite(loss):
        return
    words, names = _described(dataset, batch)
    raise LostNumbersError(
        f"The loss is {loss.item()} in epoch {epoch + 1}, step {step + 1}, whose batch of {len(names)} held {words}: "
        f"{_REMEDY}",
        names,
    )


def refuse_broken(
    model: torch.nn.Module, scores: Mapping[str, float], epoch: int, dataset: Any, last: Sequence[int]
) -> None:
    """Stop where what validation says, or a trained parameter, is not finite.

    A step may lose weights that the next loss would show; after the last one of an epoch there is none.

    Args:
        model (`torch.nn.Module`): what is trained.
        scores (mapping): what validation says.
        epoch (`int`): counted from 0.
        dataset (map-style): training items.
        last (sequence of `int`): places of those that the last step was given; none where none was done.

    Raises:
        LostNumbersError: naming the epoch, what is lost, and the last batch.
    """
    broken = next((name for name, value in scores.items() if not math.isfinite(value)), None) or first_broken(model)
    if broken is None:
        return
    words, names = _described(dataset, last)
    looked_at = f"; the last batch that was looked at, of {len(last)}, held {words}" if names else ""
    raise LostNumbersError(f"After epoch {epoch + 1}, {broken} is not finite{looked_at}: {_REMEDY}", names)


def _described(dataset: Any, rows: Sequence[int]) -> tuple[str, list[str]]:
    """Some items in words, and what each of them is called."""
    names = [getattr(dataset, "describe", str)(row) for row in rows]
    return ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else ""), names
