"""The Accelerate loop: it is given its data, so it cannot reach a test split.

Several processes, on one machine or on many, train as one does: they see the same global batches, of which each
takes its part; the loss is that of the whole batch, BatchNorm looks at all of it, and gradients are averaged. Start
them with `torchrun --nproc_per_node 4 -m neuroclip_hf.cli.main train ...` or `accelerate launch -m ...`; on CPUs with
`ACCELERATE_USE_CPU=true torchrun`. Only the first process writes and reads the run, so that the others need the store
alone. A process that fails ends with its error, and the launcher stops the others; without a launcher they fail in the
next exchange, at the latest when the time-out of torch.distributed is over. The same command then goes on after the
newest checkpoint.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch.utils.data import DataLoader

from neuroclip_hf.errors import InputError
from neuroclip_hf.logging import get_logger, progress
from neuroclip_hf.training.checkpoints import Snapshot, read_newest_checkpoint, write_checkpoint
from neuroclip_hf.training.exactness import deterministic_on_cpus, rows_of_process, seed_step, without_rows
from neuroclip_hf.training.objective import training_loss
from neuroclip_hf.training.optimisation import Optimisation
from neuroclip_hf.training.processes import make_accelerator, of_first_process
from neuroclip_hf.training.record import Record, copy_of_trained
from neuroclip_hf.training.seeding import Batches
from neuroclip_hf.training.settings import TrainingSettings
from neuroclip_hf.training.tracking import Tracker

Validate = Callable[[Any], dict[str, float]]
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


def train(
    model: Any,
    dataset: Any,
    collator: Callable[[Any], dict[str, torch.Tensor]],
    settings: TrainingSettings,
    batches: Batches,
    validate: Validate | None = None,
    description: str = "training",
    checkpoints: Path | None = None,
    trackers: Sequence[Tracker] = (),
) -> TrainingResult:
    """Train the parameters of `model` that require a gradient; the best epoch's weights are left in it.

    With `checkpoints`, a training that was stopped at any step, `kill -9` included, goes on after the newest one when
    it is called again with the same arguments, and ends with the same bits on a CPU.

    Args:
        model (`PreTrainedModel`): `forward(**batch)` returns an output with `loss`.
        dataset (map-style): training items, which may depend on their number and the epoch alone; `set_epoch` is
            called on it where it has one.
        collator (callable): items -> batch.
        settings (`TrainingSettings`): how.
        batches (`Batches`): which items each step sees, over all processes together.
        validate (callable, *optional*): model -> {"loss": ..., "top1": ...}, called after every epoch. Without it the
            last epoch is kept.
        description (`str`): of the progress bar.
        checkpoints (`Path`, *optional*): folder of the checkpoints, used by the first process alone; without it none
            are written. They are left there at the end; where numbers were lost, the newest is of the last epoch that
            ended well.
        trackers (sequence of `Tracker`, *optional*): told after every epoch, by the first process.

    Raises:
        InputError: if nothing is trainable, a validation is asked for and none given, the precision cannot be had
            here, Accelerate is told to accumulate gradients, a checkpoint is of another model, or on several processes
            a trained parameter gets no gradient.
        FloatingPointError: if the loss, or a weight, is no longer finite; the message names the epoch and
            the trials of the batch.
    """
    if validate is None and settings.selection != "last":
        raise InputError(
            f"selection={settings.selection} needs validation trials: choose selection=last, or add some."
        )
    accelerator = make_accelerator(settings)
    with deterministic_on_cpus(accelerator.device):
        training = _Training(accelerator, model, dataset, collator, settings, batches, validate, checkpoints, trackers)
        try:
            return training.run(description)
        finally:  # mixed precision leaves a wrapped forward behind
            accelerator.unwrap_model(training.prepared, keep_fp32_wrapper=False)


class _Training:
    """One training; see [`train`] for its arguments."""

    def __init__(
        self,
        accelerator: Accelerator,
        model: Any,
        dataset: Any,
        collator: Callable[[Any], dict[str, torch.Tensor]],
        settings: TrainingSettings,
        batches: Batches,
        validate: Validate | None,
        checkpoints: Path | None,
        trackers: Sequence[Tracker],
    ) -> None:
        self.accelerator, self.model, self.dataset, self.collator = accelerator, model, dataset, collator
        self.settings, self.batches, self.validate, self.trackers = settings, batches, validate, trackers
        self.steps = settings.epochs * len(batches)
        self.optimisation = Optimisation(model, settings, self.steps)
        self.prepared, self.optimizer = accelerator.prepare(model, self.optimisation.optimizer)
        self.checkpoints = checkpoints if accelerator.is_main_process else None
        self.started = self.kept = time.perf_counter()
        self.record = Record()
        self.good: Snapshot | None = None  # after the last epoch that ended well
        self.shown: dict[str, str] = {}

    def run(self, description: str) -> TrainingResult:
        record = self.record = self._stand()
        with progress(total=self.steps, initial=record.step, desc=description, unit="step") as bar:
            for epoch in range(record.epoch, self.settings.epochs):
                self._run_epoch(epoch, bar, description)
        last = record.best_weights if record.best_epoch == record.epoch else copy_of_trained(self.model)
        record.restore_best(self.model)
        trained = sum(value.numel() for value in self.model.parameters() if value.requires_grad)
        return TrainingResult(record.best_epoch, record.history, record.seconds + self._seconds(), trained, last)

    def _run_epoch(self, epoch: int, bar: Any, description: str) -> None:
        record, settings = self.record, self.settings
        try:
            loss = self._train_epoch(epoch, bar)
            self._seed(record.step)
            scores = self.validate(self.model) if self.validate is not None else {}
            _refuse_broken(self.model, scores, epoch)
        except FloatingPointError:
            if self.good is not None and self.checkpoints is not None:
                write_checkpoint(self.checkpoints, self.good)
            raise
        entry = {"epoch": epoch + 1, "loss": loss, **{f"validation_{k}": v for k, v in scores.items()}}
        record.close_epoch(self.model, entry, _score(scores, settings.selection, epoch))
        self._keep()
        if self.accelerator.is_main_process:
            self.good = self._snapshot().copied() if self.checkpoints is not None else None
            for tracker in self.trackers:
                tracker.log(record.history)
            if bar.disable:
                text = ", ".join(f"{name} {value:.3f}" for name, value in entry.items() if name != "epoch")
                get_logger().info("%s, epoch %d of %d: %s", description, epoch + 1, settings.epochs, text)
        self.shown = {f"val {name}": f"{value:.3f}" for name, value in scores.items()}

    def _stand(self) -> Record:
        """Where the newest checkpoint, as the first process finds it, left the training."""
        found = None if self.checkpoints is None else read_newest_checkpoint(self.checkpoints)
        snapshot = of_first_process(found)
        if snapshot is None:
            return Record()
        record = Record.restored(
            snapshot, self.model, self.optimisation, self.accelerator.scaler, self.accelerator.device
        )
        if self.accelerator.is_main_process:
            get_logger().info("Going on after step %d of %d.", record.step, self.steps)
        return record

    def _train_epoch(self, epoch: int, bar: Any) -> float:
        """Train what is left of an epoch; the mean loss of all its steps."""
        getattr(self.dataset, "set_epoch", lambda _: None)(epoch)
        self.prepared.train()
        record, process = self.record, self.accelerator.process_index
        mine = [
            rows_of_process(batch, process, self.accelerator.num_processes)
            for batch in self.batches.epoch(epoch)[len(record.losses) :]
        ]
        loader = iter(self._loader([rows or [0] for rows in mine]))
        batch = self._load(loader, record.step) if mine else {}
        for place, rows in enumerate(mine, start=1):
            self._seed(record.step)
            loss = self._step(batch if rows else without_rows(batch))
            if place < len(mine):
                batch = self._load(loader, record.step + 1)  # while a GPU is still at the step
            self._refuse_lost(loss, epoch, rows)
            record.losses.append(loss)
            record.step += 1
            bar.set_postfix({"loss": f"{loss.item():.3f}", **self.shown}, refresh=False)
            bar.update()
            self._keep()
        return float(torch.stack(record.losses).mean())

    def _load(self, loader: Iterator[dict[str, torch.Tensor]], step: int) -> dict[str, torch.Tensor]:
        self._seed(step)  # somebody's own dataset may draw as well
        return next(loader)

    def _seed(self, step: int) -> None:
        seed_step(self.settings.seed, step, self.accelerator.process_index)

    def _step(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        with self.accelerator.autocast():
            batch = send_to_device(batch, self.accelerator.device)
            loss = training_loss(self.prepared(**batch), batch, self.settings, self.record.epoch)
        self.accelerator.backward(loss)
        _refuse_idle(self.model, self.accelerator.num_processes)
        if self.settings.max_grad_norm is not None:
            trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
            self.accelerator.clip_grad_norm_(trained, self.settings.max_grad_norm)
        self.optimisation.set_rates(self.record.step)
        self.optimizer.step()
        return loss.detach()

    def _refuse_lost(self, loss: torch.Tensor, epoch: int, rows: list[int]) -> None:
        """Stop when the loss is lost; asked after the step, so that a GPU need not wait for the question."""
        if torch.isfinite(loss):
            return
        describe = getattr(self.dataset, "describe", str)
        some = ", ".join(describe(row) for row in rows[:_MOST_NAMED]) + (", ..." if len(rows) > _MOST_NAMED else "")
        raise FloatingPointError(
            f"The loss is {loss.item()} in epoch {epoch + 1}, step {len(self.record.losses) + 1}, whose batch of "
            f"{len(rows)} held {some}: lower learning_rate, or look for extreme trials (prepare with --reject)."
        )

    def _loader(self, batches: list[list[int]]) -> DataLoader[Any]:
        return DataLoader(
            self.dataset, batch_sampler=batches, collate_fn=self.collator, num_workers=self.settings.num_workers
        )

    def _keep(self) -> None:
        """Write a checkpoint if it is time for one."""
        minutes = self.settings.checkpoint_minutes
        if self.checkpoints is None or minutes is None or time.perf_counter() - self.kept < 60 * minutes:
            return
        write_checkpoint(self.checkpoints, self._snapshot())
        self.kept = time.perf_counter()

    def _snapshot(self) -> Snapshot:
        return self.record.snapshot(self.model, self.optimisation, self.accelerator.scaler, self._seconds())

    def _seconds(self) -> float:
        return time.perf_counter() - self.started


def _refuse_idle(model: torch.nn.Module, processes: int) -> None:
    # DistributedDataParallel averages no gradients before it has all of them, and says so in the next step only.
    if processes == 1:
        return
    idle = [name for name, value in model.named_parameters() if value.requires_grad and value.grad is None]
    if idle:
        raise InputError(
            f"{idle[0]} is trainable, but got no gradient in a step ({len(idle)} such parameters): on several "
            "processes every trained parameter needs one in each step. Freeze it with requires_grad_(False), switch "
            "off the part that it belongs to, or train on one process."
        )


def _refuse_broken(model: torch.nn.Module, scores: dict[str, float], epoch: int) -> None:
    broken = [name for name, value in scores.items() if not math.isfinite(value)]
    broken += [name for name, value in model.named_parameters() if value.requires_grad and not value.isfinite().all()]
    if broken:
        raise FloatingPointError(
            f"After epoch {epoch + 1}, {broken[0]} is not finite: lower learning_rate, or look for extreme trials "
            "(prepare with --reject)."
        )


def _score(scores: dict[str, float], selection: str, epoch: int) -> float:
    if selection == "last":
        return float(epoch)
    return -scores["loss"] if selection == "loss" else scores["top1"]
