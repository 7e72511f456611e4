"""`neuroclip export`: a trial store as Parquet shards with a dataset card."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from neuroclip_hf import columns
from neuroclip_hf.data.leftovers import sweep
from neuroclip_hf.data.parquet import layout
from neuroclip_hf.data.parquet.card import dataset_card
from neuroclip_hf.data.parquet.layout import EXPORT_FILE, ExportInfo
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_info import WITHOUT_PICTURES
from neuroclip_hf.data.store_layout import PICTURE_COLUMNS, STORE_FILE, array_name, is_inside
from neuroclip_hf.data.trial_arrays import array_groups, read_blocks
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import new_folder, refuse_existing, sha256, write_json, write_text
from neuroclip_hf.logging import get_logger, progress

if TYPE_CHECKING:
    from datasets import Features


THREADS = 2
"""Shards written at once (ours): one thread keeps a processor busy, not a disk."""


def export_store(path: str | Path, out: str | Path, *, images: bool = True, overwrite: bool = False) -> Path:
    """Write a store as a dataset that `datasets.load_dataset(out, "sub-01")` reads.

    Every file is compared with the store's checksums on the way. Equal stores give equal bytes. A few row
    groups are in memory at a time.

    Args:
        path (path): the trial store.
        out (path): the dataset's folder.
        images (`bool`): whether the pictures' files go along, once each and byte by byte. Where the store does not say
            that they may be redistributed, the card and a warning say so.
        overwrite (`bool`): replace an existing export.

    Raises:
        InputError: if the store is damaged, has no pictures to go along, or `out` exists.
    """
    refuse_existing(out, overwrite, EXPORT_FILE)
    store = TrialStore(path)
    for subject in store.subjects:
        layout.check_subject(subject, store.path)
    if images and WITHOUT_PICTURES in store.info.warnings:
        raise InputError(f"{store.path} came without its pictures: export it with --without-images.")
    if images and not store.info.redistribute_pictures:
        get_logger().warning(
            "The pictures of this store may not be redistributed: keep the export to yourself, or leave them out with "
            "--without-images."
        )
    sweep(Path(out), overwrite)
    with new_folder(out, overwrite, EXPORT_FILE) as folder:
        info = ExportInfo(store.info.fingerprint, sha256(store.path / STORE_FILE), images)
        info = _write_trials(store, folder, info)
        info = replace(info, pictures=_write_pictures(store, folder, images), files=_copy_files(store, folder))
        write_text(folder / "README.md", dataset_card(store, info))
        write_json(folder / EXPORT_FILE, info.to_dict())
    return Path(out)


def check_digest(store: TrialStore, name: str, digest: str) -> None:
    """Refuse a file of a store that is not what it was when the store was made."""
    if store.info.checksums.get(name) != digest:
        raise InputError(
            f"{store.path / name} has changed since the store was made (its checksum differs): make the store again."
        )


def _write_trials(store: TrialStore, folder: Path, info: ExportInfo) -> ExportInfo:
    """All arrays, shard by shard; PyArrow and the checksum leave Python's lock, so that threads pay."""
    headers: dict[str, str] = {}
    shards: dict[str, list[str]] = {}
    pool = ThreadPoolExecutor(THREADS)
    try:
        jobs: list[Future[Any]] = []
        digests: dict[str, Future[str]] = {}
        for subject, split, rows in array_groups(store.trials):
            name, shape = array_name(subject, split), store.trial_shape(subject)
            schema = layout.trial_features(store.info, shape, store.trials).arrow_schema
            headers[name] = _header(store.path / name).hex()
            digests[name] = pool.submit(sha256, store.path / name)
            table = layout.row_table(rows, schema)
            parts = _shards(len(rows), layout.rows_per_shard(shape))
            paths = [
                folder / layout.TRIALS / subject / f"{split}-{number:05d}-of-{len(parts):05d}.parquet"
                for number in range(len(parts))
            ]
            jobs += [
                pool.submit(_write_shard, store.path / name, shape, table, schema, part, path)
                for part, path in zip(parts, paths, strict=True)
            ]
            shards[name] = [path.relative_to(folder).as_posix() for path in paths]
        for job in progress(jobs, desc="shards", unit="shard"):
            job.result()
        for name, digest in digests.items():
            check_digest(store, name, digest.result())
    finally:
        pool.shutdown(cancel_futures=True)
    return replace(info, headers=headers, shards=shards)


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(np.load(path, mmap_mode="r", allow_pickle=False).offset)


