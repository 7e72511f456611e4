"""`neuroclip import`: an exported store -> the same store, byte by byte."""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from neuroclip_hf import columns
from neuroclip_hf.data.leftovers import sweep
from neuroclip_hf.data.parquet import layout
from neuroclip_hf.data.parquet.layout import EXPORT_FILE, ExportInfo, read_export_info
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_info import WITHOUT_PICTURES, StoreInfo, read_store_info, write_store_info
from neuroclip_hf.data.store_layout import (
    PICTURE_COLUMNS,
    PICTURES_FILE,
    PICTURES_FOLDER,
    STORE_FILE,
    is_inside,
    is_picture,
)
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import new_folder, refuse_existing, sha256
from neuroclip_hf.logging import get_logger, progress


def import_store(
    export: str | Path, out: str | Path, *, pictures: str | Path | None = None, overwrite: bool = False
) -> Path:
    """Rebuild the trial store that an export was made from; every file is compared with the store's checksums.

    An export without pictures gives the same store if `pictures` names a folder that has them. Otherwise it gives
    another store (another fingerprint) that says so in its warnings: its trials can be read, and whatever opens a
    picture is told which file is missing.

    Args:
        export (path): folder that `neuroclip export` made.
        out (path): the store.
        pictures (path, *optional*): folder of the pictures, named as in the store's `pictures` folder.
        overwrite (`bool`): replace an existing store.

    Raises:
        InputError: naming the file of the export that is missing, damaged or not of this format, or a folder of
            pictures that is not there; nothing is left under `out`.
    """
    refuse_existing(out, overwrite, STORE_FILE)
    if pictures is not None and not Path(pictures).is_dir():
        raise InputError(
            f"--pictures {pictures}: there is no such folder; name the one that has the store's pictures."
        )
    sweep(Path(out), overwrite)
    with new_folder(out, overwrite, STORE_FILE) as folder:
        rebuild = _Rebuild.open(Path(export), folder)
        rebuild.copy_files()
        with progress(total=len(rebuild.info.shards), desc="arrays", unit="array") as bar:
            for name in rebuild.info.shards:
                rebuild.write_array(name)
                bar.update()
        rebuild.write_pictures(None if pictures is None else Path(pictures))
        TrialStore(folder)  # refuses tables that lead outside the store or do not fit the arrays
    return Path(out)


