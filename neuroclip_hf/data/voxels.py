"""What is known of voxels before they are stored: which of them carry numbers, and the scale of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.errors import InputError

_ALIKE = 1e-9  # standard deviation, relative to the largest value, below which only rounding changes


class VoxelStatistics:
    """Mean, standard deviation and faults of voxels, gathered block by block.

    Means and deviations are of training trials only. Those of blocks are merged as Chan, Golub and LeVeque (The
    American Statistician 1983) do, since sums of squares lose small deviations around large means.

    Args:
        voxels (`int`): how many.
    """

    def __init__(self, voxels: int) -> None:
        self.finite = np.ones(voxels, dtype=bool)
        self.trials = 0
        self.mean = np.zeros(voxels)
        self._squares = np.zeros(voxels)
        self._largest = np.zeros(voxels)

    def add(self, values: NDArray[np.floating], training: NDArray[np.bool_]) -> None:
        """Take trials into account.

        Args:
            values (`numpy.ndarray`): (trials, voxels).
            training (`numpy.ndarray`): (trials,) bools.
        """
        self.finite &= np.isfinite(values).all(axis=0)
        block = np.where(self.finite, values[training], 0.0).astype(np.float64)
        if not len(block):
            return
        mean = block.mean(axis=0)
        total = self.trials + len(block)
        shift = mean - self.mean
        self._squares += ((block - mean) ** 2).sum(axis=0) + shift**2 * (self.trials * len(block) / total)
        self.mean += shift * (len(block) / total)
        self._largest = np.maximum(self._largest, np.abs(block).max(axis=0))
        self.trials = total

    @property
    def deviation(self) -> NDArray[np.float64]:
        """(voxels,) standard deviation of the training trials, divided by their number."""
        return np.asarray(np.sqrt(self._squares / max(self.trials, 1)))

    @property
    def constant(self) -> NDArray[np.bool_]:
        """(voxels,) whether a voxel never changes in training."""
        return np.asarray(self.finite & (self.deviation <= _ALIKE * self._largest))


@dataclass(frozen=True)
class UsableVoxels:
    """Which voxels are kept.

    Args:
        mask (`numpy.ndarray`): (voxels,) bools.
        warnings (`tuple` of `str`): what was left out.
    """

    mask: NDArray[np.bool_]
    warnings: tuple[str, ...]


def usable_voxels(
    statistics: VoxelStatistics, names: Sequence[str], origin: str, drop: bool, remedy: str = ""
) -> UsableVoxels:
    """Refuse voxels without a signal, or leave them out.

    Args:
        statistics ([`VoxelStatistics`]): of all trials.
        names (sequence of `str`): of the voxels.
        origin (`str`): the file they come from, for messages.
        drop (`bool`): leave them out with a warning rather than refuse them.
        remedy (`str`): what to do where none is left; by default to name another file.

    Raises:
        InputError: if there are such voxels and none may be dropped, or none is left.
    """
    faults = {"hold NaN or infinite values": ~statistics.finite, "never change in training": statistics.constant}
    warnings = []
    for what, where in faults.items():
        if not where.any():
            continue
        said = f"{int(where.sum())} of {len(where)} voxels {what} (first: {names[int(np.argmax(where))]})"
        if not drop:
            raise InputError(f"{origin}: {said}: mend the file, or leave them out with --drop-bad-voxels.")
        warnings.append(f"{origin}: {said}; they were left out.")
    mask = statistics.finite & ~statistics.constant
    if not mask.any():
        raise InputError(f"{origin}: no voxel is left that changes in training: {remedy or 'name another file'}.")
    return UsableVoxels(mask, tuple(warnings))


def refuse_empty(
    regions: Mapping[str, NDArray[np.bool_]], wanted: Sequence[str], usable: UsableVoxels, origin: str
) -> None:
    """Refuse regions that were asked for and of which no voxel is left.

    Args:
        regions (mapping): region -> (voxels,) bools.
        wanted (sequence of `str`): those that were asked for.
        usable (`UsableVoxels`): which voxels are kept.
        origin (`str`): the file, for messages.

    Raises:
        InputError: naming the first of them.
    """
    empty = [name for name in wanted if not (regions[name] & usable.mask).any()]
    if empty:
        raise InputError(f"{origin}: ROI {empty[0]} has no voxel that changes in training: leave it out of --rois.")
