"""Voxels run by run: drifts and scales of their own, which no decoder should have to tell from an answer."""

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.errors import InputError

FEWEST = 4
"""Rows of a run from which a line and a standard deviation are taken (ours)."""
STRONG = 0.2
"""Part of a voxel's variance that lies between runs, beyond what chance puts there, which is worth a hint (ours)."""


def scale_runs(values: NDArray[np.number], runs: Sequence[Hashable]) -> NDArray[np.float32]:
    """Voxels less a straight line over the rows of their run, in standard deviations of what is left of it.

    What was shown is not looked at, and no run is told of another. A voxel that holds NaN in a run is NaN throughout
    it; one that never changes in a run is 0.

    Args:
        values (`numpy.ndarray`): (rows, voxels), in the order in which they were recorded.
        runs (sequence): the run of each row.

    Raises:
        InputError: for a run of fewer than [`FEWEST`] rows.
    """
    numbers, names = pd.factorize(pd.Series(list(runs)))
    scaled = np.empty(values.shape, dtype=np.float32)
    for number, name in enumerate(names):
        rows = np.flatnonzero(numbers == number)
        if len(rows) < FEWEST:
            raise InputError(
                f"run {name} has {len(rows)} rows, too few for a line and a scale of their own ({FEWEST} are the "
                "fewest): leave it out, or do not scale by run."
            )
        line, _ = np.linalg.qr(np.stack([np.ones(len(rows)), np.arange(len(rows))], axis=1))
        mine = values[rows].astype(np.float64)
        mine -= mine.mean(axis=0)  # large means first, which would cost digits
        mine -= line @ (line.T @ mine)
        spread = mine.std(axis=0)
        constant = spread <= 1e-9 * np.abs(values[rows]).max(axis=0)
        scaled[rows] = np.where(constant, 0.0, mine / np.where(constant, 1.0, spread))
    return scaled


def refuse_crossing(runs: Sequence[Hashable], splits: Sequence[str]) -> None:
    """Refuse scaling where a run holds what trains and what is tested: a test trial would scale training trials.

    Raises:
        InputError: naming the run.
    """
    held = pd.DataFrame({"run": list(runs), "tested": np.isin(np.asarray(splits), columns.TESTED_SPLITS)})
    mixed = held.groupby("run", sort=False)["tested"].nunique() > 1
    if mixed.any():
        raise InputError(
            f"run {mixed.index[mixed.argmax()]} holds trials that train and trials that are tested, so that scaling "
            "by run would tell training of the test: part whole runs, or do not scale by run."
        )


def run_differences(values: NDArray[np.number], runs: Sequence[Hashable]) -> float:
    """Part of the variance of a voxel (the median one) that lies between its runs' means, beyond chance.

    0 for runs that are alike, 1 where a voxel changes from run to run and not within one; epsilon squared, which
    takes off what means of few rows differ by anyway.

    Args:
        values (`numpy.ndarray`): (rows, voxels).
        runs (sequence): the run of each row.
    """
    numbers, names = pd.factorize(pd.Series(list(runs)))
    if not 1 < len(names) < len(values):
        return 0.0
    known = values[:, np.isfinite(values).all(axis=0)].astype(np.float64)
    total = known.var(axis=0)
    known = known[:, total > 0]
    if not known.shape[1]:
        return 0.0
    within = pd.DataFrame(known).groupby(numbers).var(ddof=0).mul(np.bincount(numbers), axis=0).sum() / len(known)
    expected = (len(known) - 1) / (len(known) - len(names))
    return float(np.median(1 - within.to_numpy() / total[total > 0] * expected))


def unscaled_hint(share: float) -> str | None:
    """What a reader of a store should know of runs that differ so much; None where it is little."""
    if share <= STRONG:
        return None
    return (
        f"{share:.0%} of a voxel's variance (the median one) lies between runs, as of scans whose drifts and scales "
        "were left in them: --scale-runs takes a line and a scale out of each run by itself."
    )
