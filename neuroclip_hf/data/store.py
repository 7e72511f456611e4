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
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from neuroclip_hf import columns
from neuroclip_hf.data.halves import widen
from neuroclip_hf.data.pictures import open_picture
from neuroclip_hf.data.trial_arrays import TrialArrays, load_array
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json

FORMAT = 1
STORE_FILE = "store.json"
SUBJECT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""What a subject may be called, since its trials lie in a folder of that name."""
TAKEN_NAMES = ("pictures", "pictures.parquet", "trials.parquet", STORE_FILE)
"""What lies beside those folders; some systems do not tell small letters from capitals."""
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
        versions (`dict`): of this package and the libraries that the numbers depend on.
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
    def window(self) -> tuple[float, float] | None:
        """What a trial holds, in seconds from the onset, the end not included; None for patterns."""
        if self.sampling_rate is None or self.num_timesteps is None:
            return None
        return self.window_start, self.window_start + self.num_timesteps / self.sampling_rate

    @property
    def trial_shape(self) -> tuple[int, ...]:
        """Shape of one trial: `(channels, samples)`, or `(voxels,)` for patterns."""
        timesteps = () if self.num_timesteps is None else (self.num_timesteps,)
        return (len(self.channels), *timesteps)

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with anything in the store.

        Fields at their default are left out, so that one which a later version adds does not rename the stores that
        came before it.
        """
        defaults = {one.name: _default(one) for one in fields(self)}
        said = {name: value for name, value in self.to_dict().items() if value != defaults[name]}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


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
        self.trials = _read_table(self.path / "trials.parquet", TRIAL_COLUMNS)
        self.pictures = _read_table(self.path / "pictures.parquet", PICTURE_COLUMNS)
        self._check_paths()
        self._arrays = TrialArrays(self.path, self.trials, self._trial_shape)
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
            trials (sequence of `int`): rows of the trial table, in any order, also several times.

        Returns:
            `numpy.ndarray` of shape `(trials, channels, samples)`, or `(trials, voxels)` for patterns.

        Raises:
            InputError: for a row that the table does not have.
        """
        rows = self._arrays.rows(trials)
        values = widen(rows, np.empty((len(rows), *self._trial_shape), dtype=np.float32), self._scale)
        if self._offset.any():
            values += self._offset
        return values

    def read_stored(self, trials: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float16]:
        """Trials as float16, the numbers as they are stored: half the bytes of [`read`], and sooner.

        A number x `info.scale` + `info.offset` of its channel is the value in `info.unit`.

        Args:
            trials (sequence of `int`): rows of the trial table, in any order, also several times.

        Returns:
            `numpy.ndarray` of shape `(trials, channels, samples)`, or `(trials, voxels)` for patterns.

        Raises:
            InputError: for a row that the table does not have.
        """
        return self._arrays.copy(trials)

    def read_means(self, groups: Sequence[Sequence[int] | NDArray[np.int64]]) -> NDArray[np.float32]:
        """Means over trials as float32 in `info.unit`, each over as many as its group has.

        Trials of one group are in memory at a time, beside the means.

        Args:
            groups (sequence of sequences of `int`): rows of the trial table.

        Returns:
            `numpy.ndarray` of shape `(groups, channels, samples)`, or `(groups, voxels)` for patterns.

        Raises:
            InputError: for an empty group, or a row that the table does not have.
        """
        means = np.empty((len(groups), *self._trial_shape), dtype=np.float32)
        for mean, group in zip(means, groups, strict=True):
            if not len(group):
                raise InputError(f"{self.path}: a mean of no trials was asked for: name at least one.")
            np.add.reduce(self.read(group), axis=0, out=mean)
            mean /= len(group)
        return means

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
        return np.concatenate([load_array(self.path / name / "covariance.npy") for name in names])

    @cached_property
    def _scale(self) -> NDArray[np.float32]:
        return self._by_channel(self.info.scale)

    @cached_property
    def _offset(self) -> NDArray[np.float32]:
        return self._by_channel(self.info.offset)

    def _by_channel(self, values: Sequence[float]) -> NDArray[np.float32]:
        """Broadcasts against a trial; one number where all channels share it, which is multiplied faster."""
        found = np.asarray(values, dtype=np.float32)
        if len(found) and (found == found[0]).all():
            return found[:1].reshape(())
        return found.reshape(-1, *(1,) * (len(self._trial_shape) - 1))

    @property
    def _trial_shape(self) -> tuple[int, ...]:
        timesteps = self.info.num_timesteps
        return (len(self.info.channels),) if timesteps is None else (len(self.info.channels), timesteps)

    def _check_paths(self) -> None:
        """Stores are exchanged: nothing in a table may lead outside the folder."""
        for subject in self.subjects:
            if not SUBJECT_NAME.fullmatch(subject):
                raise InputError(f"{self.path}: subject {subject!r} is no name of a folder: do not use this store.")
        root = (self.path / "pictures").resolve()
        for file in self.pictures[columns.PICTURE_FILE]:
            if not (self.path / file).resolve().is_relative_to(root):
                raise InputError(f"{self.path}: picture {file!r} lies outside the store: do not use this store.")


def read_store_info(path: Path) -> StoreInfo:
    """What the store.json of a folder says.

    Raises:
        InputError: if the folder has none, or one that is damaged or of another format.
    """
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


def _default(one: Field[Any]) -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()


def _read_table(path: Path, expected: Sequence[str]) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): make the store again.") from None
    missing = [name for name in expected if name not in table.columns]
    if missing:
        raise InputError(f"{path} lacks the columns {', '.join(missing)}: make the store again.")
    return table
