"""Containers of UBP: a dictionary by `torch.save`."""

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.data import safe_load
from neuroclip_hf.data.containers import UBP_FILES, UBP_FURTHER_KEYS, UBP_KEYS
from neuroclip_hf.data.sources.layouts.base import UNKNOWN_FIT, EpochedFile, EpochedLayout, make_epoched
from neuroclip_hf.data.things_eeg2 import ImageMetadata
from neuroclip_hf.errors import InputError

_EEG, _IMAGE, _SESSION, _CHANNELS, _TIMES = UBP_KEYS
_LABEL = UBP_FURTHER_KEYS[0]


class UbpLayout(EpochedLayout):
    """`sub-XX/{train,test}.pt`: float16 epochs with the picture and the session (counted from 0) of every trial.

    Tensors are mapped from the file; arrays are read into memory.
    """

    name = "ubp"
    description = "epochs of UBP (.pt)"
    file_names = UBP_FILES

    def open(self, path: Path, split: str, metadata: ImageMetadata) -> EpochedFile:
        """Open a dictionary through `safe_load`."""
        content = safe_load.load(path)
        if not isinstance(content, dict) or any(key not in content for key in UBP_KEYS):
            found = list(content) if isinstance(content, dict) else type(content).__name__
            raise InputError(f"{path} holds {found} instead of {', '.join(UBP_KEYS)}: get the file again.")
        values = _as_array(path, _EEG, content[_EEG])
        images, sessions = (_of_trials(path, key, content[key], values) for key in (_IMAGE, _SESSION))
        if sessions.dtype.kind not in "iuf":
            raise InputError(f"{path}: {_SESSION} holds no numbers: get the file again.")
        numbers = sessions.astype(np.float64)
        if not np.isfinite(numbers).all() or (numbers < 0).any() or (numbers % 1).any():
            raise InputError(f"{path}: {_SESSION} holds numbers that count nothing: get the file again.")
        ids = _image_ids(path, images, split, metadata)
        if _LABEL in content:
            _check_labels(path, _of_trials(path, _LABEL, content[_LABEL], values), ids)
        found_sessions = numbers.astype(np.int64) + 1
        channels, times = content[_CHANNELS], _as_array(path, _TIMES, content[_TIMES])
        return make_epoched(path, values, channels, times, split, metadata, UNKNOWN_FIT, ids, found_sessions)


def _as_array(path: Path, key: str, given: Any) -> NDArray[Any]:
    try:
        return np.asarray(given)
    except (TypeError, ValueError):  # a tensor of a type that NumPy does not have, or a ragged list
        kind = getattr(given, "dtype", type(given).__name__)
        raise InputError(f"{path}: {key} is {kind}, which is no type of array: save it as float32.") from None


def _of_trials(path: Path, key: str, given: Any, values: np.ndarray) -> NDArray[Any]:
    """What a container says of every trial, (pictures, repeats); said of every picture it holds for its repeats."""
    found = _as_array(path, key, given)
    if found.ndim == 1 and found.shape == values.shape[:1]:
        found = np.repeat(found[:, None], values.shape[1], axis=1)
    if values.ndim != 4 or found.shape != values.shape[:2]:
        raise InputError(f"{path}: {key} has shape {found.shape} and {_EEG} {values.shape}: get the file again.")
    return found


def _check_labels(path: Path, labels: NDArray[Any], ids: NDArray[np.object_]) -> None:
    """Whether the numbers of concepts say of every trial what its picture says: one number a concept."""
    concepts: dict[Any, str] = {}
    numbers: dict[str, Any] = {}
    for number, image_id in zip(labels.reshape(-1).tolist(), ids.reshape(-1), strict=True):
        concept = PurePosixPath(image_id).parent.name
        if concepts.setdefault(number, concept) != concept or numbers.setdefault(concept, number) != number:
            raise InputError(
                f"{path}: {_LABEL} {number!r} and {_IMAGE} {image_id!r} do not fit each other, since they stand with "
                "others elsewhere: get the file again."
            )


def _image_ids(path: Path, images: NDArray[Any], split: str, metadata: ImageMetadata) -> NDArray[np.object_]:
    """Ids of the pictures: a path's folder and file name count, whatever the folders above are called."""
    known = {
        tuple(PurePosixPath(image_id).parts[-2:]): image_id
        for image_id in (metadata.image_id(split, code) for code in range(1, metadata.size(split) + 1))
    }
    ids = np.empty(images.shape, dtype=object)
    for place, text in np.ndenumerate(images):
        image_id = known.get(tuple(PurePosixPath(str(text).replace("\\", "/")).parts[-2:]))
        if image_id is None:
            raise InputError(
                f"{path}: {_IMAGE} names {str(text)[:100]!r}, which is no {split} picture of the dataset."
            )
        ids[place] = image_id
    return ids
