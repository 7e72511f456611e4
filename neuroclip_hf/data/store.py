"""The trial store: a folder with float16 memory maps, a trial table, the pictures, and store.json.

How it lies on disk: [`neuroclip_hf.data.store_layout`]. Equal input gives equal bytes: no date, no duration, no path
of the machine.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from neuroclip_hf import columns
from neuroclip_hf.data.halves import widen
from neuroclip_hf.data.pictures import open_picture
from neuroclip_hf.data.store_channels import SubjectChannels, channels_of_info, read_channels, refuse_unlike
from neuroclip_hf.data.store_info import read_store_info
from neuroclip_hf.data.store_layout import CHANNELS_FILE, covariance_name
from neuroclip_hf.data.store_tables import read_tables
from neuroclip_hf.data.trial_arrays import TrialArrays, load_array
from neuroclip_hf.errors import InputError

READ_TOGETHER = 64
"""Trials that are read at once for several means (ours): 4 MB of (63, 250), enough for several threads."""


class TrialStore:
    """A trial store opened for reading: tables in memory, trials on disk.

    Args:
        path (`str` or `Path`): the store's folder.

    Raises:
        InputError: if the folder is no store, misses a file, or was written by another format.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.info = read_store_info(self.path)
        self.trials, self.pictures = read_tables(self.path)
        self._own_channels = self._read_channels()
        self._arrays = TrialArrays(self.path, self.trials, {name: self.trial_shape(name) for name in self.subjects})
        self._picture_files = dict(
            zip(self.pictures[columns.IMAGE_ID], self.pictures[columns.PICTURE_FILE], strict=True)
        )

    @property
    def subjects(self) -> list[str]:
        """Subjects in the order of their first trial."""
        return list(dict.fromkeys(self.trials[columns.SUBJECT]))

    @property
    def readable_subjects(self) -> list[str]:
        """Subjects whose trials can be read here: all of a store, those with its channels of a view."""
        return self.subjects

    @property
    def concepts_only(self) -> bool:
        """Whether trials know the concept of the picture that was shown, but not which picture it was."""
        return self.info.target == columns.CONCEPT_TARGET

    def subject(self, name: str) -> str:
        """The store's name of a subject: "sub-01" for "sub-01", and for "1" and "01" where nobody is called so.

        Raises:
            InputError: for a subject that the store does not hold.
        """
        spellings = (name, f"sub-{name}", f"sub-{name.zfill(2)}")
        found = next((spelling for spelling in spellings if spelling in self.subjects), None)
        if found is None:
            raise InputError(f"{self.path} holds no subject {name}; it holds {', '.join(self.subjects)}.")
        return found

    @property
    def has_channel_table(self) -> bool:
        """Whether channels are listed subject by subject, with regions, rather than once in `info`, which has none."""
        return CHANNELS_FILE in self.info.checksums

    def subject_channels(self, subject: str) -> SubjectChannels:
        """The channels, or voxels, of a subject: names, scale, offset, regions of interest and coordinates.

        Raises:
            InputError: for a subject that the store does not hold.
        """
        return self._own_channels[self.subject(subject)]

    def channels(self, subject: str) -> list[str]:
        """Names of the channels, or voxels, of a subject, in the order in which its trials are read.

        Raises:
            InputError: for a subject that the store does not hold.
        """
        return self.subject_channels(subject).names

    def rois(self, subject: str) -> dict[str, NDArray[np.bool_]]:
        """Regions of interest of a subject: name -> which of its channels lie in it; they may overlap.

        Raises:
            InputError: for a subject that the store does not hold.
        """
        return self.subject_channels(subject).rois

    def trial_shape(self, subject: str) -> tuple[int, ...]:
        """Shape of one trial of a subject: `(channels, samples)`, or `(voxels,)` for patterns."""
        return (len(self.channels(subject)), *self.info.trial_shape[1:])

    def of_subjects(self, subjects: Sequence[str] | None = None) -> "TrialStore":
        """The store as it reads the trials of some subjects: its `info` has their channels, scale and offset.

        The tables keep all rows, so that a row number means the same trial; trials of a subject with other channels
        are refused. A store that lists its channels in `info` is returned as it is.

        Args:
            subjects (sequence of `str`, *optional*): who; all by default, or those of a view that is one already.

        Raises:
            InputError: for a subject that the store does not hold, or subjects whose channels differ.
        """
        from neuroclip_hf.data.store_view import SubjectsView  # which is a store itself

        if not self.has_channel_table or (subjects is None and self.info.channels):
            return self
        names = self.subjects if subjects is None else [self.subject(name) for name in subjects]
        refuse_unlike(self.path, {name: self.subject_channels(name) for name in names})
        return self if self.info.channels else SubjectsView(self, names)

    def select(self, split: str, subjects: Sequence[str] | None = None) -> NDArray[np.int64]:
        """Rows of the trial table that belong to a split, and to the subjects if any are named.

        Raises:
            InputError: for a subject that the store does not hold.
        """
        chosen = self.trials[columns.SPLIT] == split
        if subjects is not None:
            chosen &= self.trials[columns.SUBJECT].isin([self.subject(name) for name in subjects])
        return np.flatnonzero(chosen.to_numpy())

    def read(self, trials: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """Trials as float32 in `info.unit`.

        Args:
            trials (sequence of `int`): rows of the trial table, in any order, also several times.

        Returns:
            `numpy.ndarray` of shape `(trials, channels, samples)`, or `(trials, voxels)` for patterns.

        Raises:
            InputError: for a row that the table does not have, or subjects whose channels differ.
        """
        self._refuse_unlike_trials(trials)
        return self._arrays.convert(trials, self._write_in_unit)

    def read_stored(self, trials: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float16]:
        """Trials as float16, the numbers as they are stored: half the bytes of [`read`], and sooner.

        A number x `info.scale` + `info.offset` of its channel is the value in `info.unit`.

        Args:
            trials (sequence of `int`): rows of the trial table, in any order, also several times.

        Returns:
            `numpy.ndarray` of shape `(trials, channels, samples)`, or `(trials, voxels)` for patterns.

        Raises:
            InputError: for a row that the table does not have, or subjects whose channels differ.
        """
        self._refuse_unlike_trials(trials)
        return self._arrays.copy(trials)

    def read_means(self, groups: Sequence[Sequence[int] | NDArray[np.int64]]) -> NDArray[np.float32]:
        """Means over trials as float32 in `info.unit`, each over as many as its group has.

        Trials of one group, or of a few small ones, are in memory at a time, beside the means.

        Args:
            groups (sequence of sequences of `int`): rows of the trial table.

        Returns:
            `numpy.ndarray` of shape `(groups, channels, samples)`, or `(groups, voxels)` for patterns.

        Raises:
            InputError: for an empty group, a row that the table does not have, or subjects whose channels differ.
        """
        lengths = [len(group) for group in groups]
        if 0 in lengths:
            raise InputError(f"{self.path}: a mean of no trials was asked for: name at least one.")
        if all(length == 1 for length in lengths):
            return self.read([trial for (trial,) in groups])
        means = np.empty((0,), dtype=np.float32)
        for some in _together(lengths):
            values = self.read(np.concatenate(groups[some]))
            if not len(means):
                means = np.empty((len(groups), *values.shape[1:]), dtype=np.float32)
            ends = np.cumsum(lengths[some])
            for mean, end, length in zip(means[some], ends, lengths[some], strict=True):
                np.add.reduce(values[end - length : end], axis=0, out=mean)
                mean /= length
        return means

    def gallery(self, split: str) -> pd.DataFrame:
        """Rows of the picture table that `split` may see: validation those of training, imagery those of the test."""
        seen = columns.GALLERY_OF[split]
        return self.pictures[self.pictures[columns.GALLERY].isin([seen, columns.BOTH])].reset_index(drop=True)

    def open_picture(self, image_id: str) -> Image.Image:
        """One of the store's pictures, RGB."""
        if image_id not in self._picture_files:
            raise InputError(f"{self.path} holds no picture {image_id!r}.")
        return open_picture(self.path / self._picture_files[image_id])

    def covariances(self, subjects: Sequence[str] | None = None) -> NDArray[np.float64] | None:
        """Noise covariances `(sessions, channels, channels)` of the subjects' own training epochs.

        Whatever the subjects were whitened by. None without whitening, and where it was done before and the source
        kept no covariance.
        """
        names = subjects if subjects is not None else self.subjects
        kept = any(covariance_name(name) in self.info.checksums for name in names)
        if self.info.whitening_fit is None or not kept:
            return None
        return np.concatenate([load_array(self.path / covariance_name(name)) for name in names])

    def _write_in_unit(self, subject: str, stored: NDArray[np.float16], values: NDArray[np.float32]) -> None:
        scale, offset = self._units[subject]
        widen(stored, values, scale)
        if offset is not None:
            values += offset

    @cached_property
    def _units(self) -> dict[str, tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]]:
        """Subject -> scale and offset."""
        return {
            name: (self._by_channel(mine.scale, 1.0), self._by_channel(mine.offset, 0.0))
            for name, mine in self._own_channels.items()
        }

    def _by_channel(self, values: NDArray[np.float64], nothing: float) -> NDArray[np.float32] | None:
        """Broadcasts against a trial; one number where all channels share it, and None where it changes nothing."""
        found = np.asarray(values, dtype=np.float32)
        if (found == nothing).all():
            return None
        if len(found) and (found == found[0]).all():
            return found[:1].reshape(())
        return found.reshape(-1, *(1,) * (len(self.info.trial_shape) - 1))

    def _read_channels(self) -> dict[str, SubjectChannels]:
        if self.has_channel_table:
            return read_channels(self.path, self.subjects)
        every = channels_of_info(self.info)
        return dict.fromkeys(self.subjects, every)

    @cached_property
    def _all_alike(self) -> bool:
        found = list(self._own_channels.values())
        return all(found[0].alike(other) for other in found[1:])

    def _refuse_unlike_trials(self, trials: Sequence[int] | NDArray[np.int64]) -> None:
        if not self._all_alike:
            mine = self._arrays.subjects_of(trials)
            refuse_unlike(self.path, {name: self._own_channels[name] for name in mine})


def _together(lengths: Sequence[int]) -> Iterator[slice]:
    """Groups in a row that have up to `READ_TOGETHER` trials together, or are one that has more."""
    start, trials = 0, 0
    for place, length in enumerate(lengths):
        if place > start and trials + length > READ_TOGETHER:
            yield slice(start, place)
            start, trials = place, 0
        trials += length
    yield slice(start, len(lengths))
