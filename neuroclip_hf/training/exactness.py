"""What makes a training repeat itself to the bit, and on several processes follow the one on a single process."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from neuroclip_hf import columns
from neuroclip_hf.training.seeding import seed_everything

_OF_RECORDINGS = (
    columns.EEG_VALUES,
    columns.FMRI_VALUES,
    columns.IMAGE_ID,
    columns.PICTURE_INDEX,
    columns.SUBJECT_INDEX,
)


def seed_step(seed: int, step: int, process: int) -> None:
    """Seed Python, NumPy and torch for one step of one process.

    Whatever is drawn in a step, dropout first of all, then depends on these three alone: a training that goes on
    after a checkpoint needs no state of any generator.

    Args:
        seed (`int`): of the training.
        step (`int`): steps done before.
        process (`int`): its rank.
    """
    seed_everything(int(np.random.SeedSequence([seed, step, process, 29]).generate_state(1)[0]))


@contextmanager
def deterministic_on_cpus(device: torch.device) -> Iterator[None]:
    """Let torch use deterministic algorithms only while the block runs, if `device` is a CPU.

    The same numbers then need the same versions of the libraries and the same number of threads.
    """
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)
        memory.fill_uninitialized_memory = False  # it costs time and changes no result
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        memory.fill_uninitialized_memory = fill


def rows_of_process(batch: Sequence[int], process: int, processes: int) -> list[int]:
    """The items of a global batch that one process takes: neighbours, as equal in number as possible, maybe none.

    In order of rank they are the batch again, so that every number of processes sees the same batches.
    """
    start, stop = (len(batch) * place // processes for place in (process, process + 1))
    return list(batch[start:stop])


def without_rows(batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A batch of the same kind with no recordings in it, for a process that has none.

    Pictures that rows point to by `picture_index` stay: CLIP's attention in transformers refuses an empty batch.
    """
    emptied = _OF_RECORDINGS if columns.PICTURE_INDEX in batch else batch
    return {name: value[:0] if name in emptied else value for name, value in batch.items()}
