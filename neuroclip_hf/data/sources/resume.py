"""A store that is made in parts, so that a process that was killed goes on where it was.

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

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.leftovers import sweep, unfinished_folder
from neuroclip_hf.data.sources.locking import JOB, locked
from neuroclip_hf.data.store_info import StoreInfo
from neuroclip_hf.data.store_layout import STORE_FILE
from neuroclip_hf.data.store_writer import StoreWriter, library_versions
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import LOCK, is_disk_full, new_folder, read_json, refuse_existing, sha256, write_json
from neuroclip_hf.logging import get_logger, progress


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
    """A finished part, as its file says it."""

    name: str
    group: str
    sources: dict[str, str]
    rows: dict[str, int]
    warnings: list[str]
    dropped: list[list[str]] | list[tuple[str, str]]
    repeats: dict[str, int]
    has_covariance: bool


class UnfinishedStore:
    """A store in the making. Use [`unfinished_store`].

    Args:
        folder (`Path`): `.STORE.unfinished`.
        info (`StoreInfo`): of the store.
        source (`Path`): what the names of sources are relative to.
        log (`Path`): a text file that gets a line with the time for each part.
    """

    def __init__(self, folder: Path, info: StoreInfo, source: Path, log: Path) -> None:
        self.folder, self.info, self.source, self.log = folder, info, source, log
        self.records: list[Record] = []
        self._left: list[Record] = list(_read_records(folder / "parts"))
        self._writer: StoreWriter | None = None
        self._blocks = 0

    @property
    def writer(self) -> StoreWriter:
        """The writer, opened where the finished parts end; what an earlier process left beyond them is then gone."""
        if self._writer is None:
            self._writer = self._open_writer()
        return self._writer

    def do(self, parts: Sequence[Part]) -> None:
        """Do all parts that are not done, in order."""
        for group, mine in groupby(parts, key=lambda part: part.group):
            for part in progress(list(mine), desc=group, unit="part"):
                self._do(part)

    def covariance(self, name: str) -> NDArray[np.float64] | None:
        """The noise covariance that a finished part left; None where it left none."""
        place = next((place for place, record in enumerate(self.records) if record.name == name), None)
        if place is None or not self.records[place].has_covariance:
            return None
        found: NDArray[np.float64] = np.load(self._part(place, ".npy"), allow_pickle=False)
        return found

    def shown(self, subject: str, split: str) -> Counter[str]:
        """How often finished parts chose each picture for a subject, also where its epoch could not be cut then."""
        found: Counter[str] = Counter()
        for place, record in enumerate(self.records):
            if record.group == subject:
                table = self._table(place)
                if len(table):
                    found.update(table.loc[table[columns.SPLIT] == split, columns.IMAGE_ID])
                found.update(image_id for where, image_id in record.dropped if where == split)
        return found

    @property
    def warnings(self) -> list[str]:
        """Warnings of all parts."""
        return [warning for record in self.records for warning in record.warnings]

    @property
    def sources(self) -> dict[str, str]:
        """Checksums of all sources by their names."""
        return {name: digest for record in self.records for name, digest in record.sources.items()}

    def close(self) -> None:
        """Close all files; safe to call twice."""
        if self._writer is not None:
            self._writer.close()

    def note(self, text: str) -> None:
        """Add a line with the time to the log; nothing is logged before a part is finished."""
        with self.log.open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC  {text}\n")

    def _do(self, part: Part) -> None:
        sources = {path.relative_to(self.source).as_posix(): sha256(path) for path in part.files}
        if self._left:
            left = self._left.pop(0)
            if (left.name, left.sources) == (part.name, sources):
                self.records.append(left)
                return
            self._left = []
        start, writer = time.monotonic(), self.writer
        scratch = self.folder / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        result = Result(scratch)
        part.run(writer, result)
        self._keep(part, sources, result)
        shutil.rmtree(scratch, ignore_errors=True)
        self.note(f"{part.name}: {time.monotonic() - start:.1f} s")

    def _keep(self, part: Part, sources: dict[str, str], result: Result) -> None:
        place = len(self.records)
        rows = self.writer.sync()
        table, self._blocks = self.writer.trials_from(self._blocks)
        if len(table):
            table.to_parquet(self._part(place, ".parquet"), index=False)
        if result.covariance is not None:
            np.save(self._part(place, ".npy"), result.covariance)
        has_covariance = result.covariance is not None
        said = (result.warnings, result.dropped, result.repeats)
        record = Record(part.name, part.group, sources, rows, *said, has_covariance)
        write_json(self._part(place, ".json"), asdict(record))
        self.records.append(record)
        for warning in result.warnings:
            get_logger().warning(warning)

    def _open_writer(self) -> StoreWriter:
        rows = self.records[-1].rows if self.records else {}
        self._clear(rows)
        writer = StoreWriter(self.folder / "store", self.info)
        if self.records:
            writer.restore(rows, [self._table(place) for place in range(len(self.records))])
            self._blocks = writer.trials_from(0)[1]
            self.note(f"went on after {self.records[-1].name}")
        return writer

    def _clear(self, rows: Mapping[str, int]) -> None:
        """Remove what no finished part left: later parts, and arrays, tables and pictures of the store."""
        for path in (self.folder / "parts").iterdir():
            if not path.stem.isdigit() or int(path.stem) >= len(self.records):
                _remove(path)
        store = self.folder / "store"
        kept = {store / name for name in rows}
        for path in store.iterdir():
            if path.is_file():
                _remove(path)
            else:
                for inner in set(path.iterdir()) - kept:
                    _remove(inner)

    def _table(self, place: int) -> pd.DataFrame:
        return _read_table(self.folder, place)

    def _part(self, place: int, suffix: str) -> Path:
        return self.folder / "parts" / f"{place:04d}{suffix}"


@contextmanager
def unfinished_store(
    out: Path, info: StoreInfo, source: Path, overwrite: bool, depends_on: Any = None
) -> Iterator[UnfinishedStore]:
    """Make a store in parts; it appears under `out` only when it is whole and its splits keep its protocol.

    What an interrupted process left is used if it was started with the same `info`, `depends_on` and versions of the
    libraries, and removed if not. After an error the finished parts stay; where none was finished, nothing stays.

    Args:
        out (`Path`): the store.
        info (`StoreInfo`): what store.json will say; sources and warnings are added.
        source (`Path`): the folder of all sources.
        overwrite (`bool`): replace an existing store.
        depends_on (plain values, *optional*): what every part depends on beside `info` and its sources.

    Raises:
        InputError: if another process is making the same store, or the disk is full.
    """
    path, folder = out.resolve(), unfinished_folder(out)
    with locked(folder, out):
        sweep(out, overwrite)
        _begin(folder, _job(info, depends_on))
        _check_left(folder, info, overwrite)
        store = UnfinishedStore(folder, info, source, path.parent / f"{path.name}.log")
        try:
            yield store
            _finish(store, out, overwrite)
        except OSError as error:
            if is_disk_full(error):
                raise InputError(
                    f"{out} cannot be written: the disk is full; free some space, and start again: what was finished "
                    f"is kept in {folder}."
                ) from None
            raise
        finally:
            store.close()
            _leave(store)


def _begin(folder: Path, job: str) -> None:
    known = read_json(folder / JOB) if (folder / JOB).is_file() else None
    if known != {"job": job} or not (folder / "store").is_dir():
        if known is not None:
            get_logger().warning(
                "%s was left by a preparation with other settings, or by other versions of the libraries: it is "
                "removed, and everything done anew.",
                folder,
            )
        _empty(folder)
        write_json(folder / JOB, {"job": job})
    for name in ("parts", "store"):
        (folder / name).mkdir(exist_ok=True)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != LOCK:
            _remove(path)


def _check_left(folder: Path, info: StoreInfo, overwrite: bool) -> None:
    """Whether one can go on from what was left; what is damaged goes where the store may be overwritten."""
    records = list(_read_records(folder / "parts"))
    if not records:
        return
    get_logger().info("%s keeps %d finished parts; going on after them.", folder, len(records))
    writer = StoreWriter(folder / "store", info)
    try:
        writer.restore(records[-1].rows, [_read_table(folder, place) for place in range(len(records))])
    except (OSError, ValueError) as error:
        if not overwrite:
            raise InputError(
                f"{folder} is damaged ({error}): remove it, or pass --overwrite, and start again."
            ) from None
        get_logger().warning("%s is damaged (%s): it is removed, and everything done anew.", folder, error)
        for name in ("parts", "store"):
            _empty(folder / name)
    finally:
        writer.close()


def discard_finished(out: Path) -> None:
    """Remove what was left beside a store that is whole: its process was killed between its last two steps.

    Raises:
        InputError: if another process is making the store anew.
    """
    folder = unfinished_folder(out)
    if folder.is_dir():
        with locked(folder, out):
            shutil.rmtree(folder, ignore_errors=True)


def _job(info: StoreInfo, depends_on: Any) -> str:
    content = [info.to_dict(), library_versions(), depends_on]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _finish(store: UnfinishedStore, out: Path, overwrite: bool) -> None:
    writer = store.writer
    warnings = [*store.info.warnings, *store.warnings]
    writer.info = replace(store.info, sources=store.sources, warnings=warnings)
    writer.finish()
    refuse_existing(out, overwrite, STORE_FILE)  # it may have appeared in the meantime
    path, made = out.resolve(), store.folder / "store"
    if path.exists():
        with new_folder(out, overwrite, STORE_FILE) as empty:
            empty.rmdir()
            made.rename(empty)
    else:
        made.rename(path)
    store.note("finished")
    shutil.rmtree(store.folder, ignore_errors=True)


def _leave(store: UnfinishedStore) -> None:
    """Keep finished parts for another start; a folder without any is removed."""
    if not store.folder.exists():
        return
    if store.records or store._left:
        get_logger().warning(
            "%s keeps the %d parts that were finished: the same command goes on after them.",
            store.folder,
            len(store.records) or len(store._left),
        )
    else:
        shutil.rmtree(store.folder, ignore_errors=True)


def _read_records(folder: Path) -> Iterator[Record]:
    """Records of finished parts up to the first that is missing or cannot be read."""
    for place in range(len(list(folder.iterdir()))):
        try:
            yield Record(**read_json(folder / f"{place:04d}.json"))
        except (InputError, TypeError):
            return


def _read_table(folder: Path, place: int) -> pd.DataFrame:
    path = folder / "parts" / f"{place:04d}.parquet"
    return pd.read_parquet(path) if path.is_file() else pd.DataFrame()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        with suppress(FileNotFoundError):
            path.unlink()
