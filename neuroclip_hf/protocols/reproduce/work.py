"""What each process of a reproduction does: take a run that nobody has taken, make it, take the next.

Runs that another process is at are waited for, and taken over if that one stops, so that every command ends with all
of them made.
"""

import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.evaluation.report import is_evaluated
from neuroclip_hf.files import write_json, write_text
from neuroclip_hf.logging import get_logger
from neuroclip_hf.protocols.evaluating import evaluate_run
from neuroclip_hf.protocols.reproduce.claims import claim, holder_of
from neuroclip_hf.protocols.reproduce.plan import Plan, PlannedRun, is_done, run_folder
from neuroclip_hf.protocols.run import train_run
from neuroclip_hf.run_files import COST_FILE, LAST_EPOCH, LOCKS
from neuroclip_hf.training.processes import of_first_process, this_process

POLL_SECONDS = 1.0
_WAIT = -1


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

    def open_runs(self) -> list[PlannedRun]:
        """Runs that are neither made nor noted as failed."""
        return [run for run in self.unfinished() if not self.failed(run).is_file()]

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
        return self.folder / LOCKS / f"{_flat(run)}.failed"

    def claim(self, run: PlannedRun) -> Path:
        """The claim of the process which makes a run, see [`neuroclip_hf.protocols.reproduce.claims.claim`]."""
        return self.folder / LOCKS / _flat(run)


def make_missing(works: Sequence[Work], store: Path, *, wait: bool = True) -> None:
    """Make every run that is neither made nor in the making.

    Any number of processes may do this at once, on one machine or on several that share the folder; the ranks of one
    training stay together. A training whose numbers are lost is noted, and the others go on.

    Args:
        works (sequence of `Work`): what is to be made.
        store (`Path`): the trial store.
        wait (`bool`): also wait for what other processes make, and make it if they stop.
    """
    opened, process = TrialStore(store), this_process()
    runs = [(work, run) for work in works for run in work.plan.runs]
    told: set[str] = set()
    while True:
        with _next_free(runs, wait, told) if process.is_main_process else nullcontext(None) as found:
            place = of_first_process(found)
            if place is None:
                return
            if place == _WAIT:  # asked anew, since the other ranks' patience with the first one has an end
                time.sleep(POLL_SECONDS)
                continue
            work, run = runs[place]
            if process.is_main_process:
                get_logger().info("Run %d of %d: %s, %s", place + 1, len(runs), work.plan.recipe.name, run.name)
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
        if not is_evaluated(part):
            evaluate_run(part, store, overwrite=True)  # of an earlier version
    if (path / COST_FILE).is_file():  # of the training, which was not made now
        return
    cost = {"seconds": round(time.perf_counter() - started, 1), "peak_memory": _peak_memory()}
    write_json(path / COST_FILE, {**cost, "processes": process.num_processes, "hardware": hardware()})  # last


def _peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # which Windows does not have

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@contextmanager
def _next_free(runs: Sequence[tuple[Work, PlannedRun]], wait: bool, told: set[str]) -> Iterator[int | None]:
    """The place of a run that this process now has for itself, [`_WAIT`], or None where nothing is left to do."""
    busy = False
    for place, (work, run) in enumerate(runs):
        if is_done(work.folder, run) or work.failed(run).is_file():
            continue
        with claim(work.claim(run)) as mine:
            if mine and not is_done(work.folder, run):  # another process may have made it meanwhile
                yield place
                return
        busy = busy or not mine
        if not mine and wait:
            _tell(f"{run.name} is being made by {holder_of(work.claim(run))}: waiting for it.", told)
    yield _WAIT if busy and wait else None


def _tell(words: str, told: set[str]) -> None:
    if words not in told:
        told.add(words)
        get_logger().info(words)


def _flat(run: PlannedRun) -> str:
    return run.name.replace("/", ".")
