"""Vision towers from the Hub, a folder or the package, and how one is told from another."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils.hub import resolve_revision

from neuroclip_hf.columns import SMALL_CLIP
from neuroclip_hf.errors import InputError
from neuroclip_hf.models.loading import without_load_report, without_weight_bars
from neuroclip_hf.models.tower_types import TOWER_TYPES, clean_vision_config, find_tower_type, tower_type

# What `from_pretrained` passes on to the Hub when it fetches a tower too.
HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "proxies", "token")
_COMMIT_LENGTH = 40


@dataclass(frozen=True)
class StoredTower:
    """A tower as its checkpoint stores it.

    Args:
        name (`str`): of the tower, for messages.
        weights (`dict`): name in the tower -> tensor, in the stored precision.
        fingerprint (`str`): see [`tower_fingerprint`].
    """

    name: str
    weights: dict[str, torch.Tensor]
    fingerprint: str

    @classmethod
    def of(cls, name: str, tower: nn.Module) -> "StoredTower":
        """What a tower fresh from its checkpoint holds."""
        weights = {name: tensor.detach() for name, _, tensor in base_weights(tower)}
        return cls(name, weights, fingerprint_of(weights))

    def fill(self, tower: nn.Module) -> list[str]:
        """Copy the weights into a tower, adapted or not, and mark them so that transformers does not draw them anew.

        Returns:
            Names of weights that a checkpoint had filled before; they are overwritten.

        Raises:
            InputError: if the tower is of another size.
        """
        places = {name: tensor for name, _, tensor in base_weights(tower)}
        odd = sorted(set(places) ^ set(self.weights))
        odd += [name for name in places if name in self.weights and places[name].shape != self.weights[name].shape]
        if odd:
            raise InputError(
                f"tower {self.name} does not fit vision_config: {odd[0]} is missing on one side, or of another shape. "
                "Restore config.json, or take another tower."
            )
        before = [name for name, tensor in places.items() if getattr(tensor, "_is_hf_initialized", False)]
        with torch.no_grad():
            for name, tensor in places.items():
                tensor.copy_(self.weights[name])
                tensor._is_hf_initialized = True  # type: ignore[attr-defined]
        return before


_INSTEAD = f"Without a connection name a folder that holds it, or {SMALL_CLIP}, which ships with the package."


def read_tower_config(name_or_path: str, revision: str | None = None, **hub: Any) -> PretrainedConfig:
    """The config of the vision tower of a checkpoint on the Hub or in a folder.

    Raises:
        InputError: if there is no such checkpoint, or it holds no vision tower of a known type; for a file, which
            transformers would unpickle.
    """
    if Path(name_or_path).is_file():
        raise InputError(f"tower {name_or_path} is a file: name the folder that holds it.")
    try:
        model_type = PretrainedConfig.get_config_dict(name_or_path, revision=revision, **hub)[0].get("model_type")
        found = find_tower_type(model_type)
        if found is None:
            raise InputError(
                f"tower {name_or_path} is of type {model_type!r}: only vision towers of the types "
                f"{', '.join(TOWER_TYPES)} can be used, or checkpoints that hold one (clip, siglip)."
            )
        return clean_vision_config(found.config_class.from_pretrained(name_or_path, revision=revision, **hub))
    except AttributeError:
        raise InputError(
            f"tower {name_or_path}: its config.json holds no settings: copy the whole checkpoint."
        ) from None
    except OSError as error:
        raise InputError(f"tower {name_or_path} cannot be loaded: {error} {_INSTEAD}") from error


def load_tower(
    name_or_path: str,
    config: PretrainedConfig,
    revision: str | None = None,
    dtype: torch.dtype | str = torch.float32,
    **hub: Any,
) -> PreTrainedModel:
    """The vision tower of a checkpoint; safetensors only, never remote code.

    Args:
        name_or_path (`str`): on the Hub, or a folder.
        config (`PretrainedConfig`): its config, see [`read_tower_config`].
        revision (`str`, *optional*): branch, tag or commit.
        dtype (`torch.dtype` or "auto"): precision; "auto" is the stored one.
        hub: as for `PreTrainedModel.from_pretrained`: cache_dir, local_files_only, token.

    Raises:
        InputError: if its weights cannot be read, or do not fill the tower exactly.
    """
    return fill_from_checkpoint(tower_type(config).model_class, name_or_path, config, revision, dtype, **hub)


def fill_from_checkpoint(
    model_class: type[PreTrainedModel],
    name_or_path: str,
    config: PretrainedConfig,
    revision: str | None,
    dtype: torch.dtype | str,
    **hub: Any,
) -> PreTrainedModel:
    """[`load_tower`] for a class of transformers that finds its weights in such a checkpoint."""
    try:
        with (
            without_weight_bars(),
            without_load_report(),
        ):  # it lists other parts; see below for what lacks
            tower, report = model_class.from_pretrained(
                name_or_path,
                config=config,
                revision=revision,
                dtype=dtype,
                use_safetensors=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **hub,
            )
    except SafetensorError as error:
        raise InputError(f"tower {name_or_path}: its weights are damaged ({error}): copy them again.") from None
    except OSError as error:
        raise InputError(f"tower {name_or_path} cannot be loaded: {error} {_INSTEAD}") from error
    tower.config._name_or_path = ""  # the model's own config says where the tower is from
    wrong = sorted(str(key) for kind in ("missing_keys", "mismatched_keys") for key in report[kind])
    if wrong:
        raise InputError(f"tower {name_or_path} lacks weights, or has them in another shape: {', '.join(wrong[:5])}.")
    return tower


def floating_dtype(tower: nn.Module) -> torch.dtype | None:
    """The precision of a tower's own weights; `None` if they have several."""
    dtypes = {tensor.dtype for _, _, tensor in base_weights(tower) if tensor.is_floating_point()}
    return dtypes.pop() if len(dtypes) == 1 else None


