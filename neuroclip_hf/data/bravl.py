"""BraVL's release of Generic Object Decoding (Du et al., TPAMI 2023): its folders, files and arrays.

As its public scripts write and read it (`data_prepare_with_aug_GOD_Wiki.py`, `experiment.py` of ChangdeDu/BraVL):

```
GOD-Wiki/brain_feature/LVC_HVC_IT/sub-01/fmri_train_data.mat        1200 single trials
                                         fmri_test_data.mat         1750 single trials, on which its table rests
                                         fmri_test_data_unique.mat  means of 35, not read here
```

The folder below `brain_feature` names the voxels that went in. A file is a MATLAB array file with

- `data` (trials, features), float64: voxels of V1 to V4, LOC, FFA and PPA side by side, so that one in two regions
  stands twice, z-scored by mean and standard deviation of training, and then turned onto the principal components that
  keep 99 % of the variance of training: its columns are components (in the unit of z-scored voxels), not voxels, and
  know no regions;
- `WordNetID` (1, trials): the stimulus ids of `neuroclip_hf.data.god`;
- `image_idx` (1, trials): the row in the dataset's table of pictures, counted from 1;
- `class_idx` (1, trials): the category's number, from 1.

Imagery, runs and pictures are not in it.
"""

import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.errors import InputError

FEATURES_FOLDER = "brain_feature"
FILES = {TRAIN: "fmri_train_data.mat", TEST: "fmri_test_data.mat"}
SUBJECT_FOLDER = re.compile(r"sub-(\d+)")
_ARRAYS = ("data", "WordNetID", "image_idx")
_MOST_VALUES = 500_000_000  # of one array: 4 GB


@dataclass(frozen=True)
class BravlTrials:
    """Single trials of one file.

    Args:
        path (`Path`): the file.
        data (`numpy.ndarray`): (trials, features) float64.
        stimuli (`numpy.ndarray`): (trials,) stimulus ids.
        image_index (`numpy.ndarray`): (trials,) rows of the dataset's table, from 1.
    """

    path: Path
    data: NDArray[np.float64]
    stimuli: NDArray[np.float64]
    image_index: NDArray[np.float64]


def feature_folders(source: Path) -> dict[str, Path]:
    """What the features of a release are called -> their folder; empty where it is none.

    Args:
        source (`Path`): the release, or a folder that holds `GOD-Wiki`.
    """
    for root in (source, source / "GOD-Wiki", source / "data" / "GOD-Wiki"):
        if (root / FEATURES_FOLDER).is_dir():
            return {path.name: path for path in sorted((root / FEATURES_FOLDER).iterdir()) if path.is_dir()}
    return {}


def read_bravl_file(path: Path) -> BravlTrials:
    """Read one file; nothing in it is run.

    Raises:
        InputError: naming the file, the array and what is wrong with it.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist: unzip the whole release.")
    found = _load(path)
    arrays = {name: _numbers(path, name, found) for name in _ARRAYS}
    data = arrays["data"]
    if data.ndim != 2 or not data.size or not np.isfinite(data).all():
        raise InputError(f"{path}: data has shape {data.shape}, or holds NaN: it must be (trials, features) numbers.")
    stimuli, index = arrays["WordNetID"].ravel(), arrays["image_idx"].ravel()
    if len(stimuli) != len(data) or len(index) != len(data):
        raise InputError(
            f"{path}: {len(data)} trials, {len(stimuli)} ids in WordNetID and {len(index)} in image_idx: they must be "
            "as many."
        )
    return BravlTrials(path, data, stimuli, index)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    io = import_module("scipy.io")
    try:
        declared = {name: shape for name, shape, _ in io.whosmat(path)}
        large = [name for name in _ARRAYS if np.prod(declared.get(name, ()), dtype=float) > _MOST_VALUES]
        found = {} if large else io.loadmat(path, variable_names=_ARRAYS)
    except Exception as error:  # a damaged file breaks the parser in many ways
        raise InputError(f"{path} cannot be read as a MATLAB file ({error}): download it again.") from None
    if large:
        raise InputError(f"{path}: {large[0]} declares the shape {declared[large[0]]}: the file is not BraVL's.")
    return dict(found)


def _numbers(path: Path, name: str, found: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    if name not in found:
        raise InputError(f"{path} holds no array {name!r}: it is not a file of BraVL's release.")
    values = np.asarray(found[name])
    if values.dtype.kind not in "fiu":
        raise InputError(f"{path}: {name} has type {values.dtype}: it must hold numbers.")
    return values.astype(np.float64)
