"""How a checkpoint's weights may be read, and whether the tower among them is the one that was saved."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from os import PathLike
from typing import Any

import torch
from safetensors import safe_open
from transformers import PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, cached_file
from transformers.utils.hub import get_checkpoint_shard_files

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.tower_loading import base_weights, fingerprint_of


def refuse_unsafe(options: Mapping[str, Any]) -> None:
    """Raise [`InputError`] if options of `from_pretrained` ask for pickled weights or for code of a repository.

    Not for `trust_remote_code=True` of an Auto class: that is about finding the model's class, which is found by then.
    """
    if options.get("use_safetensors") not in (None, True):
        raise InputError(
            f"use_safetensors is {options['use_safetensors']!r}: checkpoints are read from safetensors only, since "
            "pickled weights could run code."
        )
    through_auto_class = "adapter_kwargs" in options  # which it alone passes on
    if options.get("trust_remote_code") and not through_auto_class:
        raise InputError("trust_remote_code is true: code of a repository is never run. Leave it out.")


def included_fingerprint(model: PreTrainedModel) -> str:
    """The digest of a model's own towers as a checkpoint holds it, under the names that it has there.

    As [`tower_fingerprint`], but transformers stores some towers under other names than it builds them.
    """
    return fingerprint_of(_tower_as_stored(model))


def refuse_another_tower(
    model: PreTrainedModel, name_or_path: str | PathLike[str] | None, options: Mapping[str, Any]
) -> None:
    """Raise [`InputError`] if a checkpoint holds another tower than the one that was saved in it.

    Its files are read, and not the tower as it was loaded, which may be in another precision. Nothing is asked of a
    checkpoint that holds no tower, or says nothing of it.

    Args:
        model (`PreTrainedModel`): loaded from the checkpoint.
        name_or_path (`str` or path): of the checkpoint.
        options (`Mapping`): as for `PreTrainedModel.from_pretrained`.
    """
    recorded = model.config.included_fingerprint if model.config.tower_included else None
    if recorded is None or model.vision_model is None or name_or_path is None or options.get("state_dict") is not None:
        return
    with ExitStack() as opened:
        files = [opened.enter_context(safe_open(path, "pt")) for path in _weight_files(name_or_path, options)]
        found = fingerprint_of(_Stored(_tower_as_stored(model), files))
    if found != recorded:
        raise InputError(
            f"{name_or_path} holds towers with the fingerprint {found}, but was saved with {recorded}: copy "
            "the whole checkpoint again, or pass strict=False if they were changed on purpose."
        )


def _tower_as_stored(model: Any) -> dict[str, torch.Tensor]:
    weights = {f"{part.name}.{key}": each for part, tower in model.towers() for _, key, each in base_weights(tower)}
    return revert_weight_conversion(model, weights)


class _Stored(Mapping[str, torch.Tensor]):
    """Tensors of safetensors files with these names, read one at a time, as they are asked for."""

    def __init__(self, names: Iterable[str], files: Iterable[Any]) -> None:
        holders = {name: file for file in files for name in file.keys()}  # noqa: SIM118 - it is no mapping
        self._files = {name: holders[name] for name in names if name in holders}

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._files[name].get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _weight_files(name_or_path: str | PathLike[str], options: Mapping[str, Any]) -> list[str]:
    """Where the files are that transformers has just read."""
    names = ("cache_dir", "local_files_only", "proxies", "revision", "subfolder", "token")
    places = {name: options[name] for name in names if options.get(name) is not None}
    whole, index = (_of_variant(name, options.get("variant")) for name in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME))
    try:
        return [str(cached_file(name_or_path, whole, **places))]
    except OSError:
        found = cached_file(name_or_path, index, **places)
        return get_checkpoint_shard_files(name_or_path, found, **places)[0]


def _of_variant(name: str, variant: str | None) -> str:
    stem, dot, ending = name.rpartition(".")
    return name if variant is None else f"{stem}.{variant}{dot}{ending}"
