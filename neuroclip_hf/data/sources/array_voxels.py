"""Voxels of `neuroclip prepare arrays`: which of them can be used, and in which regions of interest they lie."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.sources.array_file import texts_of
from neuroclip_hf.data.voxels import UsableVoxels, VoxelStatistics, usable_voxels
from neuroclip_hf.errors import InputError


def refuse_constant(brain: NDArray[np.floating], path: Path) -> None:
    """Refuse channels that are the same number throughout."""
    flat = np.flatnonzero(np.ptp(brain, axis=(0, 2)) == 0)
    if flat.size and len(brain) > 1:
        raise InputError(
            f"{path}: {flat.size} channels of brain never change (first: number {flat[0]}): leave them out."
        )


def usable_channels(
    brain: NDArray[np.floating], split: NDArray[np.str_], names: Sequence[str], path: Path, drop: bool
) -> UsableVoxels:
    """Which voxels of patterns hold numbers that change over the training trials; all channels of recordings.

    Raises:
        InputError: if one does not and none may be dropped, or none does.
    """
    training = split == columns.TRAIN
    if brain.ndim == 3 or not training.any():
        return UsableVoxels(np.ones(brain.shape[1], dtype=bool), ())
    statistics = VoxelStatistics(brain.shape[1])
    statistics.add(brain, training)
    origin = path.name if drop else str(path)  # a store does not say where its maker kept files
    return usable_voxels(statistics, names, origin, drop)


def rois_of(values: dict[str, NDArray[Any]], brain: NDArray[Any], path: Path) -> dict[str, NDArray[np.bool_]]:
    """Region of interest -> which voxels lie in it, as the arrays `rois` and `roi_masks` have them.

    Raises:
        InputError: if one is given without the other, or they do not fit.
    """
    if ("rois" in values) != ("roi_masks" in values):
        given = "rois" if "rois" in values else "roi_masks"
        raise InputError(f"{path} holds {given} alone: give rois (R,), their names, and roi_masks (R, voxels).")
    if "rois" not in values:
        return {}
    if brain.ndim == 3:
        raise InputError(f"{path}: rois are for voxels, and brain has samples in time: leave rois and roi_masks out.")
    masks, count = values["roi_masks"], values["rois"].size
    if masks.dtype != bool or masks.shape != (count, brain.shape[1]):
        raise InputError(
            f"{path}: roi_masks has shape {masks.shape} and type {masks.dtype}: {count} rois of {brain.shape[1]} "
            f"voxels need bools of shape ({count}, {brain.shape[1]})."
        )
    names = texts_of(values, "rois", count, path, default=[])
    if len(set(names)) != count or not all(names):
        raise InputError(f"{path}: a name in rois is empty or occurs twice.")
    return dict(zip(names, masks, strict=True))
