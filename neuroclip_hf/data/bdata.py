"""Writes brain data in the HDF5 format of bdpy's `BData`, as bdpy 0.26 reads it, with h5py alone.

The format: `/dataset` is one matrix of 64-bit floats, a row a trial. Its columns are named by `/metadata`: every key
has a description and a row of `value`, as long as the matrix is wide. A row is 1 where a column belongs to the key, or
any number that the key tells of a column, and NaN where the key does not apply. `/header` holds texts; `/vmap`, which
could name values, is empty.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from neuroclip_hf.errors import InputError


@dataclass(frozen=True)
class MetadataRow:
    """What a key says about the columns.

    Args:
        key, description (`str`): its name, and what it means.
        values (`numpy.ndarray`): (columns,) floats, NaN where the key does not apply.
    """

    key: str
    description: str
    values: np.ndarray


def require_h5py() -> Any:
    """The library h5py.

    Raises:
        InputError: if it is not installed.
    """
    try:
        return import_module("h5py")
    except ImportError:
        raise InputError(
            "fMRI data in HDF5 needs h5py, which is not installed: run pip install 'neuroclip-hf[fmri]'."
        ) from None


@contextmanager
def new_bdata(path: Path, trials: int, metadata: Sequence[MetadataRow], header: Mapping[str, str]) -> Iterator[Any]:
    """Make a file and yield its matrix, an h5py dataset (trials, columns) that takes rows by assignment.

    Equal contents give equal bytes: no times are stored, and keys and texts have a fixed width.

    Args:
        path (`Path`): the file to make.
        trials (`int`): rows of the matrix.
        metadata (`Sequence` of [`MetadataRow`]): what is known of the columns, all equally long.
        header (`Mapping`): texts by name.
    """
    h5py = require_h5py()
    values = np.stack([row.values for row in metadata]).astype(np.float64)
    with h5py.File(path, "w") as file:
        table = file.create_group("metadata")
        table.create_dataset("key", data=_texts([row.key for row in metadata]), track_times=False)
        table.create_dataset("description", data=_texts([row.description for row in metadata]), track_times=False)
        table.create_dataset("value", data=values, track_times=False)
        texts = file.create_group("header")
        for name, text in header.items():
            texts.create_dataset(name, data=np.bytes_(text.encode()), track_times=False)
        file.create_group("vmap")
        yield file.create_dataset("dataset", (trials, values.shape[1]), np.float64, track_times=False)


def _texts(texts: Sequence[str]) -> np.ndarray:
    return np.array([text.encode() for text in texts], dtype=np.bytes_)