def _shards(count: int, step: int) -> list[range]:
    return [range(start, min(start + step, count)) for start in range(0, count, step)]


def _write_shard(
    array: Path, shape: tuple[int, ...], rows: pa.Table, schema: pa.Schema, part: range, path: Path
) -> None:
    with new_parquet(path, schema) as writer:
        for start, values in read_blocks(array, part, layout.rows_per_group(shape), shape):
            writer.write_table(layout.trial_table(values, rows.slice(start, len(values)), schema))


def new_parquet(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A Parquet file without compression; statistics and dictionaries for texts and whole numbers only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = [one.name for one in schema if pa.types.is_string(one.type) or pa.types.is_integer(one.type)]
    return pq.ParquetWriter(path, schema, compression="none", use_dictionary=plain, write_statistics=plain)


def _write_pictures(store: TrialStore, folder: Path, images: bool) -> list[str]:
    features = layout.picture_features(images)
    parts = _picture_parts(store, images)
    paths = []
    for number, rows in enumerate(parts):
        name = f"{layout.PICTURES_SPLIT}-{number:05d}-of-{len(parts):05d}.parquet"
        path = folder / layout.PICTURES / name
        with new_parquet(path, features.arrow_schema) as writer:
            for table in picture_tables(store, rows, features):
                writer.write_table(table)
        paths.append(path.relative_to(folder).as_posix())
    return paths


def _picture_parts(store: TrialStore, images: bool) -> list[range]:
    """Rows of the picture table, shard by shard."""
    if not images:
        return [range(len(store.pictures))]
    parts, first, size = [], 0, 0
    for row, name in enumerate(store.pictures[columns.PICTURE_FILE]):
        path = store.path / name
        if not path.is_file():
            raise InputError(f"{path} is missing: put the picture there, or export with --without-images.")
        size += path.stat().st_size
        if size > layout.SHARD_BYTES and row > first:
            parts.append(range(first, row))
            first, size = row, path.stat().st_size
    return [*parts, range(first, len(store.pictures))]


def picture_tables(store: TrialStore, rows: range, features: "Features") -> Iterator[pa.Table]:
    """Rows of the picture table with their files, in tables of [`layout.PICTURE_GROUP_BYTES`] or a thousand rows."""
    table, images = store.pictures.iloc[rows.start : rows.stop], layout.IMAGE in features
    pending: list[dict[str, Any]] = []
    size = 0
    for row in table[list(PICTURE_COLUMNS)].to_dict("records"):
        if images:
            content = (store.path / row[columns.PICTURE_FILE]).read_bytes()
            check_digest(store, row[columns.PICTURE_FILE], hashlib.sha256(content).hexdigest())
            row[layout.IMAGE] = {"bytes": content, "path": Path(row[columns.PICTURE_FILE]).name}
            size += len(content)
        pending.append(row)
        if size >= layout.PICTURE_GROUP_BYTES or len(pending) == 1000:
            yield _picture_table(pending, features)
            pending, size = [], 0
    if pending or not rows:
        yield _picture_table(pending, features)


def _picture_table(rows: list[dict[str, Any]], features: "Features") -> pa.Table:
    schema = features.arrow_schema
    return pa.Table.from_arrays(
        [pa.array([row[one.name] for row in rows], type=one.type) for one in schema], schema=schema
    )


def _copy_files(store: TrialStore, folder: Path) -> list[str]:
    """The store's tables, covariances and whatever else it vouches for, byte by byte; store.json as well."""
    arrays = {array_name(subject, split) for subject, split, _ in array_groups(store.trials)}
    names = sorted(set(store.info.checksums) - arrays - set(store.pictures[columns.PICTURE_FILE]))
    for name in (*names, STORE_FILE):
        if not is_inside(name) or not (store.path / name).is_file():
            raise InputError(f"{store.path}/{STORE_FILE} names {name!r}, which is not there: make the store again.")
        content = (store.path / name).read_bytes()
        if name != STORE_FILE:
            check_digest(store, name, hashlib.sha256(content).hexdigest())
        target = folder / layout.STORE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return names
