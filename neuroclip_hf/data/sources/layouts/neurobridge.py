"""Containers of NeuroBridge and SAMGA: plain arrays and `info.json`."""

from pathlib import Path
from typing import Any

import numpy as np

from neuroclip_hf.data import safe_load
from neuroclip_hf.data.containers import (
    NEUROBRIDGE_FILES,
    NEUROBRIDGE_INFO,
    NEUROBRIDGE_KEYS,
    NEUROBRIDGE_WHITENED,
)
from neuroclip_hf.data.sources.layouts.base import UNKNOWN_FIT, EpochedFile, EpochedLayout, make_epoched
from neuroclip_hf.data.things_eeg2 import ImageMetadata
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json

_CHANNELS, _TIMES, _NORMALIZATION = NEUROBRIDGE_KEYS


class NeuroBridgeLayout(EpochedLayout):
    """`info.json` and `sub-XX/{train,test}.npy`: (concepts, pictures, repeats, channels, samples), mapped from disk.

    The index [c, i] is the i-th sorted file of the c-th sorted folder.
    """

    name = "neurobridge"
    description = "epochs of NeuroBridge or SAMGA"
    file_names = NEUROBRIDGE_FILES

    def sources(self, path: Path) -> list[Path]:
        """The array, and what it shares with the others."""
        return [path, path.parents[1] / NEUROBRIDGE_INFO]

    def open(self, path: Path, split: str, metadata: ImageMetadata) -> EpochedFile:
        """Map an array."""
        info = _read_info(path.parents[1] / NEUROBRIDGE_INFO)
        values = safe_load.load(path)
        ids = _sorted_ids(path, values, split, metadata)
        flat = values.reshape(-1, *values.shape[2:])
        ids = np.repeat(ids.reshape(-1, 1), flat.shape[1], axis=1)
        return make_epoched(path, flat, info[_CHANNELS], info[_TIMES], split, metadata, UNKNOWN_FIT, ids)


def _read_info(path: Path) -> dict[str, Any]:
    info = read_json(path)
    missing = [key for key in NEUROBRIDGE_KEYS if not isinstance(info, dict) or key not in info]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}: get it again.")
    if not all(isinstance(info[key], list) for key in (_CHANNELS, _TIMES)):
        raise InputError(f"{path}: {_CHANNELS} and {_TIMES} must be lists: get it again.")
    if info[_NORMALIZATION] != NEUROBRIDGE_WHITENED:
        raise InputError(
            f"{path}: {_NORMALIZATION} is {info[_NORMALIZATION]!r}, and only {NEUROBRIDGE_WHITENED!r} is known: "
            "prepare the raw recordings instead."
        )
    return info


def _sorted_ids(path: Path, values: Any, split: str, metadata: ImageMetadata) -> np.ndarray:
    """Ids (concepts, pictures) by sorted folders, and sorted files in each."""
    if not isinstance(values, np.ndarray) or values.ndim != 5:
        shape = getattr(values, "shape", type(values).__name__)
        raise InputError(
            f"{path} is {shape} instead of (concepts, pictures, repeats, channels, samples): get the file again."
        )
    folders: dict[str, list[str]] = {}
    for code in range(1, metadata.size(split) + 1):
        folders.setdefault(metadata.concept(split, code), []).append(metadata.image_id(split, code))
    counts = {len(ids) for ids in folders.values()}
    if len(folders) != values.shape[0] or counts != {values.shape[1]}:
        found = " or ".join(map(str, sorted(counts)))
        raise InputError(
            f"{path} holds {values.shape[0]} concepts of {values.shape[1]} {split} pictures, and the table of "
            f"pictures has {len(folders)} of {found}: they belong to different datasets."
        )
    return np.array([sorted(folders[folder]) for folder in sorted(folders)], dtype=object)
