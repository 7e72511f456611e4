"""Rows of a training dataset -> one batch, each picture once."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from PIL import Image

from neuroclip_hf import columns
from neuroclip_hf.errors import InputError
from neuroclip_hf.logging import progress
from neuroclip_hf.processing.processing_brain import BrainImageProcessor

MAX_CACHE_BYTES = 2 * 1024**3
"""Preprocessed pictures are kept in memory up to this size, in each process (ours); others are decoded every time."""

_ITEM = (columns.PICTURE_INDEX, columns.IMAGE_ID, columns.SUBJECT_INDEX)


class PictureSet:
    """Pictures by number, each decoded and preprocessed once as long as memory allows.

    Args:
        open_picture (callable from `str` to `PIL.Image.Image`): opens a picture by its id.
        image_ids (sequence of `str`): the pictures, in order.
        processor (`BrainImageProcessor`): preprocesses them.
    """

    def __init__(
        self, open_picture: Callable[[str], Image.Image], image_ids: Sequence[str], processor: BrainImageProcessor
    ) -> None:
        self._open, self._ids, self._processor = open_picture, list(image_ids), processor
        self._cache: dict[str, torch.Tensor] = {}
        self._digests: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def image_ids(self) -> list[str]:
        """The pictures, in order."""
        return list(self._ids)

    def subset(self, numbers: Iterable[int]) -> "PictureSet":
        """Some of the pictures; they share what is kept in memory."""
        part = PictureSet(self._open, [self._ids[int(number)] for number in numbers], self._processor)
        part._cache, part._digests = self._cache, self._digests
        return part

    @property
    def preprocessing(self) -> dict[str, Any]:
        """Settings of what is done to a picture after it is opened."""
        return self._processor.image_processor.to_dict()

    def digests(self, description: str) -> list[str]:
        """A digest of each picture's pixels as opened, in order, with a progress bar; equal ones are one picture."""
        for name in progress([name for name in self._ids if name not in self._digests], desc=description):
            picture = self._open(name)
            digest = hashlib.sha256(f"{picture.mode} {picture.size}\n".encode())
            digest.update(picture.tobytes())
            self._digests[name] = digest.hexdigest()
        return [self._digests[name] for name in self._ids]

    def pixel_values(self, numbers: Iterable[int]) -> torch.Tensor:
        """Preprocessed pictures, `(pictures, 3, height, width)`, float32."""
        return torch.stack([self._one(int(number)) for number in numbers])

    def batches(self, size: int, description: str) -> Any:
        """All pictures in order, `(size, 3, height, width)` at a time, with a progress bar."""
        for start in progress(range(0, len(self), size), desc=description, unit="batch"):
            yield self.pixel_values(range(start, min(start + size, len(self))))

    def _one(self, number: int) -> torch.Tensor:
        name = self._ids[number]
        if name in self._cache:
            return self._cache[name]
        pixels = self._processor(images=self._open(name))[columns.PIXEL_VALUES][0]
        if (len(self._cache) + 1) * pixels.nbytes <= MAX_CACHE_BYTES:  # pictures are of one size
            self._cache[name] = pixels
        return pixels


class BrainImageCollator:
    """Items of a [`TrialDataset`] -> the arguments of a model's `forward`.

    Args:
        processor (`BrainImageProcessor`): standardises the trials.
        pictures (`PictureSet`, *optional*): the pictures that items number; `None` opens none, for a model whose
            tower carries no adapter, to which `image_features` say all.
        image_features (`torch.Tensor` of shape `(pictures, num_layers, width)`, *optional*): what the tower without
            adapters says of them; without it the model computes what it needs.
        picture_inputs (`Mapping`): what else the model is given of each picture, such as the ids of its caption's
            tokens: batch key -> tensor (pictures, ...), see [`BrainImageProcessor.picture_inputs`].

    Raises:
        InputError: if neither pictures nor features are given, or a picture input has the name of another key.
    """

    def __init__(
        self,
        processor: BrainImageProcessor,
        pictures: PictureSet | None,
        image_features: torch.Tensor | None = None,
        picture_inputs: Mapping[str, torch.Tensor] = MappingProxyType({}),
    ) -> None:
        if pictures is None and image_features is None:
            raise InputError("the collator was given neither pictures nor their image_features: pass one of them.")
        own = {processor.feature_extractor.input_name, *_ITEM, columns.PIXEL_VALUES, columns.IMAGE_FEATURES}
        if taken := sorted(own & set(picture_inputs)):
            raise InputError(f"picture_inputs holds {taken[0]}, which the batch has already: give it another name.")
        self._processor, self._pictures = processor, pictures
        features = {} if image_features is None else {columns.IMAGE_FEATURES: image_features}
        self._of_pictures = {**features, **picture_inputs}

    def __call__(self, items: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Make a batch; its keys are arguments of `forward`, each picture of it stands there once.

        Raises:
            InputError: if something between dataset and collator took entries out of the items.
        """
        trials = self._processor.feature_extractor
        lacking = [name for name in (trials.input_name, *_ITEM) if name not in items[0]]
        if lacking:
            raise InputError(
                f"the items lack {', '.join(lacking)}, and have {', '.join(items[0])}: transformers' Trainer takes "
                "out what the model's forward does not name unless it is given remove_unused_columns=False."
            )
        numbers, places = np.unique([item[columns.PICTURE_INDEX] for item in items], return_inverse=True)
        batch = {
            **trials(np.stack([item[trials.input_name] for item in items])),
            columns.PICTURE_INDEX: torch.from_numpy(places),
            columns.IMAGE_ID: torch.tensor([item[columns.IMAGE_ID] for item in items]),
            columns.SUBJECT_INDEX: torch.tensor([item[columns.SUBJECT_INDEX] for item in items]),
        }
        if self._pictures is not None:
            batch[columns.PIXEL_VALUES] = self._pictures.pixel_values(numbers)
        return batch | {name: each[torch.from_numpy(numbers)] for name, each in self._of_pictures.items()}
