"""The latest samples of a stream."""

import numpy as np
from numpy.typing import NDArray


class RingBuffer:
    """Keeps the latest samples of a stream, each under its number: the first that ever came is 0.

    Args:
        channels (`int`): of a sample.
        capacity (`int`): samples that are kept.
    """

    def __init__(self, channels: int, capacity: int) -> None:
        self.count = 0
        self._values = np.zeros((capacity, channels))
        self._times = np.zeros(capacity)

    @property
    def first(self) -> int:
        """Number of the oldest sample that is kept; `count` is that of the next one to come."""
        return max(0, self.count - len(self._times))

    @property
    def newest(self) -> float:
        """Time of the newest sample; there must be one."""
        return float(self._times[(self.count - 1) % len(self._times)])

    def add(self, values: NDArray[np.floating], times: NDArray[np.float64]) -> None:
        """Take in samples `(samples, channels)` and their times `(samples,)`."""
        places = np.arange(self.count, self.count + len(times))[-len(self._times) :] % len(self._times)
        self._values[places] = values[-len(self._times) :]
        self._times[places] = times[-len(self._times) :]
        self.count += len(times)

    def values(self, first: int, count: int) -> NDArray[np.float64]:
        """`count` samples from number `first` on, as `(channels, count)`."""
        return np.ascontiguousarray(self._values[self._places(first, count)].T)

    def times(self, first: int, count: int) -> NDArray[np.float64]:
        """Their times `(count,)`."""
        return self._times[self._places(first, count)]

    def _places(self, first: int, count: int) -> NDArray[np.int64]:
        if first < self.first or first + count > self.count:
            raise IndexError(f"samples {first} to {first + count} of {self.first} to {self.count}")
        return np.arange(first, first + count) % len(self._times)
