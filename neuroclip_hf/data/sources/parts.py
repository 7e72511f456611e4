"""The parts of a store in the making, and how they lie on disk.

Beside the output `STORE` stands, until the store is whole, the folder `.STORE.unfinished`:

```
job.json      a digest of everything that the store's bytes depend on, but for the sources
lock          held by the process that works here
store/        the store as far as it is
parts/        one record a finished part: 0000.json (name, checksums of its sources, rows of every array, warnings),
              0000.parquet (its trials), 0000.npy (its noise covariance); the .json is written last
scratch/      what only the running part needs
```

A part counts once its record is there. What an interrupted one left behind it is cut off, and the part done again.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroclip_hf.data.leftovers import PARTS
from neuroclip_hf.data.store_writer import StoreWriter
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import LOCK, read_json

JOB = "job.json"
STORE, SCRATCH = "store", "scratch"
LEFT = (JOB, STORE, PARTS, SCRATCH)
"""What a preparation leaves in its folder, beside the lock."""


@dataclass(frozen=True)
class Part:
    """A piece of work that is done once.

    Args:
        name (`str`): its own among the parts.
        group (`str`): what its progress bar is called: the subject.
        files (`tuple` of `Path`): sources that it reads; it is done again when one of them has changed.
        run (callable): does it, with the writer of the store and a [`Result`] to fill.
    """

    name: str
    group: str
    files: tuple[Path, ...]
    run: Callable[[StoreWriter, "Result"], None]


@dataclass
class Result:
    """What a part leaves beside trials.

    Args:
        scratch (`Path`): a folder for what only this part needs.
        warnings (`list` of `str`): what had to be left out.
        dropped (`list`): (split, image id) of every epoch that could not be cut.
        repeats (`dict`): split -> how often a session showed most of its pictures.
        covariance (`numpy.ndarray`, *optional*): the noise covariance of a session, (channels, channels).
    """

    scratch: Path
    warnings: list[str] = field(default_factory=list)
    dropped: list[tuple[str, str]] = field(default_factory=list)
    repeats: dict[str, int] = field(default_factory=dict)
    covariance: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Record:
    """A finished part, as its file says it.

    Args:
        name, group (`str`): of the [`Part`].
        sources (`dict`): the names of its files, relative to the folder of all sources -> sha256.
        rows (`dict`): array of the store -> how many rows it had afterwards.
        warnings, dropped, repeats: of its [`Result`].
        has_covariance (`bool`): whether it left one.
    """

    name: str
    group: str
    sources: dict[str, str]
    rows: dict[str, int]
    warnings: list[str]
    dropped: list[list[str]]
    repeats: dict[str, int]
    has_covariance: bool


def part_file(folder: Path, place: int, suffix: str) -> Path:
    """A file of the part that was finished as number `place`, counted from 0."""
    return folder / PARTS / f"{place:04d}{suffix}"


def read_records(folder: Path) -> Iterator[Record]:
    """Records of finished parts up to the first that is missing or cannot be read."""
    for place in range(len(list((folder / PARTS).iterdir()))):
        try:
            yield Record(**read_json(part_file(folder, place, ".json")))
        except (InputError, TypeError):
            return


def read_part_table(folder: Path, place: int) -> pd.DataFrame:
    """Trials of a finished part; empty where it has none."""
    path = part_file(folder, place, ".parquet")
    return pd.read_parquet(path) if path.is_file() else pd.DataFrame()


def empty(folder: Path) -> None:
    """Remove all that a folder holds, but for its lock."""
    for path in folder.iterdir():
        if path.name != LOCK:
            remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder; what a link points to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        with suppress(FileNotFoundError):
            path.unlink()
