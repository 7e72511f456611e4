"""Batches of a whole training, loaded ahead by workers that live as long as it does."""

import os
import shutil
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing import get_start_method
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader

from neuroclip_hf.training.exactness import seed_step

MOST_WORKERS = 8
"""Processes that load data for a GPU where a recipe does not say how many (ours)."""
SHARED_MEMORY = 4 * 1024**3
"""Bytes that must be free where workers hand over their batches before a recipe is given any unasked (ours): two
batches a worker of 256 pictures of (3, 224, 224) are 2.3 GiB."""
_SHARED_MEMORY_FOLDER = Path("/dev/shm")


class Wanted(NamedTuple):
    """A batch that is to be loaded.

    Args:
        epoch (`int`): counted from 0.
        step (`int`): steps of the training before it.
        rows (`list[int]`): places of its items; where there are none the first item is loaded.
    """

    epoch: int
    step: int
    rows: list[int]


def load_batches(
    dataset: Any,
    collator: Callable[[Any], dict[str, torch.Tensor]],
    wanted: Iterable[Wanted],
    workers: int,
    seed: int,
    process: int,
) -> Generator[tuple[Wanted, dict[str, torch.Tensor]]]:
    """What is wanted, each with its batch, in this order; the same batches with any number of workers.

    A batch's epoch and step are told to whoever loads it, so that workers go on from one epoch to the next, and load
    the first batches of an epoch while the one before is validated. They end when the generator is closed.

    Args:
        dataset (map-style): `set_epoch` is called on it, where it has one, before its items are taken.
        collator (callable): items -> batch.
        wanted (iterable of [`Wanted`]): looked at as far as is loaded ahead.
        workers (`int`): processes; 0 loads in this one, when a batch is asked for.
        seed (`int`): of the training; with rank and step it seeds what dataset and collator draw themselves.
        process (`int`): its rank.
    """
    ahead: deque[Wanted] = deque()

    def noted() -> Iterator[Wanted]:
        for one in wanted:
            ahead.append(one)
            yield one

    items: Any = _ItemsOfBatches(dataset, seed, process)
    # A batch of items is one item to it, which needs no batching.
    for batch in DataLoader(items, batch_size=None, sampler=noted(), collate_fn=collator, num_workers=workers):
        yield ahead.popleft(), batch


class _ItemsOfBatches:
    """A dataset of batches: `[wanted]` are the items of that one."""

    def __init__(self, dataset: Any, seed: int, process: int) -> None:
        self._dataset, self._seed, self._process = dataset, seed, process

    def __getitem__(self, wanted: Wanted) -> list[Any]:
        seed_step(self._seed, wanted.step, self._process)  # somebody's own dataset may draw as well
        getattr(self._dataset, "set_epoch", lambda _: None)(wanted.epoch)
        rows = wanted.rows or [0]
        together = getattr(self._dataset, "__getitems__", None)
        return [self._dataset[row] for row in rows] if together is None else list(together(rows))


def choose_workers(asked: int | None, device: torch.device, processes: int) -> int:
    """How many processes load data for one process that trains.

    Where a recipe does not say: none on a CPU, whose cores the training itself needs. For a GPU a share of the cores,
    one being left to the process that trains, and at most [`MOST_WORKERS`]; none where workers would be given copies
    of the data (they are not forked), or hand their batches over in a memory that is too small, as in a container.

    Args:
        asked (`int` or None): what a recipe says.
        device (`torch.device`): that trains.
        processes (`int`): that train together; a launcher says how many of them are on this machine.
    """
    if asked is not None:
        return asked
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    if device.type != "cuda" or get_start_method() != "fork" or _free_shared_memory() < SHARED_MEMORY * processes:
        return 0
    return max(0, min(MOST_WORKERS, _cores() // processes - 1))


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _free_shared_memory() -> int:
    return shutil.disk_usage(_SHARED_MEMORY_FOLDER).free if _SHARED_MEMORY_FOLDER.is_dir() else 0
