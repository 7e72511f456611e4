"""The arrays of a trial store: which row of which file a trial is, mapped from the disk."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.store_layout import TRIALS_FILE, array_name
from neuroclip_hf.errors import InputError


class TrialArrays:
    """float16 arrays `(trials, channels, samples)` or `(trials, voxels)`, one a subject and split.

    Args:
        path (`Path`): the store's folder.
        trials (`pandas.DataFrame`): its trial table.
        trial_shape (`tuple` of `int`): of one trial.

    Raises:
        InputError: if an array is missing, or does not fit the trial table.
    """

    def __init__(self, path: Path, trials: pd.DataFrame, trial_shape: tuple[int, ...]) -> None:
        self._path, self._trial_shape = path, trial_shape
        groups = trials.groupby([columns.SUBJECT, columns.SPLIT])
        self._file_of: NDArray[np.int64] = groups.ngroup().to_numpy(np.int64)
        self._row_of: NDArray[np.int64] = trials[columns.ROW].to_numpy(np.int64)
        self._files = [path / array_name(str(subject), str(split)) for subject, split in groups.groups]
        self._check()

    def rows(self, trials: Sequence[int] | NDArray[np.int64]) -> list[NDArray[np.float16]]:
        """Trials by their rows of the trial table, on the disk until they are looked at.

        Raises:
            InputError: for a row that the table does not have.
        """
        files, rows = self._places(trials)
        return [self._mapped[file][row] for file, row in zip(files.tolist(), rows.tolist(), strict=True)]

    def copy(self, trials: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float16]:
        """The same in one array, `(trials, channels, samples)` or `(trials, voxels)`; read file by file.

        Raises:
            InputError: for a row that the table does not have.
        """
        files, rows = self._places(trials)
        used = np.unique(files)
        if len(used) == 1:
            return self._mapped[used[0]][rows]
        values = np.empty((len(rows), *self._trial_shape), dtype=np.float16)
        for file in used:
            mine = np.flatnonzero(files == file)
            values[mine] = self._mapped[file][rows[mine]]
        return values

    def __getstate__(self) -> dict[str, Any]:
        # A pickled memory map would carry the whole array to a worker.
        return {name: value for name, value in self.__dict__.items() if name != "_mapped"}

    def _places(self, trials: Sequence[int] | NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        wanted = np.asarray(trials, dtype=np.int64)
        outside = wanted[(wanted < 0) | (wanted >= len(self._row_of))]
        if outside.size:
            raise InputError(
                f"{self._path} holds {len(self._row_of)} trials, counted from 0, and trial {outside[0]} was asked for."
            )
        return self._file_of[wanted], self._row_of[wanted]

    @cached_property
    def _mapped(self) -> list[NDArray[np.float16]]:
        # Plain views: a row of a `numpy.memmap` would cost more than its bytes.
        return [np.asarray(load_array(path, "r")) for path in self._files]

    def _check(self) -> None:
        for file, (path, array) in enumerate(zip(self._files, self._mapped, strict=True)):
            rows = np.sort(self._row_of[self._file_of == file])
            subject, split = path.parent.name, path.stem
            if not np.array_equal(rows, np.arange(len(rows))):
                raise InputError(
                    f"{self._path / TRIALS_FILE} misses rows of {subject}, {split}: make the store again."
                )
            expected = (len(rows), *self._trial_shape)
            if array.shape != expected or array.dtype != np.float16:
                raise InputError(
                    f"{path} has shape {array.shape} and type {array.dtype}, but the trial table asks for {expected} "
                    "and float16: make the store again."
                )


def load_array(path: Path, mmap_mode: Literal["r"] | None = None) -> NDArray[Any]:
    """Read or map a .npy file of a store.

    Raises:
        InputError: if it is missing or damaged.
    """
    try:
        return np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} cannot be read ({error}): make the store again.") from None


def array_groups(trials: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Subject, split and their trials in the order of the array; subjects and splits in the order of a reader."""
    for subject in dict.fromkeys(trials[columns.SUBJECT]):
        mine = trials[trials[columns.SUBJECT] == subject]
        for split in columns.SPLITS:
            group = mine[mine[columns.SPLIT] == split]
            if len(group):
                yield subject, split, group.sort_values(columns.ROW, kind="stable")


def read_blocks(
    path: Path, rows: range, size: int, shape: tuple[int, ...]
) -> Iterator[tuple[int, NDArray[np.float16]]]:
    """Number of the first row, and rows of a store's array; read rather than mapped, so that memory stays small."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    row_bytes = array.strides[0] if len(array) > 1 else array.nbytes
    with path.open("rb") as file:
        file.seek(array.offset + rows.start * row_bytes)
        for start in range(rows.start, rows.stop, size):
            count = min(size, rows.stop - start)
            block = np.fromfile(file, dtype="<f2", count=count * int(np.prod(shape)))
            yield start, block.reshape(count, *shape)


def trial_digest(trial: NDArray[np.float16]) -> str:
    """What tells a trial from others, however it is called: sixteen hexadecimal digits of BLAKE2b of its numbers."""
    return hashlib.blake2b(trial.tobytes(), digest_size=8).hexdigest()
