"""The arrays of a trial store: which row of which file a trial is, mapped from the disk."""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data._threads import share_out
from neuroclip_hf.data.halves import one_thread_in_each
from neuroclip_hf.data.store_layout import TRIALS_FILE, array_name
from neuroclip_hf.errors import InputError

BLOCK_NUMBERS = 1 << 18
"""Numbers converted at once (ours): 1.5 MB as float16 and float32, which stay in a processor's cache in between."""
COPIED_NUMBERS = 1 << 20
"""Numbers copied at once (ours): threads that change places after a block cost time, and no cache asks for less."""

Block = tuple[int, slice | NDArray[np.int64]]


class TrialArrays:
    """float16 arrays `(trials, channels, samples)` or `(trials, voxels)`, one a subject and split.

    Args:
        path (`Path`): the store's folder.
        trials (`pandas.DataFrame`): its trial table.
        shapes (mapping): subject -> shape of one trial. Trials of different shapes cannot be read together.

    Raises:
        InputError: if an array is missing, or does not fit the trial table.
    """

    def __init__(self, path: Path, trials: pd.DataFrame, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._path = path
        groups = trials.groupby([columns.SUBJECT, columns.SPLIT])
        self._file_of: NDArray[np.int64] = groups.ngroup().to_numpy(np.int64)
        self._row_of: NDArray[np.int64] = trials[columns.ROW].to_numpy(np.int64)
        self._files = [path / array_name(str(subject), str(split)) for subject, split in groups.groups]
        self._subjects = [str(subject) for subject, _ in groups.groups]
        self._shapes = [shapes[subject] for subject in self._subjects]
        self._check()

    def subjects_of(self, trials: Sequence[int] | NDArray[np.int64]) -> list[str]:
        """Whose trials these rows of the trial table are, each subject once.

        Raises:
            InputError: for a row that the table does not have.
        """
        files, _ = self._places(trials)
        return list(dict.fromkeys(self._subjects[file] for file in np.unique(files)))

    def copy(self, trials: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float16]:
        """Trials by their rows of the trial table, `(trials, channels, samples)` or `(trials, voxels)`.

        Raises:
            InputError: for a row that the table does not have.
        """
        files, rows = self._places(trials)
        shape = self._shape_of(files)
        values = np.empty((len(rows), *shape), dtype=np.float16)

        def copy(blocks: Iterable[Block]) -> None:
            for file, places in blocks:
                if isinstance(places, slice):
                    _take(self._mapped[file], rows[places], values[places])
                else:
                    values[places] = self._mapped[file][rows[places]]

        share_out(copy, self._blocks(files, _trials_of(COPIED_NUMBERS, shape)))
        return values

    def convert(
        self,
        trials: Sequence[int] | NDArray[np.int64],
        write: Callable[[str, NDArray[np.float16], NDArray[np.float32]], object],
    ) -> NDArray[np.float32]:
        """The same in float32, as `write(subject, stored, out)` makes them of a few trials at a time, in threads.

        Raises:
            InputError: for a row that the table does not have.
        """
        files, rows = self._places(trials)
        shape = self._shape_of(files)
        size = _trials_of(BLOCK_NUMBERS, shape)
        values = np.empty((len(rows), *shape), dtype=np.float32)

        def convert(blocks: Iterable[Block]) -> None:
            with one_thread_in_each():
                stored = np.empty((min(size, len(rows)), *shape), dtype=np.float16)
                for file, places in blocks:
                    mine, subject = rows[places], self._subjects[file]
                    _take(self._mapped[file], mine, stored[: len(mine)])
                    if isinstance(places, slice):
                        write(subject, stored[: len(mine)], values[places])
                    else:
                        converted = np.empty((len(mine), *shape), dtype=np.float32)
                        write(subject, stored[: len(mine)], converted)
                        values[places] = converted

        share_out(convert, self._blocks(files, size))
        return values

    def __getstate__(self) -> dict[str, Any]:
        # A pickled memory map would carry the whole array to a worker.
        return {name: value for name, value in self.__dict__.items() if name != "_mapped"}

    def _places(self, trials: Sequence[int] | NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        wanted = np.asarray(trials)
        if wanted.ndim != 1 or (wanted.size and wanted.dtype.kind not in "iu"):
            raise InputError(
                f"trials were asked for by {wanted.dtype} of shape {wanted.shape}: name rows of the trial table as a "
                "list of whole numbers, such as numpy.flatnonzero of a mask."
            )
        wanted = wanted.astype(np.int64)
        outside = wanted[(wanted < 0) | (wanted >= len(self._row_of))]
        if outside.size:
            raise InputError(
                f"{self._path} holds {len(self._row_of)} trials, counted from 0, and trial {outside[0]} was asked for."
            )
        return self._file_of[wanted], self._row_of[wanted]

    def _shape_of(self, files: NDArray[np.int64]) -> tuple[int, ...]:
        """Of the trials of some files, which have one; without files, that of the first subject."""
        shapes = dict.fromkeys(self._shapes[file] for file in np.unique(files))
        if len(shapes) > 1:
            raise InputError(f"{self._path}: trials of {' and '.join(map(str, shapes))} cannot be read together.")
        return next(iter(shapes or self._shapes), ())

    @staticmethod
    def _blocks(files: NDArray[np.int64], size: int) -> list[Block]:
        """A file, and which of the trials that were asked for lie in it, up to `size` at a time."""
        used = np.unique(files)
        if len(used) == 1:  # a slice can be written to where it belongs at once
            return [(int(used[0]), slice(start, start + size)) for start in range(0, len(files), size)]
        mine = {int(file): np.flatnonzero(files == file) for file in used}
        return [
            (file, places[start : start + size])
            for file, places in mine.items()
            for start in range(0, len(places), size)
        ]

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
            expected = (len(rows), *self._shapes[file])
            if array.shape != expected or array.dtype != np.float16:
                raise InputError(
                    f"{path} has shape {array.shape} and type {array.dtype}, but the trial table asks for {expected} "
                    "and float16: make the store again."
                )


def _trials_of(numbers: int, shape: tuple[int, ...]) -> int:
    return max(1, numbers // max(1, math.prod(shape)))


def _take(array: NDArray[np.float16], rows: NDArray[np.int64], out: NDArray[np.float16]) -> None:
    if array.flags.c_contiguous:
        np.take(array, rows, axis=0, out=out, mode="clip")  # "raise" would fill a buffer first
    else:  # of which `take` would copy everything first
        out[...] = array[rows]


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
