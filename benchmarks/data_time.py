"""How long training waits for data from a store, as part of its steps. One JSON line.

    python benchmarks/data_time.py [--trials 12800] [--batch 256] [--workers N] [--imitated-step 20]

The real trainer trains a recipe on a store of noise of (63, 250) trials, four of each picture as THINGS-EEG2 has them
in training: an item of `neuroclip-intra` is the mean of those four. `waiting` is the part of all time between
the start of an epoch and the start of its last step in which the device had nothing to do: from the end of each step
to the start of the next one, by CUDA events on a GPU, by the clock on a CPU. The first epoch, which decodes pictures,
is left out, and so is validation. Bound, on a GPU: 0.05. `processor_ms` is the processor time that the training
process itself spent on a batch, in the median: without workers all of it, which other programs on the machine hardly
change.

`--imitated-step` puts, in the place of each step, a wait of so many milliseconds that leaves the processor free and
goes on while the next batch is loaded, as a step on a GPU does. What it gives says what this machine's processor can
feed, and nothing about a GPU; the line says `"step": "imitated by waiting"`.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from _stores import CHANNELS, SAMPLES, make_store
from measuring import choose_device, describe_device
from model import TOWERS
from printing import print_line

from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.protocols.run import train_on_store
from neuroclip_hf.training import trainer
from neuroclip_hf.training.settings import load_recipe

BOUND = 0.05
EPOCHS = 3
REPEATS = 4


class Clock:
    """Busy and idle time of a device that works while it is called: a CPU. Milliseconds."""

    def __init__(self) -> None:
        self.idle: list[float] = []
        self.whole: list[float] = []
        self.processor: list[float] = []
        """What this process itself worked on each batch."""
        self._freed = self._begun = 0.0

    def begin_epoch(self) -> None:
        """From here on the device could be at work."""
        self._freed = self._begun = self.now()

    def begin_step(self) -> None:
        """The batch is there."""
        now = self.now()
        self.idle.append(now - self._freed)
        self.whole.append(now - self._begun)
        self._begun = now

    def end_step(self) -> None:
        """The step is done."""
        self._freed = self.now()

    def forget(self) -> None:
        """Leave out what was measured so far."""
        self.idle.clear()
        self.whole.clear()
        self.processor.clear()

    def waiting(self) -> float:
        """Idle time as a part of all."""
        return sum(self.idle) / sum(self.whole)

    @staticmethod
    def now() -> float:
        """By the clock."""
        return 1e3 * time.perf_counter()


class ImitatedClock(Clock):
    """A device that takes so many milliseconds a step, and lets its caller go on meanwhile."""

    def __init__(self, step: float) -> None:
        super().__init__()
        self._step = step

    def begin_step(self) -> None:
        """The batch is there; the device takes it once it is free."""
        time.sleep(max(0.0, self._freed - self.now()) / 1e3)
        super().begin_step()

    def end_step(self) -> None:
        """The step is on its way."""
        self._freed = self._begun + self._step


class CudaClock(Clock):
    """A GPU, whose steps go on while the next batch is loaded: its own events."""

    def __init__(self) -> None:
        super().__init__()
        self._events: list[tuple[torch.cuda.Event, ...]] = []
        self._last_freed = self._last_begun = self._event()

    def begin_epoch(self) -> None:
        """From here on the device could be at work."""
        self._last_freed = self._last_begun = self._event()

    def begin_step(self) -> None:
        """The batch is there."""
        now = self._event()
        self._events.append((self._last_freed, self._last_begun, now))
        self._last_begun = now

    def end_step(self) -> None:
        """The step is on its way; the event is reached when it is done."""
        self._last_freed = self._event()

    def forget(self) -> None:
        """Leave out what was measured so far."""
        self._events.clear()
        self.processor.clear()

    def waiting(self) -> float:
        """Idle time as a part of all."""
        torch.cuda.synchronize()
        self.idle = [freed.elapsed_time(now) for freed, _, now in self._events]
        self.whole = [begun.elapsed_time(now) for _, begun, now in self._events]
        return super().waiting()

    @staticmethod
    def _event() -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def watched(clock: Clock, imitated: bool) -> type[Any]:
    """The trainer's own loop, with a clock at the ends of its steps."""
    base = trainer._Training

    class Watched(base):  # type: ignore[misc, valid-type]
        def _load(self) -> Iterator[Any]:
            with closing(super()._load()) as loaded:
                while True:
                    begun = time.process_time()
                    batch = next(loaded, None)
                    clock.processor.append(1e3 * (time.process_time() - begun))
                    if batch is None:
                        return
                    yield batch

        def _train_epoch(self, epoch: int, bar: Any) -> float:
            if epoch == 1:
                clock.forget()
            clock.begin_epoch()
            return super()._train_epoch(epoch, bar)  # type: ignore[no-any-return]

        def _step(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            clock.begin_step()
            loss = torch.ones(()) if imitated else super()._step(batch)
            clock.end_step()
            return loss

    return Watched


def measure(store: TrialStore, device: torch.device, arguments: argparse.Namespace) -> dict[str, Any]:
    imitated = arguments.imitated_step is not None
    gpu = device.type == "cuda" and not imitated
    clock = ImitatedClock(arguments.imitated_step) if imitated else CudaClock() if gpu else Clock()
    batch = arguments.batch or (256 if gpu or imitated else 64)
    changes = {"epochs": EPOCHS, "batch_size": batch, "num_workers": arguments.workers, "selection": "last"}
    sizes = TOWERS["vit-b-32"]
    tower = {"tower": "random", "tower_settings": sizes, "mixed_precision": "bf16"} if gpu else {"tower": "small-clip"}
    recipe = load_recipe(arguments.recipe, {**changes, **tower})
    original = trainer._Training
    trainer._Training = watched(clock, imitated)  # type: ignore[misc]
    try:
        train_on_store(recipe, store)
    finally:
        trainer._Training = original  # type: ignore[misc]
    waiting = clock.waiting()
    return {
        "recipe": arguments.recipe,
        "tower": "vit-b-32, random weights" if gpu else "small-clip",
        "step": "imitated by waiting" if imitated else "real",
        "trial": [CHANNELS, SAMPLES],
        "trials": arguments.trials,
        "trials_an_item": recipe.data.average if recipe.data.items == "targets" else 1,
        "batch": batch,
        "workers": arguments.workers,
        "steps": len(clock.whole),
        "step_ms": round(sum(clock.whole) / len(clock.whole), 2),
        "waiting_ms": round(sum(clock.idle) / len(clock.idle), 2),
        "waiting": round(waiting, 4),
        "processor_ms": round(statistics.median(clock.processor), 1),
        "bound": BOUND,
        "holds": waiting < BOUND,
    }


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="neuroclip-intra", help="what is trained; its tower is replaced")
    parser.add_argument("--trials", type=int, default=12800, help="training trials of the store")
    parser.add_argument("--batch", type=int, help="items a step (256 on a GPU or an imitated one, 64 on a CPU)")
    parser.add_argument("--workers", type=int, help="processes that load data; as the package chooses by default")
    parser.add_argument("--imitated-step", type=float, metavar="MS", help="milliseconds of a wait instead of a step")
    parser.add_argument("--folder", type=Path, help="where the store is made; by default the system's temporary one")
    arguments = parser.parse_args(words)
    device = choose_device()
    place = describe_device(device)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        store = TrialStore(make_store(Path(folder) / "store", arguments.trials, REPEATS))
        print_line("data_time", place, measure(store, device, arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main())
