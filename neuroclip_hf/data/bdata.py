"""Reads and writes brain data in the HDF5 format of bdpy's `BData`, as bdpy 0.26 does, with h5py alone.

The format: `/dataset` is one matrix of 64-bit floats, a row a trial. Its columns are named by `/metadata`: every key
has a description and a row of `value`, as long as the matrix is wide. A row is 1 where a column belongs to the key, or
any number that the key tells of a column, and NaN where the key does not apply. `/header` holds texts; `/vmap`, which
could name values, is empty. Older files spell the two `/dataSet` and `/metaData`; both are read.

bdpy itself loads the whole matrix as float64, and takes what a file declares on trust. Here a file is looked at first,
and its rows are read block by block.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from neuroclip_hf.errors import InputError

BLOCK = 256
"""Rows that are read at once (ours)."""

_MATRIX, _METADATA = ("dataset", "dataSet"), ("metadata", "metaData")
_MOST_COMPRESSED = 1100  # times: zlib cannot do better than 1032


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


class BData:
    """An open file: its keys, and its matrix block by block. Use [`open_bdata`].

    Args:
        path (`Path`): the file, for messages.
        matrix (an h5py dataset): (rows, columns).
        metadata (`dict`): key -> (columns,) floats.
        header (`dict`): texts by name.
    """

    def __init__(self, path: Path, matrix: Any, metadata: dict[str, np.ndarray], header: dict[str, str]) -> None:
        self.path = path
        self.metadata = metadata
        self.header = header
        self._matrix = matrix

    @property
    def rows(self) -> int:
        """Trials of the matrix."""
        return int(self._matrix.shape[0])

    def values(self, key: str) -> np.ndarray:
        """What a key says of every column: (columns,) floats, NaN where it does not apply.

        Raises:
            InputError: if the file does not have it.
        """
        if key not in self.metadata:
            raise InputError(
                f"{self.path} has no key {key!r} in its metadata: it has {', '.join(self.metadata) or 'none'}."
            )
        return self.metadata[key]

    def marked(self, key: str) -> np.ndarray:
        """Which columns belong to a key: (columns,) bools.

        Raises:
            InputError: if the file does not have the key.
        """
        return np.asarray(self.values(key) == 1)

    def column(self, key: str) -> np.ndarray:
        """The first column that belongs to a key, as (rows,) float64.

        Raises:
            InputError: if the file does not have the key, it has no column, or the file is damaged there.
        """
        places = np.flatnonzero(self.marked(key))
        if not len(places):
            raise InputError(f"{self.path}: no column of the matrix belongs to {key!r}: the file is not complete.")
        return self._read(slice(0, self.rows), int(places[0]))

    def blocks(self, columns: np.ndarray, size: int = BLOCK) -> Iterator[tuple[int, np.ndarray]]:
        """Rows of some columns, as (number of the first row, (rows, columns) float64).

        Args:
            columns (`numpy.ndarray`): (columns of the matrix,) bools.
            size (`int`): rows that are read at once.

        Raises:
            InputError: if the file is damaged.
        """
        for start in range(0, self.rows, size):
            yield start, self._read(slice(start, min(start + size, self.rows)), slice(None))[:, columns]

    def _read(self, rows: slice, columns: int | slice) -> np.ndarray:
        try:
            return np.asarray(self._matrix[rows, columns], dtype=np.float64)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"{self.path} cannot be read in rows {rows.start} to {rows.stop} ({error}): download it again."
            ) from None


@contextmanager
def open_bdata(path: str | Path) -> Iterator[BData]:
    """Open a file for reading.

    Raises:
        InputError: if it is missing, truncated, no HDF5, not of this format, points at other files, or declares more
            than it holds.
    """
    path = Path(path)
    h5py = require_h5py()
    if not path.is_file():
        raise InputError(f"{path} does not exist: correct the path.")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(
            f"{path} cannot be opened as HDF5 ({error}): download it again, or name another file."
        ) from None
    with file:
        try:
            matrix, metadata, header = _contents(path, file)
        except (OSError, RuntimeError, KeyError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is damaged ({error}): download it again.") from None
        yield BData(path, matrix, metadata, header)


def _contents(path: Path, file: Any) -> tuple[Any, dict[str, np.ndarray], dict[str, str]]:
    matrix_name = next((name for name in _MATRIX if name in file), None)
    table_name = next((name for name in _METADATA if name in file), None)
    if matrix_name is None or table_name is None:
        held = ", ".join(list(file)[:5]) or "nothing"
        raise InputError(
            f"{path} is HDF5, but not in bdpy's format (no {_MATRIX[0]} and {_METADATA[0]}; it holds {held}): name "
            "another file."
        )
    matrix = _dataset(path, file, matrix_name, 2)
    keys = [_text(key) for key in _dataset(path, file, f"{table_name}/key", 1)[()].tolist()]
    values = _dataset(path, file, f"{table_name}/value", 2)
    if values.shape != (len(keys), matrix.shape[1]):
        raise InputError(
            f"{path}: the metadata has shape {values.shape}: {len(keys)} keys and a matrix of {matrix.shape[1]} "
            f"columns need ({len(keys)}, {matrix.shape[1]})."
        )
    told = np.asarray(values[()], dtype=np.float64)
    header = {}
    for name in file.get("header", ()):
        found = _dataset(path, file, f"header/{name}")
        if found.shape == ():
            header[name] = _text(found[()])
    return matrix, dict(zip(keys, told, strict=True)), header


def _dataset(path: Path, file: Any, name: str, dimensions: int | None = None) -> Any:
    """A dataset that lies in this file and holds what it declares."""
    h5py = require_h5py()
    group = file
    for part in name.split("/"):
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise InputError(f"{path}: {name} is missing, or a link to elsewhere: such files are not read.")
        group = group[part]
    found = group
    if not isinstance(found, h5py.Dataset) or (dimensions is not None and found.ndim != dimensions):
        shape = getattr(found, "shape", "no shape")
        raise InputError(f"{path}: {name} is no array of {dimensions} dimensions (it has {shape}): name another file.")
    if found.external or found.is_virtual:
        raise InputError(f"{path}: {name} lies in another file: such files are not read.")
    declared, held = found.size * found.dtype.itemsize, found.id.get_storage_size()
    if dimensions == 2 and (found.dtype.kind not in "fiu" or not found.size):
        raise InputError(f"{path}: {name} has type {found.dtype} and shape {found.shape}: it must hold numbers.")
    if declared > _MOST_COMPRESSED * max(held, 1) or (declared > held and not found.chunks):
        raise InputError(
            f"{path}: {name} declares {declared:,} bytes of shape {found.shape}, and holds {held:,}: the file is not "
            "complete; download it again."
        )
    return found


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


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
