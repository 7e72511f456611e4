"""The Accelerate loop: it is given its data, so it cannot reach a test split."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DataLoaderConfiguration, parse_flag_from_env
from torch.utils.data import DataLoader

from neuroclip_hf.errors import InputError
from neuroclip_hf.logging import get_logger, progress
from neuroclip_hf.training.seeding import Batches, BatchOrder, seed_everything
from neuroclip_hf.training.settings import TrainingSettings

Validate = Callable[[Any], dict[str, float]]


@dataclass(frozen=True)
class TrainingResult:
    """What training did.

    Args:
        best_epoch (`int`): the epoch whose weights the model now has, counted from 1.
        history (`list[dict]`): an entry an epoch: epoch, loss, and what validation gave.
        seconds (`float`): wall time.
        trainable_parameters (`int`): how many numbers were trained.
    """

    best_epoch: int
    history: list[dict[str, float]]
    seconds: float
    trainable_parameters: int


@dataclass
class _Best:
    """The best epoch so far, with the trained weights of then."""

    score: float = -math.inf
    epoch: int = 0
    weights: dict[str, torch.Tensor] = field(default_factory=dict)

    def update(self, model: torch.nn.Module, epoch: int, score: float) -> None:
        if score > self.score or not self.weights:
            trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
            state = {**trained, **_changing_buffers(model)}
            self.weights = {name: value.detach().cpu().clone() for name, value in state.items()}
            self.score, self.epoch = score, epoch

    def restore(self, model: torch.nn.Module) -> None:
        state = {**dict(model.named_parameters()), **_changing_buffers(model)}
        with torch.no_grad():
            for name, value in self.weights.items():
                state[name].copy_(value)


def train(
    model: Any,
    dataset: Any,
    collator: Callable[[Any], dict[str, torch.Tensor]],
    settings: TrainingSettings,
    batches: Batches,
    validate: Validate | None = None,
    description: str = "training",
) -> TrainingResult:
    """Train the parameters of `model` that require a gradient; the best epoch's weights are left in it.

    Args:
        model (`PreTrainedModel`): `forward(**batch)` returns an output with `loss`.
        dataset (map-style): training items; `set_epoch` is called on it where it has one.
        collator (callable): items -> batch.
        settings (`TrainingSettings`): how.
        batches (`Batches`): which items each step sees, over all processes together.
        validate (callable, *optional*): model -> {"loss": ..., "top1": ...}, called after every epoch. Without it the
            last epoch is kept.
        description (`str`): of the progress bar.

    Raises:
        InputError: if nothing is trainable, a validation is asked for and none given, or the processes cannot share a
            batch equally.
        FloatingPointError: if the loss, or a weight, is no longer finite; the message names the epoch.
    """
    if validate is None and settings.selection != "last":
        raise InputError(
            f"selection={settings.selection} needs validation trials: choose selection=last, or add some."
        )
    accelerator = _accelerator(settings, batches.batch_size)
    order = BatchOrder(batches)
    loader = DataLoader(dataset, batch_sampler=order, collate_fn=collator, num_workers=settings.num_workers)
    optimizer = torch.optim.AdamW(_parameter_groups(model, settings), lr=settings.learning_rate)
    steps = settings.epochs * len(loader)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps, settings.warmup))
    prepared, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    seed_everything(settings.seed)
    best, history, started = _Best(), [], time.perf_counter()
    with progress(total=steps, desc=description, unit="step") as bar:
        for epoch in range(settings.epochs):
            order.set_epoch(epoch)
            getattr(dataset, "set_epoch", lambda _: None)(epoch)
            loader.set_epoch(epoch)  # else Accelerate's loader tells both of them its own count when it starts
            loss = _train_epoch(accelerator, prepared, loader, optimizer, scheduler, settings, epoch, bar)
            scores = validate(model) if validate is not None else {}
            _refuse_broken(model, scores, epoch)
            history.append({"epoch": epoch + 1, "loss": loss, **{f"validation_{k}": v for k, v in scores.items()}})
            if bar.disable:
                entry = ", ".join(f"{name} {value:.3f}" for name, value in history[-1].items() if name != "epoch")
                get_logger().info("%s, epoch %d of %d: %s", description, epoch + 1, settings.epochs, entry)
            best.update(model, epoch + 1, _score(scores, settings.selection, epoch))
            bar.set_postfix({"loss": f"{loss:.3f}", **{f"val {key}": f"{value:.3f}" for key, value in scores.items()}})
    accelerator.unwrap_model(prepared, keep_fp32_wrapper=False)  # mixed precision leaves a wrapped forward behind
    best.restore(model)
    trained = sum(value.numel() for value in model.parameters() if value.requires_grad)
    return TrainingResult(best.epoch, history, time.perf_counter() - started, trained)


def this_process() -> PartialState:
    """Which of the processes this is, and its device, as Accelerate sees it."""
    # Asked for outside an Accelerator, it does not read that variable itself.
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))


def _accelerator(settings: TrainingSettings, batch_size: int) -> Accelerator:
    # Accelerate remembers the precision of the first training in a process, and refuses another one in the second.
    if AcceleratorState._shared_state and AcceleratorState().mixed_precision != settings.mixed_precision:
        AcceleratorState._reset_state()
    try:
        accelerator = Accelerator(
            mixed_precision=settings.mixed_precision,
            dataloader_config=DataLoaderConfiguration(split_batches=True),  # one global batch on any number of ranks
        )
    except (ValueError, ImportError) as error:
        raise InputError(f"mixed_precision={settings.mixed_precision} cannot be used here: {error}") from None
    if batch_size % accelerator.num_processes:
        raise InputError(
            f"batch_size is {settings.batch_size}, which makes batches of {batch_size}: they must be a multiple of "
            f"the {accelerator.num_processes} processes; choose another batch_size, or sampling=shuffled."
        )
    return accelerator


def _refuse_broken(model: torch.nn.Module, scores: dict[str, float], epoch: int) -> None:
    broken = [name for name, value in scores.items() if not math.isfinite(value)]
    broken += [name for name, value in model.named_parameters() if value.requires_grad and not value.isfinite().all()]
    if broken:
        raise FloatingPointError(
            f"After epoch {epoch + 1}, {broken[0]} is not finite: lower learning_rate, or look for extreme trials "
            "(prepare with --reject)."
        )


def _train_epoch(
    accelerator: Accelerator,
    model: Any,
    loader: Any,
    optimizer: Any,
    scheduler: Any,
    settings: TrainingSettings,
    epoch: int,
    bar: Any,
) -> float:
    model.train()
    losses = []
    for step, batch in enumerate(loader):
        optimizer.zero_grad(set_to_none=True)
        with accelerator.autocast():
            loss = model(**batch).loss
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"The loss is {loss.item()} in epoch {epoch + 1}, step {step + 1}: lower learning_rate, or look for "
                "extreme trials (prepare with --reject)."
            )
        accelerator.backward(loss)
        accelerator.clip_grad_norm_((p for p in model.parameters() if p.requires_grad), settings.max_grad_norm)
        optimizer.step()
        scheduler.step()
        losses.append(loss.detach())
        bar.update()
    return float(torch.stack(losses).mean())


def _parameter_groups(model: torch.nn.Module, settings: TrainingSettings) -> list[dict[str, Any]]:
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        prompt = "neuro_prompt_" in name
        rate = (settings.prompt_learning_rate or settings.learning_rate) if prompt else settings.learning_rate
        decay = settings.weight_decay if parameter.ndim > 1 and not prompt else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    if not groups:
        raise InputError("No parameter of the model is trainable: check the encoder and the prompt settings.")
    return [{"params": members, "lr": rate, "weight_decay": decay} for (rate, decay), members in groups.items()]


def _changing_buffers(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Buffers that training moves (BatchNorm's statistics): part of an epoch's weights, though no parameter."""
    return {name: value for name, value in model.named_buffers() if "running_" in name or "num_batches" in name}


def _rate(step: int, steps: int, warmup: float) -> float:
    rising = max(1, math.ceil(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def _score(scores: dict[str, float], selection: str, epoch: int) -> float:
    if selection == "last":
        return float(epoch)
    return -scores["loss"] if selection == "loss" else scores["top1"]
