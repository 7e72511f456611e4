"""Features of pictures by a frozen tower, computed once: kept in memory, and on disk where a folder is named."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from neuroclip_hf.errors import InputError
from neuroclip_hf.files import new_file
from neuroclip_hf.logging import get_logger
from neuroclip_hf.processing.collator import PictureSet

_SETTINGS = "settings"
# What an image processor says of itself that changes no pixel.
_NO_MATTER = frozenset({"_name_or_path", "name_or_path", "processor_class", "transformers_version"})


class ImageFeatureCache:
    """Looks features up by all that they depend on: tower, layers, token, preprocessing and the picture's pixels.

    The names of pictures and folders do not matter. On disk there is one safetensors file for each tower and
    preprocessing, which grows and is replaced whole; a damaged one is computed anew, and said so.

    Args:
        folder (path, *optional*): where features outlive the process.

    Raises:
        InputError: if the folder is a file.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self._folder = None if folder is None else Path(folder)
        if self._folder is not None and self._folder.is_file():
            raise InputError(f"{self._folder} is a file: image features are kept in a folder, so name one.")
        self._memory: dict[str, dict[str, torch.Tensor]] = {}

    def features(
        self, pictures: PictureSet, tower: Mapping[str, Any], encode: Callable[[PictureSet], torch.Tensor]
    ) -> torch.Tensor:
        """Features of pictures, of which only those are encoded that were not before.

        Args:
            pictures (`PictureSet`): the pictures, with their preprocessing.
            tower (`Mapping`): the tower's fingerprint, and which layers and token are read; plain values.
            encode (callable): pictures to features (pictures, num_layers, width), float32 on the CPU.

        Returns:
            `torch.Tensor` of shape `(pictures, num_layers, width)`, in the order of `pictures`.
        """
        preprocessing = {name: value for name, value in pictures.preprocessing.items() if name not in _NO_MATTER}
        settings = json.dumps({**tower, "preprocessing": preprocessing}, sort_keys=True, default=str)
        digests = pictures.digests("known pictures")
        known = self._known(settings, set(digests))
        new = {digest: number for number, digest in enumerate(digests) if digest not in known}
        if new:
            encoded = encode(pictures.subset(new.values()))
            known.update({digest: features.clone() for digest, features in zip(new, encoded, strict=True)})
            self._write(settings, known)
        return torch.stack([known[digest] for digest in digests])

    def path(self, settings: str) -> Path | None:
        """The file for these settings; `None` without a folder."""
        if self._folder is None:
            return None
        return self._folder / f"{hashlib.sha256(settings.encode()).hexdigest()[:32]}.safetensors"

    def _known(self, settings: str, wanted: set[str]) -> dict[str, torch.Tensor]:
        known = self._memory.setdefault(settings, {})
        if wanted - set(known):
            known.update(self._read(settings, wanted - set(known)))
        return known

    def _read(self, settings: str, wanted: set[str] | None = None) -> dict[str, torch.Tensor]:
        path = self.path(settings)
        if path is None or not path.is_file():
            return {}
        try:
            with safe_open(path, framework="pt") as file:
                if (file.metadata() or {}).get(_SETTINGS) != settings:
                    raise ValueError("it was made with other settings")
                names = set(file.keys()) if wanted is None else wanted & set(file.keys())
                return {name: file.get_tensor(name) for name in names}
        except (OSError, SafetensorError, ValueError) as error:
            get_logger().warning("%s cannot be used (%s): its pictures are encoded again.", path, error)
            return {}

    def _write(self, settings: str, known: Mapping[str, torch.Tensor]) -> None:
        path = self.path(settings)
        if path is None:
            return
        with new_file(path) as temporary:
            save_file({**self._read(settings), **known}, temporary, metadata={_SETTINGS: settings})
