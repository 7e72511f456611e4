"""The Accelerate loop: it is given its data, so it cannot reach a test split.

Several processes, on one machine or on many, train as one does: they see the same global batches, of which each
takes its part; the loss is that of the whole batch, BatchNorm looks at all of it, and gradients are averaged. Start
them with `torchrun --nproc_per_node 4 -m neuroclip_hf.cli.main train ...` or `accelerate launch -m ...`; on CPUs with
`ACCELERATE_USE_CPU=true torchrun`. Only the first process writes and reads the run, so that the others need the store
alone. A process that fails ends with its error, and the launcher stops the others; without a launcher they fail in the
next exchange, at the latest when the time-out of torch.distributed is over. The same command then goes on after the
newest checkpoint.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device

from neuroclip_hf.errors import InputError
from neuroclip_hf.logging import get_logger, progress
from neuroclip_hf.training.checkpoints import (
    Snapshot,
    read_newest_checkpoint,
    remove_later_checkpoints,
    write_checkpoint,
)
from neuroclip_hf.training.exactness import deterministic_on_cpus, rows_of_process, seed_step, without_rows
from neuroclip_hf.training.loading import Wanted, choose_workers, load_batches
from neuroclip_hf.training.objective import training_loss
from neuroclip_hf.training.optimisation import Optimisation
from neuroclip_hf.training.processes import make_accelerator, of_first_process
from neuroclip_hf.training.record import Record, copy_of_trained, load_trained, part_of
from neuroclip_hf.training.result import (
    LostNumbersError,
    TrainingResult,
    Validate,
    first_broken,
    refuse_broken,
    refuse_lost_loss,
)
from neuroclip_hf.training.seeding import Batches
from neuroclip_hf.training.settings import TrainingSettings
from neuroclip_hf.training.tracking import Tracker


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
        validate (callable, *optional*): model -> {"loss": ..., "top1": ...}, called after every epoch by the first
            process alone, which tells the others. Without it the last epoch is kept.
        description (`str`): of the progress bar.
        checkpoints (`Path`, *optional*): folder of the checkpoints, used by the first process alone; without it none
            are written. They are left there at the end; where numbers were lost, the newest is of the last epoch that
            ended well, and where none had, none is left.
        trackers (sequence of `Tracker`, *optional*): told after every epoch, by the first process.

    Raises:
        InputError: if nothing is trainable, a validation is asked for and none given, the precision cannot be had
            here, Accelerate is told to accumulate gradients, a checkpoint is of another model, or on several processes
            a trained parameter gets no gradient.
        LostNumbersError: if the loss, or a weight, is no longer finite; the message names the epoch and the trials of
            the batch. The model then is as it was when all was good, see [`LostNumbersError`].
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
        self.looked_at: list[int] = []  # items that this process gave to the last step
        self.shown: dict[str, str] = {}

    def run(self, description: str) -> TrainingResult:
        record = self.record = self._stand()
        self.loaded = self._load()
        with (
            closing(self.loaded),
            progress(total=self.steps, initial=record.step, desc=description, unit="step") as bar,
        ):
            for epoch in range(record.epoch, self.settings.epochs):
                self._run_epoch(epoch, bar, description)
        last = record.best_weights if record.best_epoch == record.epoch else copy_of_trained(self.model)
        record.restore_best(self.model)
        return self._result(record.best_epoch, record.history, last)

    def _result(
        self, best_epoch: int, history: list[dict[str, float]], last: dict[str, torch.Tensor]
    ) -> TrainingResult:
        trained = sum(value.numel() for value in self.model.parameters() if value.requires_grad)
        return TrainingResult(best_epoch, history, self.record.seconds + self._seconds(), trained, last)

    def _run_epoch(self, epoch: int, bar: Any, description: str) -> None:
        record, settings = self.record, self.settings
        try:
            loss = self._train_epoch(epoch, bar)
            self._seed(record.step)
            scores = self._validate()
            refuse_broken(self.model, scores, epoch, self.dataset, self.looked_at)
        except FloatingPointError as error:
            batch = error.batch if isinstance(error, LostNumbersError) else ()
            raise LostNumbersError(str(error), batch, self._go_back()) from error.__cause__
        entry = {"epoch": epoch + 1, "loss": loss, **{f"validation_{k}": v for k, v in scores.items()}}
        record.close_epoch(self.model, entry, _score(scores, settings.selection, epoch))
        self._keep()
        if self.accelerator.is_main_process:
            self.good = self._snapshot().copied()
            for tracker in self.trackers:
                tracker.log(record.history)
            if bar.disable:
                text = ", ".join(f"{name} {value:.3f}" for name, value in entry.items() if name != "epoch")
                get_logger().info("%s, epoch %d of %d: %s", description, epoch + 1, settings.epochs, text)
        self.shown = {f"val {name}": f"{value:.3f}" for name, value in scores.items()}

    def _validate(self) -> dict[str, float]:
        """What the first process finds, so that the others need neither the time nor the same last bits."""
        if self.validate is None:
            return {}
        scores: dict[str, float] = of_first_process(
            self.validate(self.model) if self.accelerator.is_main_process else None
        )
        return scores

    def _go_back(self) -> TrainingResult | None:
        """Give the model its last good state, and let the newest checkpoint be that.

        None, and no checkpoint, where no epoch had ended: nothing says that its steps so far were good.
        """
        good = self.good if self.good is not None and self.good.state["epoch"] else None
        if self.checkpoints is not None:
            remove_later_checkpoints(self.checkpoints, -1 if good is None else good.step)
        if good is None:
            return None
        if self.checkpoints is not None:
            write_checkpoint(self.checkpoints, good)
        weights = part_of(good, "model")
        load_trained(self.model, weights)
        return self._result(good.state["epoch"], good.state["history"], weights)

    def _stand(self) -> Record:
        """Where the newest checkpoint, as the first process finds it, left the training."""
        found = None if self.checkpoints is None else read_newest_checkpoint(self.checkpoints)
        snapshot = of_first_process(found)
        if snapshot is None:
            return Record()
        self.good = snapshot if self.accelerator.is_main_process else None
        record = Record.restored(
            snapshot, self.model, self.optimisation, self.accelerator.scaler, self.accelerator.device
        )
        if self.accelerator.is_main_process:
            get_logger().info("Going on after step %d of %d.", record.step, self.steps)
        return record

    def _load(self) -> Generator[tuple[Wanted, dict[str, torch.Tensor]]]:
        """All batches that are left, those of this process."""
        settings, accelerator = self.settings, self.accelerator
        workers = choose_workers(settings.num_workers, accelerator.device, accelerator.num_processes)
        wanted = self._wanted(self.record.epoch, self.record.step)
        return load_batches(self.dataset, self.collator, wanted, workers, settings.seed, accelerator.process_index)

    def _wanted(self, first_epoch: int, step: int) -> Iterator[Wanted]:
        process, processes = self.accelerator.process_index, self.accelerator.num_processes
        for epoch in range(first_epoch, self.settings.epochs):
            for batch in self.batches.epoch(epoch)[step - epoch * len(self.batches) :]:
                yield Wanted(epoch, step, rows_of_process(batch, process, processes))
                step += 1

    def _train_epoch(self, epoch: int, bar: Any) -> float:
        """Train what is left of an epoch; the mean loss of all its steps."""
        self.prepared.train()
        record = self.record
        left = len(self.batches) - len(record.losses)
        loaded = [next(self.loaded)] if left else []
        for place in range(1, left + 1):
            wanted, batch = loaded.pop()
            self._seed(record.step)
            loss = self._step(batch if wanted.rows else without_rows(batch))
            if place < left:
                loaded.append(next(self.loaded))  # while a GPU is still at the step
            self.looked_at = wanted.rows
            # Asked after the step, so that a GPU need not wait for the question.
            refuse_lost_loss(loss, epoch, len(record.losses), self.dataset, self.looked_at)
            record.losses.append(loss)
            record.step += 1
            bar.set_postfix({"loss": f"{loss.item():.3f}", **self.shown}, refresh=False)
            bar.update()
            self._keep()
        return float(torch.stack(record.losses).mean())

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

    def _keep(self) -> None:
        """Write a checkpoint if it is time for one."""
        minutes = self.settings.checkpoint_minutes
        if self.checkpoints is None or minutes is None or time.perf_counter() - self.kept < 60 * minutes:
            return
        if first_broken(self.model) is not None:  # the next step will say so
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


def _score(scores: dict[str, float], selection: str, epoch: int) -> float:
    if selection == "last":
        return float(epoch)
    return -scores["loss"] if selection == "loss" else scores["top1"]
