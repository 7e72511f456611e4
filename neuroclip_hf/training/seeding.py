"""One seed for everything, and an order of items that depends on it alone."""

import random
from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Sampler


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices)."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for libraries that still draw from the global state
    torch.manual_seed(seed)


class SeededSampler(Sampler[int]):
    """A permutation of the items that depends on seed and epoch alone, not on workers, ranks or what ran before.

    Args:
        length (`int`): number of items.
        seed (`int`): of the order.
    """

    def __init__(self, length: int, seed: int) -> None:
        self.length, self.seed, self.epoch = length, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Tell the epoch, counted from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng([self.seed, self.epoch, 13])
        return iter(generator.permutation(self.length).tolist())