@dataclass(frozen=True)
class _Rebuild:
    """A store on its way back from an export: which files it needs, where they come from, and what each must be.

    Every method writes some of the store's files and compares each with the store's own checksum.

    Args:
        export (`Path`): the folder that `neuroclip export` made.
        folder (`Path`): where the store is put together, under a temporary name.
        info (`ExportInfo`): what the export says of itself: its shards, its other files, whether pictures are in it.
        store_info (`StoreInfo`): what the store.json in the export says, checksums included.
    """

    export: Path
    folder: Path
    info: ExportInfo
    store_info: StoreInfo

    @classmethod
    def open(cls, export: Path, folder: Path) -> "_Rebuild":
        """Read what an export says, and refuse one that lacks a file of the store; nothing is written."""
        info = read_export_info(export)
        path = export / layout.STORE / STORE_FILE
        if not path.is_file() or sha256(path) != info.digest:
            raise InputError(f"{path} is missing or has changed since the export: export again.")
        store_info = read_store_info(path.parent)
        made = cls(export, folder, info, store_info)
        missing = set(store_info.checksums) - set(info.files) - set(info.shards)
        missing = {name for name in missing if not is_picture(name)}
        if missing:
            raise InputError(f"{export / EXPORT_FILE} lacks {min(missing)}: export again.")
        return made

    def copy_files(self) -> None:
        """Tables and other small files."""
        for name in (*self.info.files, STORE_FILE):
            source, target = self.export / layout.STORE / name, self.folder / name
            if not source.is_file():
                raise InputError(f"{source} is missing: export again.")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            if name != STORE_FILE:
                self._check(name, sha256(target), source)

    def write_array(self, name: str) -> None:
        """One array of the store, from its shards."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shards = [self.export / shard for shard in self.info.shards[name]]
        digest = hashlib.sha256()
        with target.open("wb") as file:
            header = self._header(name)
            file.write(header)
            digest.update(header)
            for shard in shards:
                for batch in read_parquet(shard, [layout.VALUES[self.store_info.modality]]):
                    values = layout.values_of(batch, self.store_info.modality)
                    file.write(values.data)
                    digest.update(values.data)
        self._check(name, digest.hexdigest(), *shards)

    def write_pictures(self, folder: Path | None) -> None:
        """The pictures' files: from the export, or from a folder where it has none."""
        if self.info.images:
            self._write_exported_pictures()
            return
        if folder is not None:
            self._write_pictures_of(folder)
            warnings = [one for one in self.store_info.warnings if one != WITHOUT_PICTURES]
        else:
            get_logger().warning(
                "The export holds no pictures, so that this is another store than the original and trains no model "
                "that looks at pictures: name their folder with --pictures."
            )
            warnings = list(dict.fromkeys([*self.store_info.warnings, WITHOUT_PICTURES]))
        if warnings != self.store_info.warnings:
            write_store_info(self.folder, replace(self.store_info, warnings=warnings))

    def _write_exported_pictures(self) -> None:
        expected = {name for name in self.store_info.checksums if is_picture(name)}
        for shard in self.info.pictures:
            for batch in read_parquet(self.export / shard, [columns.PICTURE_FILE, layout.IMAGE]):
                for row in batch.to_pylist():
                    self._write_picture(row, self.export / shard)
                    expected.discard(row[columns.PICTURE_FILE])
        if expected:
            raise InputError(f"{self.export / layout.PICTURES} lacks {min(expected)}: export again.")

    def _write_picture(self, row: dict[str, Any], shard: Path) -> None:
        name, image = row[columns.PICTURE_FILE], row[layout.IMAGE] or {}
        content = image.get("bytes") or b""
        target = self._picture_path(name, shard)
        self._check(name, hashlib.sha256(content).hexdigest(), shard)
        target.write_bytes(content)

    def _write_pictures_of(self, folder: Path) -> None:
        table = pq.read_table(self.folder / PICTURES_FILE, columns=list(PICTURE_COLUMNS))
        for name in table.column(columns.PICTURE_FILE).to_pylist():
            source = folder / name.removeprefix(f"{PICTURES_FOLDER}/")
            target = self._picture_path(name, self.folder / PICTURES_FILE)
            if not source.is_file():
                raise InputError(f"{source} is missing: --pictures must have every picture of the store.")
            shutil.copyfile(source, target)
            if self.store_info.checksums.get(name) != sha256(target):
                raise InputError(f"{source} is not the picture of the store: get the same version of it.")

    def _picture_path(self, name: str, origin: Path) -> Path:
        if not isinstance(name, str) or not is_picture(name) or not is_inside(name):
            raise InputError(f"{origin} names the picture {name!r}, outside the store: do not use this export.")
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _header(self, name: str) -> bytes:
        try:
            return bytes.fromhex(self.info.headers[name])
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{self.export / EXPORT_FILE} lacks the header of {name}: export again.") from None

    def _check(self, name: str, digest: str, *sources: Path) -> None:
        if self.store_info.checksums.get(name) != digest:
            files = ", ".join(map(str, sources))
            raise InputError(f"{files}: {name} would not be what the store had (its checksum differs): export again.")


def read_parquet(path: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
    """Columns of a Parquet file, a row group at a time.

    Raises:
        InputError: if the file is missing, damaged or lacks a column.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: get it again, or export again.")
    try:
        with pq.ParquetFile(path) as file:
            absent = [name for name in names if name not in file.schema_arrow.names]
            if absent:
                raise InputError(f"{path} lacks the column {absent[0]}: export again.")
            for group in range(file.num_row_groups):
                yield from file.read_row_group(group, columns=names).to_batches()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read ({error}): get it again, or export again.") from None
