"""Which rate and decay each parameter learns with."""

import math
from typing import Any

import torch

from neuroclip_hf.adapters.neuro_prompt.model import NeuroPromptModel
from neuroclip_hf.errors import InputError
from neuroclip_hf.models.tower_loading import base_weights
from neuroclip_hf.training.settings import TrainingSettings


class Optimisation:
    """AdamW whose rates are a function of the step alone: linear warm-up, then a cosine.

    Args:
        model (`torch.nn.Module`): whose parameters that require a gradient learn.
        settings (`TrainingSettings`): rates, decay and warm-up.
        steps (`int`): of the whole training.

    Raises:
        InputError: if nothing is trainable.
    """

    def __init__(self, model: torch.nn.Module, settings: TrainingSettings, steps: int) -> None:
        groups = _parameter_groups(model, settings)
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)
        self._rates = [group["lr"] for group in groups]
        self._steps, self._warmup = steps, settings.warmup

    def set_rates(self, step: int) -> None:
        """Set the rates for the step after so many."""
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * _rate(step, self._steps, self._warmup)

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
        prompt = NeuroPromptModel.prefix in name
        rate = (settings.prompt_learning_rate or settings.learning_rate) if prompt else settings.learning_rate
        decay = settings.weight_decay if parameter.ndim > 1 and not prompt else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    if not groups:
        raise InputError("No parameter of the model is trainable: check the encoder and the prompt settings.")
    return [{"params": members, "lr": rate, "weight_decay": decay} for (rate, decay), members in groups.items()]


def _rate(step: int, steps: int, warmup: float) -> float:
    rising = max(1, math.ceil(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
