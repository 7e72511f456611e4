"""One seed for everything, and batches whose order depends on it alone."""

import random
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch.utils.data import Sampler


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices)."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for libraries that still draw from the global state
    torch.manual_seed(seed)


class Batches(Protocol):
    """What training needs to know of its batches, those of all processes together.

    All have `batch_size` items but perhaps the last of an epoch, which may have fewer.
    """

    batch_size: int

    def __len__(self) -> int:
        """How many an epoch has."""

    def epoch(self, epoch: int) -> list[list[int]]:
        """Those of an epoch, counted from 0: places of items."""


class BatchOrder(Sampler[list[int]]):
    """Batches as torch's `DataLoader` takes them (`batch_sampler`); Accelerate gives each process its slice of each.

    Args:
        batches (`Batches`): depend on their seed and the epoch alone, not on workers, ranks or what ran before.
    """

    drop_last = False  # read by Accelerate

    def __init__(self, batches: Batches) -> None:
        self.batches, self.batch_size, self._epoch = batches, batches.batch_size, 0

    def set_epoch(self, epoch: int) -> None:
        """Tell the epoch, counted from 0."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches.epoch(self._epoch))
