"""Which voxels answer to what is shown, measured on training trials and on nothing else."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError

BLOCK_NUMBERS = 1 << 24
"""Numbers that are read at once (ours): 64 MB."""


def select_voxels(store: TrialStore, trials: pd.DataFrame, rows: NDArray[np.int64], count: int) -> list[str]:
    """The voxels whose answers differ most between concepts, in the store's order.

    The criterion is ours: the F of a one-way analysis of variance, the variance between the means of concepts over the
    variance within them. Where no concept was shown twice, or there is but one, pictures stand in for concepts.
    Subjects are analysed each for itself, and their sums added. Of equal voxels the first is taken.

    Args:
        store (`TrialStore`): of patterns; a view of subjects with the same voxels.
        trials (`pandas.DataFrame`): its trial table, or one with other targets (the shuffled control).
        rows (`numpy.ndarray` of `int`): the training trials; no other is looked at.
        count (`int`): how many voxels are kept.

    Raises:
        InputError: if the store has samples in time or fewer voxels, or nothing was shown twice.
    """
    info = store.info
    if info.num_timesteps is not None:
        raise InputError(
            f"voxels is {count}, but {store.path} holds {info.modality} with samples in time: leave it out."
        )
    if count > len(info.channels):
        raise InputError(
            f"voxels is {count}, and there are {len(info.channels)} to choose from: say fewer, or null for all."
        )
    values = voxel_scores(store, _groups(trials.iloc[rows], store), rows)
    best = np.argsort(-values, kind="stable")[:count]
    return [info.channels[place] for place in np.sort(best)]


def voxel_scores(store: TrialStore, groups: pd.DataFrame, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """F of each voxel, see [`select_voxels`]; -inf for a voxel that never changes.

    Args:
        store (`TrialStore`): of patterns.
        groups (`pandas.DataFrame`): for each of `rows`, the subject and the target.
        rows (`numpy.ndarray` of `int`): of its trial table.
    """
    between, within = np.zeros((2, len(store.info.channels)))
    free_between = free_within = 0
    for _, mine in groups.reset_index(drop=True).groupby(columns.SUBJECT, sort=False):
        codes, names = pd.factorize(mine["target"])
        one, other = _sums_of_squares(store, rows[mine.index], codes)
        between, within = between + one, within + other
        free_between, free_within = free_between + len(names) - 1, free_within + len(mine) - len(names)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (between / free_between) / (within / free_within)
    return np.where(between + within > 0, found, -np.inf)


def _groups(table: pd.DataFrame, store: TrialStore) -> pd.DataFrame:
    for name in (columns.CONCEPT, columns.IMAGE_ID):
        groups = pd.DataFrame({columns.SUBJECT: table[columns.SUBJECT], "target": table[name]})
        shown = groups.drop_duplicates()
        if len(shown) < len(groups) and len(shown) > groups[columns.SUBJECT].nunique():
            return groups
    raise InputError(
        f"{store.path}: voxels are chosen by how their answers to the same concept or picture agree, and of the "
        f"{len(table)} training trials none shows one again beside another: say voxels=null, or choose by rois."
    )


def _sums_of_squares(
    store: TrialStore, rows: NDArray[np.int64], codes: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Between the means of groups, and within groups: (voxels,) each."""
    size = max(1, BLOCK_NUMBERS // len(store.info.channels))
    counts = np.bincount(codes)[:, None]
    sums = np.zeros((len(counts), len(store.info.channels)))
    for start in range(0, len(rows), size):
        np.add.at(sums, codes[start : start + size], store.read(rows[start : start + size]).astype(np.float64))
    means = sums / counts
    within = np.zeros(sums.shape[1])
    for start in range(0, len(rows), size):
        some = store.read(rows[start : start + size]).astype(np.float64)
        within += ((some - means[codes[start : start + size]]) ** 2).sum(axis=0)
    grand = sums.sum(axis=0) / len(rows)
    return (counts * (means - grand) ** 2).sum(axis=0), within
