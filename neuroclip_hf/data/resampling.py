"""A linear map over an epoch's samples, applied in less than half of the multiplications that its matrix takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from neuroclip_hf.data._threads import map_blocks

GROUP = 50
"""Samples of the result that are computed in full from those around them (ours): about the fewest multiplications."""
LINE = 64
"""Bytes in a line of a processor's cache: weights whose rows begin at one are multiplied faster."""
TOLERANCE = 1e-12
"""What may be lost of a weight, relative to the largest (ours)."""


@dataclass(frozen=True)
class _Group:
    """Neighbouring samples of an epoch.

    Args:
        samples (`slice`): which; near (`slice`): samples of the result that lie among them.
        to_moments (`numpy.ndarray` of shape `(samples, rank)`), to_near (of shape `(samples, near)`): weights.
    """

    samples: slice
    near: slice
    to_moments: NDArray[np.float64]
    to_near: NDArray[np.float64]


class EpochMap:
    """A matrix `(samples, results)` whose weights oscillate slowly far from the diagonal, as those of resampling do.

    The results are cut into groups. What samples contribute to the results of their own group is computed in full.
    What they contribute to all others depends on a few sums of them only (their moments, about 25 for 200 samples):
    the far weights, sines over the distance, have that rank to twelve digits. It is found in the weights themselves,
    by a pivoted QR decomposition; so the map need not be one of resampling, it only is slower then.

    Args:
        weights (`numpy.ndarray` of shape `(samples, results)`): the matrix.
        places (`numpy.ndarray` of shape `(samples,)`): where each sample lies among the results, ascending.
    """

    def __init__(self, weights: NDArray[np.float64], places: NDArray[np.float64]) -> None:
        num_results = weights.shape[1]
        last = max(0, -(-num_results // GROUP) - 1)
        numbers = np.clip(np.floor(places / GROUP).astype(int), -1, last)  # -1: before the first result
        edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(places)]
        tolerance = TOLERANCE * np.abs(weights).max()

        def split(edge: tuple[int, int]) -> tuple[_Group, NDArray[np.float64]]:
            first = max(0, numbers[edge[0]] * GROUP)
            near = slice(first, min(num_results, max(first, (numbers[edge[0]] + 1) * GROUP)))
            return _split(weights, slice(*edge), near, tolerance)

        split_weights = map_blocks(split, pairwise(edges))
        self._groups = [group for group, _ in split_weights]
        covered = np.isin(np.arange(num_results), np.concatenate([np.r_[group.near] for group in self._groups]))
        self._only_far = np.flatnonzero(~covered)
        self._far_weights = np.concatenate([*(far for _, far in split_weights), weights.sum(axis=0, keepdims=True)])

    def apply(
        self, epochs: Sequence[NDArray[np.float64]], levels: NDArray[np.float64], out: NDArray[np.float64]
    ) -> None:
        """Write the map of every epoch plus its levels to `out`.

        Recordings ride on offsets a hundred times an epoch's size; apart from them nothing is lost to rounding.

        Args:
            epochs (sequence of `numpy.ndarray` of shape `(channels, samples)`): they may be views of a recording.
            levels (`numpy.ndarray` of shape `(epochs, channels)`): a constant of each channel.
            out (`numpy.ndarray` of shape `(epochs, channels, results)`): where to.
        """
        moments = np.empty((*levels.shape, len(self._far_weights)))
        out[..., self._only_far] = 0.0
        start = 0
        for group in self._groups:
            stop = start + group.to_moments.shape[1]
            for row, epoch in enumerate(epochs):
                samples = epoch[:, group.samples]
                np.matmul(samples, group.to_moments, out=moments[row, :, start:stop])
                np.matmul(samples, group.to_near, out=out[row, :, group.near])
            start = stop
        moments[..., start] = levels
        far = moments.reshape(-1, len(self._far_weights)) @ self._far_weights
        out += far.reshape(out.shape)


def _split(
    weights: NDArray[np.float64], samples: slice, near: slice, tolerance: float
) -> tuple[_Group, NDArray[np.float64]]:
    """A group of samples, and the weights `(rank, results)` of its moments."""
    far = weights[samples].copy()
    far[:, near] = 0.0
    basis, triangle, _ = scipy.linalg.qr(far, mode="economic", pivoting=True)
    rank = int(np.count_nonzero(np.abs(np.diagonal(triangle)) > tolerance))
    to_moments = _aligned(basis[:, :rank])
    return _Group(samples, near, to_moments, _aligned(weights[samples, near])), to_moments.T @ far


def _aligned(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A copy of a matrix every row of which begins at a line of the cache."""
    rows, columns = values.shape
    numbers_in_line = LINE // values.itemsize
    width = -(-columns // numbers_in_line) * numbers_in_line
    memory = np.empty(rows * width + numbers_in_line)
    first = -memory.ctypes.data % LINE // values.itemsize
    copy = memory[first : first + rows * width].reshape(rows, width)[:, :columns]
    copy[...] = values
    return copy
