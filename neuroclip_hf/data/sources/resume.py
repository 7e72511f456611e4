"""A store that is made in parts, so that a process that was killed goes on where it was.

How it lies on disk: [`neuroclip_hf.data.sources.parts`].
"""

import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data._threads import one_blas_thread
from neuroclip_hf.data.leftovers import PARTS, sweep, unfinished_folder
from neuroclip_hf.data.sources.going_on import begin, check_left, job_of
from neuroclip_hf.data.sources.parts import (
    LEFT,
    SCRATCH,
    STORE,
    Part,
    Record,
    Result,
    part_file,
    read_part_table,
    read_records,
    remove,
)
from neuroclip_hf.data.store_info import StoreInfo
from neuroclip_hf.data.store_layout import STORE_FILE
from neuroclip_hf.data.store_writer import StoreWriter
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import (
    is_disk_full,
    locked_folder,
    new_folder,
    refuse_existing,
    sha256,
    write_array,
    write_json,
)
from neuroclip_hf.logging import get_logger, progress


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
        self._left: list[Record] = list(read_records(folder))
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
        found: NDArray[np.float64] = np.load(part_file(self.folder, place, ".npy"), allow_pickle=False)
        return found

    def shown(self, subject: str, split: str) -> Counter[str]:
        """How often finished parts chose each picture for a subject, also where its epoch could not be cut then."""
        found: Counter[str] = Counter()
        for place, record in enumerate(self.records):
            if record.group == subject:
                table = read_part_table(self.folder, place)
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

    @property
    def finished_parts(self) -> int:
        """How many parts the next start need not do again."""
        return len(self.records) or len(self._left)

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
        scratch = self.folder / SCRATCH
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
            table.to_parquet(part_file(self.folder, place, ".parquet"), index=False)
        if result.covariance is not None:
            write_array(part_file(self.folder, place, ".npy"), result.covariance)
        has_covariance = result.covariance is not None
        said = (result.warnings, [list(one) for one in result.dropped], result.repeats)
        record = Record(part.name, part.group, sources, rows, *said, has_covariance)
        write_json(part_file(self.folder, place, ".json"), asdict(record))
        self.records.append(record)
        for warning in result.warnings:
            get_logger().warning(warning)

    def _open_writer(self) -> StoreWriter:
        rows = self.records[-1].rows if self.records else {}
        self._clear(rows)
        writer = StoreWriter(self.folder / STORE, self.info)
        if self.records:
            writer.restore(rows, [read_part_table(self.folder, place) for place in range(len(self.records))])
            self._blocks = writer.trials_from(0)[1]
            self.note(f"went on after {self.records[-1].name}")
        return writer

    def _clear(self, rows: Mapping[str, int]) -> None:
        """Remove what no finished part left: later parts, and arrays, tables and pictures of the store."""
        for path in (self.folder / PARTS).iterdir():
            if not path.stem.isdigit() or int(path.stem) >= len(self.records):
                remove(path)
        store = self.folder / STORE
        kept = {store / name for name in rows}
        for path in store.iterdir():
            if path.is_file():
                remove(path)
            else:
                for inner in set(path.iterdir()) - kept:
                    remove(inner)


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
    with one_blas_thread(), locked_folder(folder, out, LEFT, "preparation"):
        sweep(out, overwrite)
        begin(folder, job_of(info, depends_on))
        check_left(folder, info, overwrite)
        store = UnfinishedStore(folder, info, source, path.parent / f"{path.name}.log")
        try:
            yield store
            _finish(store, out, overwrite)
        except OSError as error:
            if is_disk_full(error):
                kept = f": what was finished is kept in {folder}" if store.finished_parts else ""
                raise InputError(
                    f"{out} cannot be written: the disk is full; free some space, and start again{kept}."
                ) from None
            raise
        finally:
            store.close()
            _leave(store)


def discard_finished(out: Path) -> None:
    """Remove what was left beside a store that is whole: its process was killed between its last two steps.

    Raises:
        InputError: if another process is making the store anew.
    """
    folder = unfinished_folder(out)
    if folder.is_dir():
        with locked_folder(folder, out, LEFT, "preparation"):
            shutil.rmtree(folder, ignore_errors=True)


def _finish(store: UnfinishedStore, out: Path, overwrite: bool) -> None:
    writer = store.writer
    warnings = [*store.info.warnings, *store.warnings]
    writer.info = replace(store.info, sources={**store.info.sources, **store.sources}, warnings=warnings)
    writer.finish()
    refuse_existing(out, overwrite, STORE_FILE)  # it may have appeared in the meantime
    path, made = out.resolve(), store.folder / STORE
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
    if store.finished_parts:
        get_logger().warning(
            "%s keeps the %d parts that were finished: the same command goes on after them.",
            store.folder,
            store.finished_parts,
        )
    else:
        shutil.rmtree(store.folder, ignore_errors=True)
