"""Writes a trial store in one pass, trial by trial, so that no split needs to fit into memory."""

import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from neuroclip_hf import __version__, columns
from neuroclip_hf.data._threads import one_blas_thread
from neuroclip_hf.data.growing_array import GrowingArray
from neuroclip_hf.data.leftovers import sweep
from neuroclip_hf.data.splits import check_splits
from neuroclip_hf.data.store_channels import SubjectChannels, channel_table, channels_of_info
from neuroclip_hf.data.store_info import StoreInfo, write_store_info
from neuroclip_hf.data.store_layout import (
    CHANNELS_FILE,
    PICTURE_COLUMNS,
    PICTURES_FILE,
    PICTURES_FOLDER,
    STORE_FILE,
    SUBJECT_NAME,
    TAKEN_NAMES,
    TRIAL_COLUMNS,
    TRIALS_FILE,
    array_name,
    array_of,
    covariance_name,
    picture_name,
)
from neuroclip_hf.data.store_rounding import to_float16
from neuroclip_hf.data.trial_arrays import trial_digest
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import new_folder, sha256, write_array

BLOCK = 256
"""Trials converted at once (ours): bounds the float64 copies."""


class StoreWriter:
    """Collects trials and pictures; [`finish`] checks the protocol and writes the tables. Use [`new_store`].

    Args:
        folder (`Path`): where the store grows.
        info (`StoreInfo`): what store.json will say; checksums and versions are added.
    """

    def __init__(self, folder: Path, info: StoreInfo) -> None:
        self.folder = folder
        self.info = info
        self._tables: list[pd.DataFrame] = []
        self._pictures: list[dict[str, Any]] = []
        self._arrays: dict[tuple[str, str], GrowingArray] = {}
        self._channels: dict[str, SubjectChannels] = {}

    def add_channels(self, subject: str, channels: SubjectChannels) -> None:
        """Say what channels, or voxels, a subject has, before its trials; `info` then lists no channel, scale, offset.

        For subjects that differ, and wherever regions of interest or coordinates are known; then for every subject.

        Args:
            subject (`str`): whose they are.
            channels ([`SubjectChannels`]): in the order of its trials.

        Raises:
            InputError: for channels whose parts do not fit, see [`SubjectChannels.check`].
            ValueError: if `info` lists channels, or the subject's are known already.
        """
        if self.info.channels or self.info.scale or self.info.offset:
            raise ValueError("info lists channels: a store has them there or in a table, not in both")
        if subject in self._channels:
            raise ValueError(f"the channels of {subject} were given before")
        try:
            channels.check()
        except InputError as error:
            raise InputError(f"{subject}: {error}") from None
        self._channels[subject] = channels

    def channels_of(self, subject: str) -> SubjectChannels:
        """Of a subject: those of the table, where there is one, else those that `info` lists for everybody.

        Raises:
            ValueError: if [`add_channels`] was to say them and did not.
        """
        if self.info.channels:
            return channels_of_info(self.info)
        if subject not in self._channels:
            raise ValueError(f"info lists no channels, and those of {subject} were not given: call add_channels first")
        return self._channels[subject]

    def _trial_shape(self, subject: str) -> tuple[int, ...]:
        return (len(self.channels_of(subject).names), *self.info.trial_shape[1:])

    def add_trials(
        self, subject: str, split: str, values: NDArray[np.floating], rows: list[dict[str, Any]], origin: str
    ) -> None:
        """Append trials of one subject and split.

        Args:
            subject (`str`): whose they are; names their folder.
            split (`str`): one of `columns.SPLITS`.
            values (`numpy.ndarray` of shape `(trials, channels, samples)` or `(trials, voxels)`): in `info.unit`.
            rows (`list[dict]`): what the trial table says of each, without subject, split, row, repeat and digest.
            origin (`str`): the file the trials come from, for error messages.

        Raises:
            InputError: for a subject that cannot name a folder, or values that float16 cannot hold, or rounds away.
            ValueError: for values of another shape.
        """
        if not SUBJECT_NAME.fullmatch(subject):
            raise InputError(f"{origin}: subject {subject!r} cannot name a folder: use letters, digits, '-' and '_'.")
        if subject.casefold() in TAKEN_NAMES:
            raise InputError(
                f"{origin}: subject {subject!r} is called as a part of the store itself: call it otherwise."
            )
        shape, channels = self._trial_shape(subject), self.channels_of(subject)
        if values.shape != (len(rows), *shape):
            raise ValueError(f"{origin}: trials of shape {values.shape} do not fit {len(rows)} rows of {shape}")
        key = (subject, split)
        if key not in self._arrays:
            self._arrays[key] = GrowingArray(self.folder / array_name(subject, split), shape)
        for start in range(0, len(values), BLOCK):
            stored = to_float16(values[start : start + BLOCK], channels, self.info.unit, origin)
            first = self._arrays[key].append(stored)
            table = pd.DataFrame(rows[start : start + BLOCK])
            own = {
                columns.SUBJECT: subject,
                columns.SPLIT: split,
                columns.ROW: np.arange(first, first + len(table)),
                columns.DIGEST: [trial_digest(trial) for trial in stored],
            }
            self._tables.append(table.assign(**own))

    @property
    def splits(self) -> set[str]:
        """Splits that hold at least one trial so far."""
        return {split for (_, split), array in self._arrays.items() if array.rows}

    def targets(self) -> set[tuple[str, str, str]]:
        """`(image_id, concept, split)` of the trials so far, each once."""
        names = [columns.IMAGE_ID, columns.CONCEPT, columns.SPLIT]
        return {shown for table in self._tables for shown in table[names].itertuples(index=False, name=None)}

    def sync(self) -> dict[str, int]:
        """Put all trials so far on the disk; returns how many there are by the name of their array."""
        for array in self._arrays.values():
            array.sync()
        return {array_name(subject, split): array.rows for (subject, split), array in self._arrays.items()}

    def trials_from(self, block: int) -> tuple[pd.DataFrame, int]:
        """The trial table from a block on, without repeats, which becomes one block; and how many there are then."""
        if block == len(self._tables):
            return pd.DataFrame(), block
        table = pd.concat(self._tables[block:], ignore_index=True)
        self._tables[block:] = [table]
        return table, len(self._tables)

    def restore(self, rows: Mapping[str, int], tables: Sequence[pd.DataFrame]) -> None:
        """Go on with arrays that an earlier process left in the folder; what is beyond `rows` is cut off.

        Args:
            rows (mapping): what [`sync`] returned.
            tables (sequence of `pandas.DataFrame`): what [`trials_from`] returned.

        Raises:
            ValueError: if an array holds fewer rows.
        """
        for name, count in rows.items():
            subject, split = array_of(name)
            self._arrays[subject, split] = GrowingArray(self.folder / name, self._trial_shape(subject), count)
        self._tables = [table for table in tables if len(table)]

    def add_picture(self, image_id: str, concept: str, gallery: str, source: Path | Image.Image, caption: str) -> None:
        """Take a picture into the store: a file is copied byte by byte, a picture in memory is saved as PNG.

        Args:
            image_id (`str`): its name in the trial table; below `pictures/` its file is called so.
            concept (`str`): what it shows.
            gallery (`str`): who may see it: "train", "test" or "both".
            source (`Path` or `PIL.Image.Image`): the picture.
            caption (`str`): "" where there is none.

        Raises:
            InputError: for a name that leads outside the store, or comes twice.
        """
        name = image_id if isinstance(source, Path) else f"{image_id}.png"
        target = self.folder / picture_name(name)
        if not target.resolve().is_relative_to((self.folder / PICTURES_FOLDER).resolve()):
            raise InputError(f"picture {image_id!r} points outside the store: rename it.")
        if target.exists():
            raise InputError(f"picture {image_id!r} occurs twice: give each picture a name of its own.")
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, Path):
            shutil.copyfile(source, target)
        else:
            source.save(target)
        row = (image_id, concept, caption, target.relative_to(self.folder).as_posix(), gallery)
        self._pictures.append(dict(zip(PICTURE_COLUMNS, row, strict=True)))

    def add_covariances(self, subject: str, covariances: NDArray[np.float64]) -> None:
        """Keep the noise covariances `(sessions, channels, channels)` that a subject was whitened with."""
        path = self.folder / covariance_name(subject)
        path.parent.mkdir(exist_ok=True)
        write_array(path, covariances)

    def finish(self) -> None:
        """Write tables and store.json.

        Raises:
            InputError: if a split that must not be is empty, or splits share what the protocol forbids.
        """
        for array in self._arrays.values():
            array.close()
        trials = pd.concat(self._tables, ignore_index=True) if self._tables else pd.DataFrame()
        trials = trials.reindex(columns=list(TRIAL_COLUMNS))
        shown = trials[columns.IMAGE_ID].where(trials[columns.IMAGE_ID] != "", trials[columns.CONCEPT])
        trials[columns.REPEAT] = trials.groupby([trials[columns.SUBJECT], trials[columns.SPLIT], shown]).cumcount()
        pictures = pd.DataFrame(self._pictures, columns=list(PICTURE_COLUMNS))
        check_splits(trials, pictures, self.info.protocol)
        self._refuse_shared_pictures(pictures)
        trials.to_parquet(self.folder / TRIALS_FILE, index=False)
        pictures.to_parquet(self.folder / PICTURES_FILE, index=False)
        if self._channels:
            channel_table(self._channels).to_parquet(self.folder / CHANNELS_FILE, index=False)
        info = replace(self.info, checksums=_checksums(self.folder), versions=library_versions())
        write_store_info(self.folder, info)

    def close(self) -> None:
        """Close the files; safe to call twice."""
        for array in self._arrays.values():
            array.close()

    def _refuse_shared_pictures(self, pictures: pd.DataFrame) -> None:
        """A picture is the same under another name, too."""
        if self.info.protocol == columns.NEW_TRIALS:
            return
        seen: dict[str, tuple[str, str]] = {}
        for image_id, file, gallery in pictures[[columns.IMAGE_ID, columns.PICTURE_FILE, columns.GALLERY]].to_numpy():
            first, where = seen.setdefault(sha256(self.folder / file), (image_id, gallery))
            if where != gallery:
                raise InputError(
                    f"pictures {first!r} ({where}) and {image_id!r} ({gallery}) are the same file, which protocol "
                    f"{self.info.protocol} forbids: leave one out, or say --protocol {columns.NEW_TRIALS}."
                )


@contextmanager
def new_store(path: str | Path, info: StoreInfo, overwrite: bool = False) -> Iterator[StoreWriter]:
    """Write a store that appears under `path` only when it is whole and its splits keep its protocol."""
    sweep(Path(path), overwrite)
    with one_blas_thread(), new_folder(path, overwrite, STORE_FILE) as folder:
        writer = StoreWriter(folder, info)
        try:
            yield writer
            writer.finish()
        finally:
            writer.close()


def _checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def library_versions() -> dict[str, str]:
    """Versions of what the numbers of a store depend on, this package among them."""
    others = {name: version(name) for name in ("numpy", "mne", "scikit-learn")}
    return {"python": platform.python_version(), "neuroclip_hf": __version__, **others}
