"""The trial store: a folder with float16 memory maps, a trial table, the pictures, and store.json.

```
STORE/
  store.json             what it holds, how it was made, checksums
  trials.parquet         one row a trial (columns in `neuroclip_hf.columns`)
  pictures.parquet       one row a picture
  pictures/...           the picture files, each once
  sub-01/train.npy       float16 (trials, channels, samples), or (trials, voxels); likewise validation.npy, test.npy
  sub-01/covariance.npy  float64 (sessions, channels, channels) of the subject's own training epochs, where the trials
                         were whitened here
```

Equal input gives equal bytes: no date, no duration, no path of the machine.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from neuroclip_hf import columns
from neuroclip_hf.data.pictures import open_picture
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json

FORMAT = 1
STORE_FILE = "store.json"
SUBJECT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""What a subject may be called, since its trials lie in a folder of that name."""
TRIAL_COLUMNS = (
    columns.SUBJECT,
    columns.SPLIT,
    columns.ROW,
    columns.IMAGE_ID,
    columns.CONCEPT,
    columns.SESSION,
    columns.RUN,
    columns.REPEAT,
    columns.FILE,
    columns.SAMPLE,
    columns.DIGEST,
)
PICTURE_COLUMNS = (columns.IMAGE_ID, columns.CONCEPT, columns.CAPTION, columns.PICTURE_FILE, columns.GALLERY)


@dataclass(frozen=True)
class StoreInfo:
    """What store.json says.

    Args:
        modality (`str`): "eeg", "meg" or "fmri".
        channels (`list[str]`): names, in the order of the arrays; voxels have generated names.
        unit (`str`): what an array holds once scaled: "V", "T", "sd" (whitened) or "au".
        scale, offset (`list[float]`): a channel: value in `unit` = stored number x scale + offset. EEG is stored in
            microvolts (scale 1e-6), MEG in femtotesla, whitened data as they are; arbitrary units are standardised.
        sampling_rate (`float` or None): Hz; None for patterns.
        window_start (`float`): seconds from the onset to the first sample.
        num_timesteps (`int` or None): samples of a trial; None for patterns.
        protocol (`str`): one of `columns.PROTOCOLS`.
        target (`str`): "image" where each trial names its picture, "concept" where only the concept is known.
        data (`str`): "recorded" or "simulated".
        source (`str`): what it was made from: "recordings", "things-eeg2", "arrays". `settings` of THINGS-EEG2 says
            by which `layout`, and `already_epoched` where others had cut and whitened the epochs.
        settings (`dict`): every setting of the preparation.
        epochs (`dict` or None): settings that cut another recording the same way (`EpochSettings`).
        whitening_fit (`str` or None): what each whitening matrix was fitted on; None where nothing was whitened.
        redistribute_pictures (`bool`): whether the pictures may be shared; False unless somebody said so.
        versions (`dict`): of the libraries that the numbers depend on.
        sources (`dict`): recording file name -> sha256.
        warnings (`list[str]`): what the preparation had to leave out.
        checksums (`dict`): file inside the store -> sha256.
    """

    modality: str
    channels: list[str]
    unit: str
    scale: list[float]
    offset: list[float]
    sampling_rate: float | None
    window_start: float
    num_timesteps: int | None
    protocol: str
    target: str
    data: str
    source: str
    settings: dict[str, Any]
    epochs: dict[str, Any] | None = None
    whitening_fit: str | None = None
    redistribute_pictures: bool = False
    versions: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    checksums: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with anything in the store."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:16]


