"""Where the processes of a reproduction run: here, side by side on this machine, or on a cluster, through submitit."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import torch

from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json
from neuroclip_hf.logging import get_logger, progress, set_verbosity
from neuroclip_hf.protocols.reproduce.claims import holder_of
from neuroclip_hf.protocols.reproduce.plan import run_folder
from neuroclip_hf.protocols.reproduce.work import POLL_SECONDS, Work, make_missing
from neuroclip_hf.run_files import COST_FILE
from neuroclip_hf.training.processes import this_process

LOCAL, SLURM = "local", "slurm"
ENGINES = (LOCAL, SLURM)
_JOBS = "jobs"
_MARGIN = 1.2  # of the memory that a run took, for the next one (ours)
_MINUTES = {LOCAL: 366 * 24 * 60, SLURM: 24 * 60}  # submitit's own limits of 2 and 5 minutes would end most trainings


@dataclass(frozen=True)
class Engine:
    """How many processes work at a reproduction, and where.

    Args:
        name (`str`): "local" or "slurm".
        processes (`int`): how many work at once. One local process is this very one. Further local ones start once the
            first run has shown how much memory a run takes, as far as that much is free.
        parameters (`dict`): of a job, as submitit's `update_parameters` names them: `slurm_partition`, `timeout_min`,
            `gpus_per_node`, `tasks_per_node`, `nodes`, `cpus_per_task`, `mem_gb`, ... With several tasks a job, these
            are the ranks of one training. A Slurm job may take 24 hours unless `timeout_min` says otherwise (ours).

    Raises:
        InputError: for another engine, a number below 1, or parameters where no job is submitted.
    """

    name: str = LOCAL
    processes: int = 1
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise InputError(f"--engine is {self.name!r}: choose one of {', '.join(ENGINES)}.")
        if self.processes < 1:
            raise InputError(f"--processes is {self.processes}: it must be at least 1.")
        if self.parameters and self.is_here:
            raise InputError("--job is for submitted jobs: say --engine slurm, or --processes 2 or more.")

    @property
    def is_here(self) -> bool:
        """Whether this process does the work itself."""
        return self.name == LOCAL and self.processes == 1


def check_engine(engine: Engine) -> None:
    """Refuse an engine that cannot work here, before anything is written.

    Args:
        engine (`Engine`): who is to work.

    Raises:
        InputError: if submitit or the cluster is missing, a parameter is unknown to it, or this process is one of
            several that a launcher started.
    """
    if engine.is_here:
        return
    processes = this_process().num_processes
    if processes > 1:
        raise InputError(
            f"--engine {engine.name} --processes {engine.processes} within a launcher of {processes} processes: each "
            "of them would start its own. With torchrun and accelerate launch say --engine local --processes 1; a "
            "submitted job trains on several GPUs with --job tasks_per_node=."
        )
    with TemporaryDirectory() as elsewhere:  # submitit makes the folder that it is given
        _executor(Path(elsewhere), engine)


def make_runs(works: Sequence[Work], store: Path, folder: Path, engine: Engine) -> None:
    """Make all runs that are not made yet; those that another command is at are waited for.

    Args:
        works (sequence of `Work`): what is to be made.
        store (`Path`): the trial store.
        folder (`Path`): below which the logs of submitted jobs lie.
        engine (`Engine`): who works.

    Raises:
        InputError: if submitit is missing or a job ends with an error; its log is named.
    """
    if not any(work.open_runs() for work in works):
        return
    if engine.is_here:
        make_missing(works, store)
        return
    jobs: list[Any] = []
    try:
        _submit_and_wait(works, store, folder, engine, jobs)
        for job in jobs:
            job.wait()
    except BaseException:  # Ctrl-C too: what was trained so far stays, and the same command goes on
        for job in jobs:
            job.cancel()
        raise
    finally:
        for pickled in (folder / _JOBS).glob("*.pkl"):  # submitit's own; the logs stay
            pickled.unlink(missing_ok=True)


def worker(works: Sequence[Work], store: Path, gpu: int | None, threads: int | None) -> None:
    """What a submitted job runs; see [`make_missing`].

    Args:
        works (sequence of `Work`): what is to be made.
        store (`Path`): the trial store.
        gpu (`int`, *optional*): the only one that it may use.
        threads (`int`, *optional*): of the CPU.
    """
    import submitit

    set_verbosity("info")
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(gpu)
    if threads is not None:
        torch.set_num_threads(threads)
    if submitit.JobEnvironment().num_tasks > 1:
        submitit.helpers.TorchDistributedEnvironment().export(set_cuda_visible_devices=False)
    make_missing(works, store, wait=False)  # this process's command waits, and holds no GPU meanwhile


def _submit_and_wait(works: Sequence[Work], store: Path, folder: Path, engine: Engine, jobs: list[Any]) -> None:
    executor = _executor(folder, engine)
    total = sum(len(work.plan.runs) for work in works)
    with progress(total=total, desc="runs", unit="run") as bar:
        while left := sum(len(work.open_runs()) for work in works):
            bar.n = total - left
            bar.refresh()
            _refuse_failed(jobs)
            busy = [job for job in jobs if not job.done()]
            if len(busy) < min(engine.processes, left) and _any_free(works) and _may_start(works, engine, busy):
                jobs.append(executor.submit(worker, works, store, *_share_of(engine, len(jobs))))
                get_logger().info("Job %s works at %s.", jobs[-1].job_id, folder)
            time.sleep(POLL_SECONDS)


def _any_free(works: Sequence[Work]) -> bool:
    """Whether a run is left at which nobody is."""
    return any(holder_of(work.claim(run)) is None for work in works for run in work.open_runs())


def _executor(folder: Path, engine: Engine) -> Any:
    try:
        import submitit
    except ImportError:
        raise InputError(
            f"--engine {engine.name} with --processes {engine.processes} needs submitit: pip install "
            "'neuroclip-hf[slurm]'; or say --engine local --processes 1."
        ) from None
    try:
        executor = submitit.AutoExecutor(folder / _JOBS, cluster=engine.name)
        asked = any(name.endswith(("timeout_min", "_time")) for name in engine.parameters)
        limit = {} if asked else {"timeout_min": _MINUTES[engine.name]}
        executor.update_parameters(name="neuroclip", **limit, **engine.parameters)
    except (RuntimeError, ValueError, NameError, TypeError, AssertionError) as error:
        raise InputError(f"--engine {engine.name} cannot be used so: {error}") from None
    return executor


def _may_start(works: Sequence[Work], engine: Engine, jobs: Sequence[Any]) -> bool:
    """Whether another process would find memory; a cluster looks after that itself."""
    if engine.name != LOCAL or not jobs:
        return True
    costs = [run_folder(work.folder, run) / COST_FILE for work in works for run in work.plan.runs]
    peaks = [read_json(path)["peak_memory"] for path in costs if path.is_file()]
    return bool(peaks) and psutil.virtual_memory().available > _MARGIN * max(peaks)


def _share_of(engine: Engine, place: int) -> tuple[int | None, int | None]:
    """GPU and threads of a local process."""
    if engine.name != LOCAL:
        return None, None
    gpus = torch.cuda.device_count()
    return (place % gpus if gpus else None), max(1, torch.get_num_threads() // engine.processes)


def _refuse_failed(jobs: Sequence[Any]) -> None:
    for job in jobs:
        if job.done() and (error := job.exception()) is not None:
            raise InputError(f"job {job.job_id} ended with an error, see {job.paths.stderr}: {error}")
