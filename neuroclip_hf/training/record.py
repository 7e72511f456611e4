"""How far a training has come, as a checkpoint keeps it."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch

from neuroclip_hf.errors import InputError
from neuroclip_hf.training.checkpoints import Snapshot
from neuroclip_hf.training.optimisation import Optimisation, trained_state

_STATE = ("epoch", "history", "seconds", "best_epoch", "best_score", "scaler")


@dataclass
class Record:
    """Where a training stands, and the best epoch so far with the trained weights of then.

    Args:
        step (`int`): steps done in all.
        epoch (`int`): epochs that are complete, validation included.
        losses (`list` of `torch.Tensor`): of the steps done since.
        history (`list[dict]`): an entry for each complete epoch.
        seconds (`float`): time spent by processes that were stopped.
        best_epoch (`int`): counted from 1; 0 before there is one.
        best_score (`float`): its score; higher is better.
        best_weights (`dict` from `str` to `torch.Tensor`): of then, on the CPU.
    """

    step: int = 0
    epoch: int = 0
    losses: list[torch.Tensor] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    best_epoch: int = 0
    best_score: float = -math.inf
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)

    def close_epoch(self, model: torch.nn.Module, entry: dict[str, float], score: float) -> None:
        """Note that an epoch is complete, and keep its weights if none was better before."""
        self.epoch += 1
        self.losses = []
        self.history.append(entry)
        if score > self.best_score or not self.best_weights:
            self.best_epoch, self.best_score = self.epoch, score
            self.best_weights = copy_of_trained(model)

    def snapshot(self, model: torch.nn.Module, optimisation: Optimisation, scaler: Any, seconds: float) -> Snapshot:
        """All that the rest of the training depends on beside its settings and data.

        No generator is among it, since every step seeds its own, nor a schedule, which follows from the step.

        Args:
            model (`torch.nn.Module`): what is trained.
            optimisation (`Optimisation`): its optimiser.
            scaler (`torch.amp.GradScaler` or None): of fp16.
            seconds (`float`): spent by this process.
        """
        parts = {
            "model": trained_state(model),
            "optimizer": optimisation.tensors(),
            "best": self.best_weights,
            "losses": {"all": torch.stack(self.losses)} if self.losses else {},
        }
        state = {
            "epoch": self.epoch,
            "history": self.history,
            "seconds": self.seconds + seconds,
            "best_epoch": self.best_epoch,
            "best_score": self.best_score if self.best_weights else None,
            "scaler": None if scaler is None else scaler.state_dict(),
        }
        tensors = {f"{part}/{name}": value for part, named in parts.items() for name, value in named.items()}
        return Snapshot(self.step, tensors, state)

    @classmethod
    def restored(
        cls, snapshot: Snapshot, model: torch.nn.Module, optimisation: Optimisation, scaler: Any, device: torch.device
    ) -> "Record":
        """Give model, optimiser and scaler the state of a snapshot.

        Raises:
            InputError: if the snapshot is of another model, or lacks a part.
        """
        state = snapshot.state
        lacking = [name for name in _STATE if name not in state]
        if lacking:
            raise InputError(
                f"The checkpoint of step {snapshot.step} lacks {lacking[0]} in its state.json, so that no training of "
                "this version has written it: remove it to go on after the one before it."
            )
        load_trained(model, part_of(snapshot, "model"))
        optimisation.restore(part_of(snapshot, "optimizer"))
        if scaler is not None:
            scaler.load_state_dict(state["scaler"])
        best = part_of(snapshot, "best")
        return cls(
            step=snapshot.step,
            epoch=state["epoch"],
            losses=[loss.to(device) for losses in part_of(snapshot, "losses").values() for loss in losses],
            history=state["history"],
            seconds=state["seconds"],
            best_epoch=state["best_epoch"],
            best_score=state["best_score"] if best else -math.inf,
            best_weights=best,
        )

    def restore_best(self, model: torch.nn.Module) -> None:
        """Give the model the weights of its best epoch."""
        load_trained(model, self.best_weights)


def copy_of_trained(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """What is trained, copied to the CPU."""
    return {name: value.detach().cpu().clone() for name, value in trained_state(model).items()}


def part_of(snapshot: Snapshot, name: str) -> dict[str, torch.Tensor]:
    """Tensors of a snapshot: of the "model", the "optimizer", the "best" epoch or the "losses" since the last one."""
    start = f"{name}/"
    return {key.removeprefix(start): value for key, value in snapshot.tensors.items() if key.startswith(start)}


def load_trained(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Give a model such weights.

    Raises:
        InputError: if they are another model's.
    """
    state = trained_state(model)
    wrong = {name for name in state.keys() | weights.keys() if _shape(state, name) != _shape(weights, name)}
    if wrong:
        raise InputError(
            f"The checkpoint is of another model: {min(wrong)} is {_shape(weights, min(wrong))} there and "
            f"{_shape(state, min(wrong))} here. Train with the settings that it was written with, or remove it."
        )
    with torch.no_grad():
        for name, value in weights.items():
            state[name].copy_(value)


def _shape(state: dict[str, torch.Tensor], name: str) -> tuple[int, ...] | str:
    return tuple(state[name].shape) if name in state else "missing"