class TrialStore:
    """A trial store opened for reading: tables in memory, trials on disk.

    Args:
        path (`str` or `Path`): the store's folder.

    Raises:
        InputError: if the folder is no store, misses a file, or was written by another format.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.info = _read_info(self.path)
        self.trials = _read_table(self.path / "trials.parquet", TRIAL_COLUMNS)
        self.pictures = _read_table(self.path / "pictures.parquet", PICTURE_COLUMNS)
        self._arrays: dict[tuple[str, str], NDArray[np.float16]] = {}
        self._check_paths()
        self._check_arrays()
        self._picture_files = dict(
            zip(self.pictures[columns.IMAGE_ID], self.pictures[columns.PICTURE_FILE], strict=True)
        )

    @property
    def subjects(self) -> list[str]:
        """Subjects in the order of their first trial."""
        return list(dict.fromkeys(self.trials[columns.SUBJECT]))

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
            trials (sequence of `int`): rows of the trial table.

        Returns:
            `numpy.ndarray` of shape `(trials, channels, samples)`, or `(trials, voxels)` for patterns.
        """
        trials = np.asarray(trials, dtype=np.int64)
        values = np.empty((len(trials), *self._trial_shape), dtype=np.float32)
        subjects = self.trials[columns.SUBJECT].to_numpy()[trials]
        splits = self.trials[columns.SPLIT].to_numpy()[trials]
        rows = self.trials[columns.ROW].to_numpy()[trials]
        for key in sorted(set(zip(subjects, splits, strict=True))):
            mine = (subjects == key[0]) & (splits == key[1])
            values[mine] = self._array(*key)[rows[mine]]
        shape = (-1,) + (1,) * (values.ndim - 2)
        values *= np.asarray(self.info.scale, dtype=np.float32).reshape(shape)
        values += np.asarray(self.info.offset, dtype=np.float32).reshape(shape)
        return values

    def gallery(self, split: str) -> pd.DataFrame:
        """Rows of the picture table that `split` may see ("validation" sees the training pictures)."""
        seen = columns.TEST if split == columns.TEST else columns.TRAIN
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
        kept = any(f"{name}/covariance.npy" in self.info.checksums for name in names)
        if self.info.whitening_fit is None or not kept:
            return None
        return np.concatenate([_load_array(self.path / name / "covariance.npy") for name in names])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": {}}  # a pickled memory map would carry the whole array to a worker

    @property
    def _trial_shape(self) -> tuple[int, ...]:
        timesteps = self.info.num_timesteps
        return (len(self.info.channels),) if timesteps is None else (len(self.info.channels), timesteps)

    def _array(self, subject: str, split: str) -> NDArray[np.float16]:
        key = (subject, split)
        if key not in self._arrays:
            self._arrays[key] = _load_array(self.path / subject / f"{split}.npy", "r")
        return self._arrays[key]

    def _check_paths(self) -> None:
        """Stores are exchanged: nothing in a table may lead outside the folder."""
        for subject in self.subjects:
            if not SUBJECT_NAME.fullmatch(subject):
                raise InputError(f"{self.path}: subject {subject!r} is no name of a folder: do not use this store.")
        root = (self.path / "pictures").resolve()
        for file in self.pictures[columns.PICTURE_FILE]:
            if not (self.path / file).resolve().is_relative_to(root):
                raise InputError(f"{self.path}: picture {file!r} lies outside the store: do not use this store.")

    def _check_arrays(self) -> None:
        for (subject, split), group in self.trials.groupby([columns.SUBJECT, columns.SPLIT]):
            array = self._array(str(subject), str(split))
            expected = (len(group), *self._trial_shape)
            if sorted(group[columns.ROW]) != list(range(len(group))):
                raise InputError(
                    f"{self.path}/trials.parquet misses rows of {subject}, {split}: make the store again."
                )
            if array.shape != expected or array.dtype != np.float16:
                raise InputError(
                    f"{self.path / str(subject) / f'{split}.npy'} has shape {array.shape} and type {array.dtype}, but "
                    f"the trial table asks for {expected} and float16: make the store again."
                )


def _read_info(path: Path) -> StoreInfo:
    if not (path / "store.json").is_file():
        raise InputError(f"{path} is not a trial store (it has no store.json): make one with `neuroclip prepare`.")
    values = read_json(path / "store.json")
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise InputError(f"{path}/store.json is not of format {FORMAT}: make the store again with this version.")
    known = {field.name for field in fields(StoreInfo)}
    try:
        return StoreInfo(**{name: value for name, value in values.items() if name in known})
    except TypeError as error:
        raise InputError(f"{path}/store.json is incomplete ({error}): make the store again.") from None


def _load_array(path: Path, mmap_mode: Literal["r"] | None = None) -> NDArray[Any]:
    try:
        return np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} cannot be read ({error}): make the store again.") from None


def _read_table(path: Path, expected: Sequence[str]) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): make the store again.") from None
    missing = [name for name in expected if name not in table.columns]
    if missing:
        raise InputError(f"{path} lacks the columns {', '.join(missing)}: make the store again.")
    return table
