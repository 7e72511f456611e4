"""What a layout is: how one kind of THINGS-EEG2 folder is recognised and read."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.recordings import Recording, RecordingFile
from neuroclip_hf.data.subject_names import subject_folder
from neuroclip_hf.data.things_eeg2 import HIGHEST_RATE, ImageMetadata
from neuroclip_hf.errors import InputError

SPLITS = (columns.TRAIN, columns.TEST)
"""Of the dataset; a recording of the second is the second run of its session."""
UNKNOWN_FIT = "unknown (done before)"
"""What is known of the whitening of most containers."""
_NEAR = 1e-6  # seconds; the rounding of `times` in files


class Layout(ABC):
    """One kind of folder."""

    name: ClassVar[str]
    """In messages, and in store.json."""
    description: ClassVar[str]
    """What the folder holds, in messages: "raw files"."""
    file_names: ClassVar[dict[str, str]]
    """Of each split."""

    @abstractmethod
    def files(self, source: Path) -> dict[int, list[Path]]:
        """The files of this kind, by the number of the subject; empty where there is none."""


class RecordedLayout(Layout):
    """Continuous recordings, one for each subject, session and split."""

    def files(self, source: Path) -> dict[int, list[Path]]:
        """The recordings under `sub-XX/ses-YY`, by subject."""
        return by_subject(source, [f"sub-*/ses-*/{name}" for name in self.file_names.values()], depth=2)

    def path(self, source: Path, subject: int, session: int, split: str) -> Path:
        """Where the recording of a session and split lies."""
        return source / subject_folder(subject) / f"ses-{session:02d}" / self.file_names[split]

    def session(self, path: Path) -> int:
        """The number of the session that a recording is of."""
        return int(path.parent.name.removeprefix("ses-"))

    def sources(self, path: Path) -> list[Path]:
        """The files that make a recording up; a checksum is kept of each."""
        return [path]

    @abstractmethod
    def open(self, file: RecordingFile, split: str, metadata: ImageMetadata) -> Recording:
        """Read a recording; its events have the ids of their pictures as names, catch trials are dropped."""


@dataclass(frozen=True)
class EpochedFile:
    """A container of epochs, opened.

    Args:
        path (`Path`): the file.
        values (`numpy.ndarray`): (pictures, repeats, channels, samples); mapped from the file where it allows it.
        channels (`tuple` of `str`): names, in the order of `values`.
        sampling_rate (`float`): in Hz.
        window_start (`float`): seconds from the onset to the first sample.
        image_ids (`numpy.ndarray`): (pictures, repeats) of `str`.
        sessions (`numpy.ndarray`): (pictures, repeats) of `int`, counted from 1; 0 where the container does not say.
        whitening_fit (`str`): what is known of its whitening.
    """

    path: Path
    values: NDArray[np.floating]
    channels: tuple[str, ...]
    sampling_rate: float
    window_start: float
    image_ids: NDArray[np.object_]
    sessions: NDArray[np.int64]
    whitening_fit: str

    @property
    def window(self) -> tuple[float, float]:
        """What is held, in seconds from the onset, the end not included."""
        return self.window_start, self.window_start + self.values.shape[-1] / self.sampling_rate

    def blocks(self, size: int, samples: slice, picks: Sequence[int]) -> Iterator[tuple[NDArray[np.int64], Any]]:
        """Trials picture by picture, about `size` at a time.

        Yields:
            Numbers of the trials, counted over pictures and then repeats, and their values (trials, channels, samples)
            in float64, so that a block can be rounded to float16 once.
        """
        pictures, repeats = self.values.shape[:2]
        step = max(1, size // repeats)
        for start in range(0, pictures, step):
            part = np.asarray(self.values[start : start + step, :, list(picks), samples], dtype=np.float64)
            numbers = start * repeats + np.arange(part.shape[0] * repeats)
            yield numbers, part.reshape(-1, *part.shape[2:])


class EpochedLayout(Layout):
    """Epochs of all sessions of a subject, cut and whitened by somebody else: one file for each split."""

    def files(self, source: Path) -> dict[int, list[Path]]:
        """The containers under `sub-XX`, by subject."""
        found = by_subject(source, [f"sub-*/{name}" for name in self.file_names.values()], depth=1)
        kept = {subject: [path for path in paths if self.is_mine(path)] for subject, paths in found.items()}
        return {subject: paths for subject, paths in kept.items() if paths}

    def is_mine(self, path: Path) -> bool:
        """Whether a file that is called so is of this layout; where two share their names, the first bytes tell."""
        return True

    def name_of(self, opened: EpochedFile) -> str:
        """What store.json calls the layout of a container; more than one name where its bytes do not tell."""
        return self.name

    def path(self, source: Path, subject: int, split: str) -> Path:
        """Where the container of a split lies."""
        return source / subject_folder(subject) / self.file_names[split]

    def sources(self, path: Path) -> list[Path]:
        """The files that a container needs; a checksum is kept of each."""
        return [path]

    @abstractmethod
    def open(self, path: Path, split: str, metadata: ImageMetadata) -> EpochedFile:
        """Open a container.

        Raises:
            InputError: if it lacks something, or its sizes do not fit each other or the pictures.
        """


def trial_row(path: Path, split: str, image_id: str, session: int, sample: int) -> dict[str, Any]:
    """What the trial table says of a trial of a recording or a container."""
    return {
        columns.IMAGE_ID: image_id,
        columns.CONCEPT: image_id.rpartition("/")[0].rpartition("/")[2],  # its folder; as a Path five times as slow
        columns.SESSION: session,
        columns.RUN: 1 + SPLITS.index(split),
        columns.FILE: path.name,
        columns.SAMPLE: sample,
    }


def by_subject(source: Path, patterns: Sequence[str], depth: int) -> dict[int, list[Path]]:
    """Files that match, by subject; only below folders that are called sub-NUMBER (and ses-NUMBER)."""
    shape = re.compile(r"sub-(\d+)" + r"/ses-\d+" * (depth - 1) + r"/[^/]+")
    found: dict[int, list[Path]] = {}
    for path in sorted(path for pattern in patterns for path in source.glob(pattern)):
        match = shape.fullmatch(path.relative_to(source).as_posix())
        if match:
            found.setdefault(int(match.group(1)), []).append(path)
    return found


def make_epoched(
    path: Path,
    values: Any,
    channels: Any,
    times: Any,
    split: str,
    metadata: ImageMetadata,
    whitening_fit: str,
    image_ids: NDArray[np.object_] | None = None,
    sessions: NDArray[np.int64] | None = None,
) -> EpochedFile:
    """Check what a container held and say what it is.

    Args:
        path (`Path`): the container.
        values (array): (pictures, repeats, channels, samples).
        channels (sequence of `str`): their names.
        times (sequence of `float`): seconds from the onset; see [`place_samples`].
        split (`str`): "train" or "test".
        metadata (`ImageMetadata`): the table of pictures; rows of `values` follow it.
        whitening_fit (`str`): what is known of the whitening.
        image_ids (`numpy.ndarray`, *optional*): (pictures, repeats), where the container says it.
        sessions (`numpy.ndarray`, *optional*): likewise.

    Raises:
        InputError: naming the file, the value and the remedy.
    """
    if getattr(values, "ndim", 0) != 4 or values.dtype.kind != "f" or 0 in values.shape:
        shape = getattr(values, "shape", type(values).__name__)
        raise InputError(
            f"{path}: the epochs are {shape} instead of (pictures, repeats, channels, samples) of floating point "
            "numbers: get the file again."
        )
    names = tuple(str(name) for name in channels)
    if len(names) != values.shape[2] or len(set(names)) != len(names):
        raise InputError(
            f"{path}: {values.shape[2]} channels and {len(names)} names ({len(set(names))} of them different): get "
            "the file again."
        )
    rate, start = place_samples(path, times, values.shape[3])
    if image_ids is None:
        if values.shape[0] != metadata.size(split):
            raise InputError(
                f"{path} holds epochs of {values.shape[0]} {split} pictures, and the table of pictures has "
                f"{metadata.size(split)}: they belong to different datasets."
            )
        ids = [metadata.image_id(split, code) for code in range(1, values.shape[0] + 1)]
        image_ids = np.repeat(np.array(ids, dtype=object)[:, None], values.shape[1], axis=1)
    sessions = np.zeros(image_ids.shape, dtype=np.int64) if sessions is None else sessions
    return EpochedFile(path, values, names, rate, start, image_ids, sessions, whitening_fit)


def place_samples(path: Path, times: Any, count: int) -> tuple[float, float]:
    """Sampling rate in Hz and time in seconds of the first of `count` samples.

    Some containers keep the times of the whole epoch and drop its part before the onset: with more times than samples,
    the samples are those from the onset on (and where still more times are left, the last are dropped, as in epochs
    whose end is included).

    Raises:
        InputError: if times are no steps of equal length, or fewer than samples.
    """
    try:
        found = np.asarray(times, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise InputError(f"{path}: its times are no numbers: get the file again.") from None
    steps = np.diff(found)
    if len(found) < max(count, 2) or not np.isfinite(found).all() or not (steps > 0).all():
        raise InputError(f"{path}: {len(found)} times for {count} samples, which must rise: get the file again.")
    step = (found[-1] - found[0]) / (len(found) - 1)
    if np.abs(steps - step).max() > 0.01 * step:
        raise InputError(f"{path}: times are not evenly spaced: the epochs' rate cannot be known.")
    if not 1 <= 1 / step <= HIGHEST_RATE:
        raise InputError(f"{path}: times come every {step:g} s, which cannot be: get the file again.")
    first = 0 if len(found) == count else int(np.searchsorted(found, -_NEAR))
    if first + count > len(found):
        raise InputError(
            f"{path}: {len(found)} times from {found[0]:g} s for {count} samples, of which {len(found) - first} lie "
            "after the onset: it cannot be known when the samples were taken."
        )
    return round(1 / step, 6), round(float(found[first]), 9) + 0.0
