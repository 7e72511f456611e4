"""Mean and standard deviation of trials, by which a checkpoint standardises them."""

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError

FIT_TRIALS = 2048
"""Training trials, evenly spread, that the scale is measured on (ours): bounds memory, and more change nothing. Of
patterns all trials are taken, so many at a time."""


Moments = tuple[NDArray[np.float64], float | list[float], NDArray[np.float64]]
"""Mean of each channel, the standard deviation that is kept, and that of each channel."""


def recording_moments(store: TrialStore, rows: NDArray[np.int64]) -> Moments:
    """Of recordings, over at most [`FIT_TRIALS`] training trials of a store."""
    spread = np.unique(np.linspace(0, len(rows) - 1, min(FIT_TRIALS, len(rows))).astype(int))
    return moments_in_time(store.read(rows[spread]))


def moments_in_time(values: NDArray[np.floating]) -> Moments:
    """Of trials `(trials, channels, samples)`: the mean of each channel, and one standard deviation of all."""
    values = values.astype(np.float64)
    mean = values.mean(axis=(0, 2))
    return mean, float((values - mean[:, None]).std()), values.std(axis=(0, 2))


def pattern_moments(store: TrialStore, rows: NDArray[np.int64]) -> Moments:
    """Of patterns, over all training trials of a store.

    Raises:
        InputError: for a voxel that holds NaN.
    """
    blocks = [rows[start : start + FIT_TRIALS] for start in range(0, len(rows), FIT_TRIALS)]
    mean = np.sum([store.read(block).sum(axis=0, dtype=np.float64) for block in blocks], axis=0) / len(rows)
    squares = np.sum([((store.read(block) - mean) ** 2).sum(axis=0) for block in blocks], axis=0)
    std = np.sqrt(squares / len(rows))
    if not np.isfinite(std).all():
        name = store.info.channels[int(np.flatnonzero(~np.isfinite(std))[0])]
        raise InputError(f"{store.path}: {name} holds NaN or infinite values in training: prepare without it.")
    return mean, std.tolist(), std
