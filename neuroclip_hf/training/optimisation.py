"""Which rate and decay each parameter learns with."""

import math
from typing import Any

import torch

from neuroclip_hf.adapters.neuro_prompt.model import NeuroPromptModel
from neuroclip_hf.errors import InputError
from neuroclip_hf.models.tower_loading import base_weights
from neuroclip_hf.training.sections import CONSTANT, TrainingSettings


class Optimisation:
    """AdamW whose rates are a function of the step alone: linear warm-up, then what `schedule` says.

    Args:
        model (`torch.nn.Module`): whose parameters that require a gradient learn.
        settings (`TrainingSettings`): rates, decay and schedule.
        steps (`int`): of the whole training.

    Raises:
        InputError: if nothing is trainable.
    """

    def __init__(self, model: torch.nn.Module, settings: TrainingSettings, steps: int) -> None:
        groups = _parameter_groups(model, settings)
        betas = (settings.betas[0], settings.betas[1])
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=betas)
        self._rates = [group["lr"] for group in groups]
        self._steps, self._settings = steps, settings

    def set_rates(self, step: int) -> None:
        """Set the rates for the step after so many."""
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * _part_of_rate(step, self._steps, self._settings)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The optimiser's state: `NUMBER.NAME` of every parameter's moments."""
        state = self.optimizer.state_dict()["state"]
        return {f"{number}.{name}": value for number, kept in state.items() for name, value in kept.items()}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take a state that [`tensors`] gave."""
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in tensors.items():
            number, _, name = key.partition(".")
            state.setdefault(int(number), {})[name] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})


def trained_state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """All of a model that training may move: parameters that require a gradient, and buffers that a checkpoint keeps.

    Buffers of the frozen tower's own, `model.vision_model`, are left out.
    """
    tower = getattr(model, "vision_model", None)
    own = set() if tower is None else {id(tensor) for _, _, tensor in base_weights(tower)}
    kept = model.state_dict(keep_vars=True).keys()
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    moved = {name: value for name, value in model.named_buffers() if name in kept and id(value) not in own}
    return {**trained, **moved}


def _parameter_groups(model: torch.nn.Module, settings: TrainingSettings) -> list[dict[str, Any]]:
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        rate, decay = _rate_and_decay(name, settings)
        groups.setdefault((rate, decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    if not groups:
        raise InputError("No parameter of the model is trainable: check the encoder and the prompt settings.")
    return [{"params": members, "lr": rate, "weight_decay": decay} for (rate, decay), members in groups.items()]


def _rate_and_decay(name: str, settings: TrainingSettings) -> tuple[float, float]:
    """Of the parameter of that name."""
    rate, decay = settings.learning_rate, settings.weight_decay
    if NeuroPromptModel.prefix in name:
        return settings.prompt_learning_rate or rate, 0.0
    if not name.startswith("vision_model."):
        return rate, decay
    own = settings.tower_weight_decay
    return settings.tower_learning_rate or rate, decay if own is None else own


def _part_of_rate(step: int, steps: int, settings: TrainingSettings) -> float:
    halved = settings.halve_after is not None and step >= settings.halve_after * (steps // settings.epochs)
    part = 0.5 if halved else 1.0
    rising = max(1, math.ceil(settings.warmup * steps))
    if step < rising:
        return part * ((step + 1) / rising)
    if settings.schedule == CONSTANT:
        return part
    return part * (0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising))))
