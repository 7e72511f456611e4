"""One seed for everything, and batches whose order depends on it alone."""

import random
from typing import Protocol

import numpy as np
import torch


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