def refuse_revision(name: str | PathLike[str] | None, revision: str | None) -> None:
    """Raise [`InputError`] for a revision of what has none: a folder, or the tower that ships with the package.

    Passed over are `None` and "main", which transformers passes on where nobody asked for a revision.
    """
    if name is None or revision in (None, "main"):
        return
    if name == SMALL_CLIP:
        raise InputError(f"revision is {revision!r}, but {name} ships with the package: leave it out.")
    if Path(name).is_dir():
        raise InputError(f"revision is {revision!r}, but {name} is a folder, which has none: leave it out.")


def resolve_commit(name: str, revision: str | None, **hub: Any) -> str | None:
    """The commit that a branch or tag of a repository on the Hub points to now.

    `None` for a folder; `revision` itself where the Hub cannot be asked and the cache does not know.
    """
    if Path(name).is_dir():
        return None
    known = {key: hub[key] for key in ("cache_dir", "local_files_only", "token") if key in hub}
    found = resolve_revision(name, revision, **known)
    return getattr(found, "resolved", found)


def can_be_fetched(name: str, revision: str | None) -> bool:
    """Whether a name and a revision will give the same tower anywhere: the package's own, or a commit on the Hub."""
    if name == SMALL_CLIP:
        return True
    return revision is not None and len(revision) == _COMMIT_LENGTH and set(revision) <= set("0123456789abcdef")


def tower_fingerprint(tower: nn.Module) -> str:
    """A digest of a tower's own weights, whatever adapters are on it.

    SHA-256 over name, dtype, shape and bytes of every stored tensor, in order of name: the same wherever and in
    whichever order they were stored, and another one as soon as a bit or the precision changes. Names are those of
    transformers' modules: a version of transformers that renames them gives the same tower another fingerprint.
    """
    return fingerprint_of({name: tensor for name, _, tensor in base_weights(tower)})


def fingerprint_of(weights: Mapping[str, torch.Tensor]) -> str:
    """See [`tower_fingerprint`]; of tensors by name."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def base_weights(module: nn.Module, name: str = "", key: str = "") -> Iterator[tuple[str, str, torch.Tensor]]:
    """The tensors of a tower that it would store without adapters.

    Yields:
        The name without adapters, the key in the tower's state as it is, and the tensor itself.
    """
    if isinstance(module, BaseTunerLayer):
        yield from base_weights(module.base_layer, name, f"{key}base_layer.")
        return
    for part, tensor in {**module._parameters, **module._buffers}.items():
        if tensor is not None and part not in module._non_persistent_buffers_set:
            yield name + part, key + part, tensor
    for part, child in module.named_children():
        yield from base_weights(child, f"{name}{part}.", f"{key}{part}.")
