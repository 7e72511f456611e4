"""The kinds of vision tower, and their configs."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    PretrainedConfig,
    PreTrainedModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.configuration import refuse_unknown


@dataclass(frozen=True)
class TowerType:
    """A kind of vision tower in transformers.

    Args:
        config_class, model_class (`type`): its config and model.
        has_class_token (`bool`): whether its first token stands for the whole picture.
        inside (`str`, *optional*): model type of the checkpoints that hold such a tower beside a text tower.
    """

    config_class: type[PretrainedConfig]
    model_class: type[PreTrainedModel]
    has_class_token: bool
    inside: str | None = None


DEFAULT_TOWER_TYPE = "clip_vision_model"
# By the `model_type` of the config. What is inside a tower only the adapters know.
TOWER_TYPES: Mapping[str, TowerType] = MappingProxyType(
    {
        DEFAULT_TOWER_TYPE: TowerType(CLIPVisionConfig, CLIPVisionModel, True, inside="clip"),
        "siglip_vision_model": TowerType(SiglipVisionConfig, SiglipVisionModel, False, inside="siglip"),
        "dinov2": TowerType(Dinov2Config, Dinov2Model, True),
        "dinov2_with_registers": TowerType(Dinov2WithRegistersConfig, Dinov2WithRegistersModel, True),
    }
)


def tower_type(config: PretrainedConfig) -> TowerType:
    """The kind of tower that a config describes."""
    return TOWER_TYPES[config.model_type]


def find_tower_type(model_type: Any) -> TowerType | None:
    """The kind of tower that checkpoints of this model type are, or hold; `None` if there is none."""
    for name, one in TOWER_TYPES.items():
        if model_type in (name, one.inside):
            return one
    return None


def build_tower(config: PretrainedConfig) -> PreTrainedModel:
    """A new tower with random weights."""
    return tower_type(config).model_class(config)


def as_vision_config(given: Any) -> PretrainedConfig:
    """A tower's config from a config, or from a dict whose `model_type` says which; CLIP's if it does not.

    Raises:
        InputError: for an unknown kind of tower, an unknown setting or an impossible value.
    """
    if isinstance(given, PretrainedConfig):
        _known_type(given.model_type)
        return clean_vision_config(given)
    if given is not None and not isinstance(given, Mapping):
        raise InputError(f"vision_config is {given!r}: it must be a dict of settings, or a config.")
    settings = dict(given or {})
    config_class = _known_type(settings.pop("model_type", DEFAULT_TOWER_TYPE)).config_class
    derived = set(config_class().to_dict())  # such as the names of DINOv2's stages, which its config.json holds
    refuse_unknown(config_class, set(settings) - derived)
    fields = {field.name for field in dataclasses.fields(config_class)}
    try:
        return clean_vision_config(config_class(**{name: settings[name] for name in settings if name in fields}))
    except ZeroDivisionError:  # transformers looks whether heads divide the width
        raise InputError("vision_config.num_attention_heads is 0: it must be at least 1.") from None
    except (StrictDataclassError, TypeError, ValueError) as error:
        raise InputError(f"vision_config cannot be used: {error}") from error


def clean_vision_config(config: PretrainedConfig) -> PretrainedConfig:
    """A copy that holds the fields of such a tower only; old checkpoints carry many that mean nothing.

    Its dtype is left out too: towers are loaded in the precision of the model, or in the one that it names.
    """
    names = [field.name for field in dataclasses.fields(config) if not field.name.startswith("_")]
    known = {name: getattr(config, name) for name in names if name != "dtype"}
    return type(config)(**known, attn_implementation=config._attn_implementation)


def _known_type(model_type: Any) -> TowerType:
    if model_type not in TOWER_TYPES:
        raise InputError(
            f"vision_config is of type {model_type!r}: vision towers are of the types {', '.join(TOWER_TYPES)}."
        )
    return TOWER_TYPES[model_type]
