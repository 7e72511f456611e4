"""What each process of a reproduction does: take a run that nobody has taken, make it, take the next."""

import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from filelock import FileLock, Timeout

from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.files import write_json, write_text
from neuroclip_hf.logging import get_logger
from neuroclip_hf.protocols.evaluating import evaluate_run
from neuroclip_hf.protocols.reproduce.plan import COST_FILE, Plan, PlannedRun, is_done, run_folder
from neuroclip_hf.protocols.run import train_run
from neuroclip_hf.run_files import LAST_EPOCH, REPORT_FILE
from neuroclip_hf.training.processes import of_first_process, this_process

_LOCKS = ".locks"


@dataclass(frozen=True)
class Work:
    """A plan and where it is made.

    Args:
        plan (`Plan`): what is to be made.
        folder (`Path`): of the reproduction.
        image_features (`Path`): where pictures that the frozen tower has encoded are kept; several may share it.
    """

    plan: Plan
    folder: Path
    image_features: Path

    def unfinished(self) -> list[PlannedRun]:
        """Runs that are not made yet."""
        return [run for run in self.plan.runs if not is_done(self.folder, run)]

    def failures(self) -> dict[str, str]:
        """Name of each run whose numbers were lost, and why."""
        paths = {run.name: self.failed(run) for run in self.plan.runs}
        return {name: path.read_text(encoding="utf-8") for name, path in paths.items() if path.is_file()}

    def forget_failures(self) -> None:
        """Let the runs that failed be tried again."""
        for run in self.plan.runs:
            self.failed(run).unlink(missing_ok=True)

    def failed(self, run: PlannedRun) -> Path:
        """The file that says why the numbers of a run were lost."""
        return self.lock(run).with_suffix(".failed")

    def lock(self, run: PlannedRun) -> Path:
        """The file that the process holds which makes a run."""
        return self.folder / _LOCKS / f"{run.name.replace('/', '.')}.lock"


def make_missing(works: Sequence[Work], store: Path) -> None:
    """Make every run that is neither made nor in the making.

    Any number of processes may do this at once, on one machine or on several that share the folder; the ranks of one
    training stay together. A training whose numbers are lost is noted, and the others go on.

    Args:
        works (sequence of `Work`): what is to be made.
        store (`Path`): the trial store.
    """
    opened, process = TrialStore(store), this_process()
    runs = [(work, run) for work in works for run in work.plan.runs]
    for number, (work, run) in enumerate(runs, start=1):
        with _taken(work, run, process.is_main_process) as mine:
            if not of_first_process(mine):
                continue
            if process.is_main_process:
                get_logger().info("Run %d of %d: %s, %s", number, len(runs), work.plan.recipe.name, run.name)
            _make(work, run, opened)


def hardware() -> dict[str, Any]:
    """What a run was made on."""
    gpus = [torch.cuda.get_device_name(place) for place in range(torch.cuda.device_count())]
    return {"machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count(), "gpus": gpus}


def _make(work: Work, run: PlannedRun, store: TrialStore) -> None:
    path, started, process = run_folder(work.folder, run), time.perf_counter(), this_process()
    recipe = work.plan.recipe_of(run)
    try:
        if not of_first_process(path.is_dir()):
            train_run(recipe, store, path, keep_last=True, image_features=work.image_features)
    except FloatingPointError as error:
        if process.is_main_process:
            write_text(work.failed(run), str(error))
            get_logger().error("%s failed: %s", run.name, error)
        return
    if not process.is_main_process:
        return
    for part in (path, path / LAST_EPOCH):
        if not (part / REPORT_FILE).is_file():
            evaluate_run(part, store)
    cost = {"seconds": round(time.perf_counter() - started, 1), "peak_memory": _peak_memory()}
    write_json(path / COST_FILE, {**cost, "processes": process.num_processes, "hardware": hardware()})  # last


def _peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # which Windows does not have

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@contextmanager
def _taken(work: Work, run: PlannedRun, first: bool) -> Iterator[bool]:
    """Whether this process has the run for itself; only the first of a training's ranks asks."""
    if not first or is_done(work.folder, run) or work.failed(run).is_file():
        yield False
        return
    path = work.lock(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield not is_done(work.folder, run)  # another process may have made it meanwhile
    finally:
        lock.release()
