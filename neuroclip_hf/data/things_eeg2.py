"""Facts of THINGS-EEG2 (Gifford et al., NeuroImage 2022), and functions over its folders.

The facts say what the published dataset is; sizes are always taken from the files, so that a part of it, or a
simulation in its layout, is read by the same functions.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import mne
import numpy as np

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data import safe_load
from neuroclip_hf.data.containers import RAW_FILTERS, RAW_KEYS
from neuroclip_hf.data.simulated import SIMULATED_DESCRIPTION, is_simulated
from neuroclip_hf.data.subject_names import subject_folder
from neuroclip_hf.errors import InputError

_FRONT = (
    "Fp1 Fp2 AF7 AF3 AFz AF4 AF8 F7 F5 F3 F1 F2 F4 F6 F8 FT9 FT7 FC5 FC3 FC1 FCz FC2 FC4 FC6 FT8 FT10 T7 "
    "C5 C3 C1 Cz C2 C4 C6 T8 TP9 TP7 CP5 CP3 CP1 CPz CP2 CP4 CP6 TP8 TP10"
)
_OCCIPITAL = "P7 P5 P3 P1 Pz P2 P4 P6 P8 PO7 PO3 POz PO4 PO8 O1 Oz O2"


@dataclass(frozen=True)
class ThingsEEG2Facts:
    """What the dataset's paper and files declare.

    Args:
        channels (`tuple` of `str`): the 63 EEG channels in file order.
        occipital_channels (`tuple` of `str`): the 17 occipito-parietal ones that work within a subject uses.
        stimulus_channel (`str`): name of the last row of a raw file; reference (`str`): the online reference.
        montage (`str`): the montage of MNE that holds all channels; MNE before 1.13 called it `standard_1005`.
        subjects, sessions (`int`): how many people, and recordings of each.
        sampling_rate (`float`): in Hz; highpass, lowpass (`float`): of the recording, in Hz.
        stimulus_interval, picture_duration (`float`): between onsets and of a picture, in seconds.
        training_concepts, training_pictures, training_repeats (`int`): concepts, pictures of each, showings of each.
        test_concepts, test_pictures, test_repeats (`int`): the same for the test set.
        sessions_of_training_picture (`int`): in how many sessions one training picture is shown.
        catch_code (`int`): stimulus code of a catch trial, which shows no picture of the set.
        epoch_start, epoch_stop (`float`): the window that recent work cuts, in seconds.
        epoch_sampling_rate (`float`): to which it resamples, in Hz.
        repeat_seed (`int`): the seed by which it chooses repeats.
    """

    channels: tuple[str, ...] = tuple(f"{_FRONT} {_OCCIPITAL}".split())
    occipital_channels: tuple[str, ...] = tuple(_OCCIPITAL.split())
    stimulus_channel: str = "stim"
    reference: str = "Fz"
    montage: str = "colin27_1005"
    subjects: int = 10
    sessions: int = 4
    sampling_rate: float = 1000.0
    highpass: float = 0.01
    lowpass: float = 100.0
    stimulus_interval: float = 0.2
    picture_duration: float = 0.1
    training_concepts: int = 1654
    training_pictures: int = 10
    training_repeats: int = 4
    test_concepts: int = 200
    test_pictures: int = 1
    test_repeats: int = 80
    sessions_of_training_picture: int = 2
    catch_code: int = 99999
    epoch_start: float = -0.2
    epoch_stop: float = 1.0
    epoch_sampling_rate: float = 250.0
    repeat_seed: int = 20200220


FACTS = ThingsEEG2Facts()
RAW_FILES = {TRAIN: "raw_eeg_training.npy", TEST: "raw_eeg_test.npy"}
PICTURE_FOLDERS = {TRAIN: "training_images", TEST: "test_images"}
METADATA_FILE = "image_metadata.npy"
_PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")

HIGHEST_RATE = 1e6
"""Samples a second that a recording may have (ours): no amplifier is faster."""
_LARGEST_VOLTAGE = 0.05  # a scalp electrode moves by less, drifts included; recordings in microvolts by far more


@dataclass(frozen=True)
class ImageMetadata:
    """The dataset's table of pictures; a stimulus code counts its rows from 1.

    Args:
        train_concepts, train_files (`tuple` of `str`): folder and file name of every training picture.
        test_concepts, test_files (`tuple` of `str`): the same for the test pictures.
        train_things_concepts, test_things_concepts (`tuple` of `str`): folders of the same pictures in THINGS itself.
        simulated (`bool`): whether the table says that a simulation made it.
    """

    train_concepts: tuple[str, ...]
    train_files: tuple[str, ...]
    test_concepts: tuple[str, ...]
    test_files: tuple[str, ...]
    train_things_concepts: tuple[str, ...] = ()
    test_things_concepts: tuple[str, ...] = ()
    simulated: bool = False

    def size(self, split: str) -> int:
        """How many pictures a split ("train" or "test") has."""
        return len(self._files(split)[1])

    def concept(self, split: str, code: int) -> str:
        """The concept of a stimulus code, as the picture folder is called: "00001_aardvark"."""
        return self._files(split)[0][self._row(split, code)]

    def image_id(self, split: str, code: int) -> str:
        """The picture of a stimulus code: "training_images/00001_aardvark/aardvark_01b.jpg".

        Raises:
            InputError: if the split has no such code.
        """
        row = self._row(split, code)
        concepts, files = self._files(split)
        return f"{PICTURE_FOLDERS[split]}/{concepts[row]}/{files[row]}"

    def _files(self, split: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if split == TRAIN:
            return self.train_concepts, self.train_files
        return self.test_concepts, self.test_files

    def _row(self, split: str, code: int) -> int:
        if not 1 <= code <= self.size(split):
            raise InputError(
                f"{METADATA_FILE} has {self.size(split)} {split} pictures and a recording shows number {code}: "
                "recordings and metadata belong to different datasets."
            )
        return int(code) - 1


def raw_path(source: str | Path, subject: int, session: int, split: str) -> Path:
    """Where the raw file of a session and split ("train" or "test") lies."""
    return Path(source) / subject_folder(subject) / f"ses-{session:02d}" / RAW_FILES[split]


def split_of(path: str | Path) -> str:
    """The split that a raw file belongs to, by its name.

    Raises:
        InputError: if it is called otherwise.
    """
    for split, name in RAW_FILES.items():
        if Path(path).name == name:
            return split
    raise InputError(f"{path} is no raw file of THINGS-EEG2: they are called {' and '.join(RAW_FILES.values())}.")


def read_raw(path: str | Path) -> mne.io.RawArray:
    """Read a raw file, a pickled dictionary, through [`safe_load.load`]; nothing in it is run.

    Returns:
        EEG channels in volts with their positions where the montage knows the name, and the stimulus channel. The
        samples are those that were read, without a copy. Simulated recordings say so in `info["description"]`.

    Raises:
        InputError: if keys are missing, shapes do not fit each other, or the values are not volts.
    """
    path = Path(path)
    content = safe_load.load(path)
    data, names, types = _checked_content(path, content)
    info = mne.create_info(names, float(content[RAW_KEYS[3]]), types, verbose="error")
    raw = mne.io.RawArray(data, info, verbose="error")
    montage = mne.channels.make_standard_montage(FACTS.montage)
    raw.set_montage(montage, on_missing="ignore", verbose="error")
    with raw.info._unlock():
        for key in RAW_FILTERS:
            raw.info[key] = float(content.get(key, raw.info[key]))
    if is_simulated(path) or content.get("description") == SIMULATED_DESCRIPTION:
        raw.info["description"] = SIMULATED_DESCRIPTION
    return raw


def read_events(raw: mne.io.BaseRaw) -> tuple[np.ndarray, np.ndarray]:
    """Onsets of the pictures and their codes, catch trials dropped.

    Returns:
        onset (trials,) in samples from the first stored one, and code (trials,), both int64.
    """
    events = mne.find_events(
        raw, FACTS.stimulus_channel, consecutive=True, shortest_event=1, initial_event=True, verbose="error"
    )
    shown = events[events[:, 2] != FACTS.catch_code]
    return shown[:, 0].astype(np.int64) - raw.first_samp, shown[:, 2].astype(np.int64)


def marker_code(description: str) -> int | None:
    """The stimulus code of an annotation that MNE made of a BrainVision marker: "Stimulus/S 12" -> 12; of others None.

    MNE by itself reads three digits as a code and numbers longer ones as it likes, so that it needs this function:
    `mne.events_from_annotations(raw, event_id=marker_code)`.
    """
    found = re.fullmatch(r"Stimulus/S *(\d+)", description)
    return int(found.group(1)) if found else None


def read_image_metadata(source: str | Path) -> ImageMetadata:
    """Read `image_metadata.npy` of a folder.

    Raises:
        InputError: if it is missing, keys are missing, lists have different lengths, or a name is no plain file name.
    """
    path = Path(source) / METADATA_FILE
    if not path.is_file():
        raise InputError(f"{path} is missing: it comes with the dataset and says which code shows which picture.")
    content = safe_load.load(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} holds {type(content).__name__} instead of a dictionary: get it again.")
    lists = {f"{split}_img_{what}": (split, what) for split in (TRAIN, TEST) for what in ("concepts", "files")}
    columns: dict[str, Any] = {f"{split}_{what}": _names(path, content, key) for key, (split, what) in lists.items()}
    for split in (TRAIN, TEST):
        key = f"{split}_img_concepts_THINGS"
        columns[f"{split}_things_concepts"] = _names(path, content, key) if key in content else ()
        lengths = {len(columns[f"{split}_{what}"]) for what in ("concepts", "files", "things_concepts")} - {0}
        if len(lengths) != 1 or not columns[f"{split}_concepts"] or not columns[f"{split}_files"]:
            raise InputError(f"{path}: the lists of {split} pictures have lengths {sorted(lengths)}: get it again.")
    return ImageMetadata(**columns, simulated=content.get("description") == SIMULATED_DESCRIPTION)


def list_pictures(images: str | Path) -> ImageMetadata:
    """The table of pictures as sorted folders and sorted files have it, where `image_metadata.npy` is missing.

    The dataset's own table is in that order, too.

    Raises:
        InputError: if a folder of pictures is missing or empty.
    """
    columns: dict[str, Any] = {}
    for split, folder in PICTURE_FOLDERS.items():
        found = sorted(
            path for path in (Path(images) / folder).glob("*/*") if path.suffix.lower() in _PICTURE_SUFFIXES
        )
        if not found:
            raise InputError(
                f"{Path(images) / folder} holds no pictures, and there is no {METADATA_FILE}: put one of them there, "
                "or name their folder with --pictures."
            )
        columns[f"{split}_concepts"] = tuple(path.parent.name for path in found)
        columns[f"{split}_files"] = tuple(path.name for path in found)
    return ImageMetadata(**columns)


def _names(path: Path, content: Mapping[str, Any], key: str) -> tuple[str, ...]:
    if key not in content:
        raise InputError(f"{path} lacks {key}: get it again.")
    names = content[key]
    names = names.tolist() if isinstance(names, np.ndarray) else names
    if not isinstance(names, list | tuple):
        raise InputError(f"{path}: {key} is {type(names).__name__} instead of a list: get it again.")
    for name in names:
        if not isinstance(name, str) or name == ".." or PurePosixPath(name).name != name or "\\" in name:
            raise InputError(f"{path}: {key} holds {name!r}, which is not the name of a file or folder: get it again.")
    return tuple(names)


def _checked_content(path: Path, content: Any) -> tuple[np.ndarray, list[str], list[str]]:
    if not isinstance(content, dict) or any(key not in content for key in RAW_KEYS):
        found = list(content) if isinstance(content, dict) else type(content).__name__
        raise InputError(f"{path} holds {found} instead of {', '.join(RAW_KEYS)}: is it a raw file of THINGS-EEG2?")
    data, names, types, rate = (content[key] for key in RAW_KEYS)
    names, types = list(names), list(types)
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.dtype.kind != "f" or data.shape[1] == 0:
        shape = getattr(data, "shape", type(data).__name__)
        raise InputError(f"{path}: {RAW_KEYS[0]} is {shape} instead of (channels, samples) of floating point numbers.")
    if not len(data) == len(names) == len(types) or len(set(names)) != len(names):
        raise InputError(
            f"{path}: {len(data)} rows, {len(names)} channel names and {len(types)} types; they must fit each other, "
            "and no name may come twice."
        )
    if [name for name, kind in zip(names, types, strict=True) if kind == "stim"] != [FACTS.stimulus_channel]:
        raise InputError(f"{path}: the stimulus channel must be called {FACTS.stimulus_channel}, and be the only one.")
    if isinstance(rate, bool) or not isinstance(rate, int | float | np.number) or not 1 <= rate <= HIGHEST_RATE:
        raise InputError(f"{path}: {RAW_KEYS[3]} is {rate!r} instead of samples per second (1 to {HIGHEST_RATE:g}).")
    eeg = [row for row, kind in enumerate(types) if kind == "eeg"]
    _check_volts(path, data[eeg, :: max(1, data.shape[1] // 5000)])
    return data, [str(name) for name in names], [str(kind) for kind in types]


def _check_volts(path: Path, values: np.ndarray) -> None:
    if not values.size:
        raise InputError(f"{path} has no EEG channel.")
    spread = float(np.nanmedian(np.nanstd(values, axis=1)))
    if spread > _LARGEST_VOLTAGE:
        raise InputError(
            f"{path}: EEG varies by {spread:.3g}, which cannot be volts: {RAW_KEYS[0]} must be in volts, so divide "
            "microvolts by a million."
        )
