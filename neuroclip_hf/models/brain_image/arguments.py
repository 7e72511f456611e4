"""What loading, building and saving may be given, looked at before anything is read or written."""

import inspect
from collections.abc import Collection, Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedModel

from neuroclip_hf.adapters.neuro_prompt import is_tower
from neuroclip_hf.errors import InputError
from neuroclip_hf.models.configuration import refuse_unknown, require_dtype, setting_names
from neuroclip_hf.models.tower_loading import StoredTower
from neuroclip_hf.models.tower_parts import TowerPart
from neuroclip_hf.models.towers import looks_like_path

_OF_THE_CLASS = ("self", "save_directory", "kwargs")
# Of transformers 4, which many programs still pass; weights are written as safetensors whatever they say.
_OF_THE_PAST = ("safe_serialization", "save_function")


def check_model(
    model_class: Any, config: Any, vision_model: Any, stored_towers: Any, towers: Mapping[str, Any]
) -> None:
    """Raise [`InputError`] for arguments of a model's constructor that nobody knows, or of the wrong kind.

    Args:
        model_class (`type`): of the model.
        config: should be its config.
        vision_model: should be a tower, or `None`.
        stored_towers: should be a mapping, or `None`.
        towers (`Mapping`): all other arguments. Of those that are no parts of the model, transformers has handed on
            what `from_pretrained` was given and nobody knows.
    """
    if not isinstance(config, model_class.config_class):
        raise InputError(f"config is {config!r}: it must be a {model_class.config_class.__name__}.")
    unknown = sorted(set(towers) - {part.name for part in model_class.tower_parts})
    if unknown:
        raise InputError(
            f"{model_class.__name__} has no setting {', '.join(unknown)}: its settings are "
            f"{', '.join(setting_names(type(config)))}."
        )
    if vision_model is not None and not is_tower(vision_model):
        raise InputError(
            f"vision_model is {_short(vision_model)}: it must be a vision tower of transformers, or None; of a whole "
            "model pass its vision_model."
        )
    if vision_model is not None and not config.vision:
        raise InputError("vision_model was given, but config.vision is False: leave one of them out.")
    if stored_towers is not None and not _are_towers(stored_towers, {part.name for part in model_class.tower_parts}):
        raise InputError(f"stored_towers is {stored_towers!r}: it must be a dict of towers, or None.")


def _are_towers(given: Any, names: Collection[str]) -> bool:
    if not isinstance(given, Mapping):
        return False
    return all(name in names and isinstance(tower, StoredTower) for name, tower in given.items())


def check_place(name_or_path: Any, options: Mapping[str, Any]) -> None:
    """Raise [`InputError`] unless a checkpoint can be at a place: a folder, or a repository on the Hub.

    A file is refused whatever it holds: transformers would unpickle it.

    Args:
        name_or_path: the place; `None` is right beside a config and weights.
        options (`Mapping`): as for `PreTrainedModel.from_pretrained`.
    """
    config = options.get("config")
    if isinstance(config, (str, PathLike)) and looks_like_path(str(config)) and not Path(config).exists():
        raise InputError(f"config is {config}: there is no such file or folder.")
    if name_or_path is None and config is not None and options.get("state_dict") is not None:
        return
    if not isinstance(name_or_path, (str, PathLike)) or not str(name_or_path):
        raise InputError(f"name_or_path is {name_or_path!r}: it must be a folder, or a repository on the Hub.")
    path = Path(name_or_path)
    if path.is_file():
        raise InputError(f"name_or_path is {path}, which is a file: name the folder that holds it, {path.parent}.")
    if looks_like_path(str(name_or_path)) and not path.is_dir():
        raise InputError(f"name_or_path is {name_or_path}: there is no such folder.")


def check_loading(
    config_class: type[PretrainedConfig], parts: Collection[TowerPart], options: Mapping[str, Any]
) -> None:
    """Raise [`InputError`] for options of `from_pretrained` that are no settings, or of the wrong kind.

    Args:
        config_class (`type`): of the model's config.
        parts (collection of [`TowerPart`]): of the model.
        options (`Mapping`): as for `PreTrainedModel.from_pretrained`.
    """
    for name in ("stored_towers", *(part.name for part in parts)):
        if name in options:
            raise InputError(
                f"{name} is {_short(options[name])}: a checkpoint holds its towers or names them, so leave it out; "
                "from_vision_pretrained builds a model on another tower."
            )
    fingerprints = (part.fingerprint for part in parts)
    for name in ("tower", "tower_revision", "tower_included", "included_fingerprint", *fingerprints):
        if name in options:
            raise InputError(
                f"{name} is {options[name]!r}, but it follows from the checkpoint here: leave it out; "
                "from_vision_pretrained builds a model on another tower."
            )
    if options.get("dtype") != "auto" and not isinstance(options.get("dtype"), Mapping):
        require_dtype("dtype", options.get("dtype"))
    for name in config_class.sub_configs_defaults:
        if name in options and not isinstance(options[name], (PretrainedConfig, Mapping)):
            raise InputError(f"{name} is {options[name]!r}: it must be a dict of settings, or a config.")
    config = options.get("config")
    if config is not None and not isinstance(config, (config_class, str, PathLike)):
        raise InputError(f"config is {_short(config)}: it must be a {config_class.__name__}, or the place of one.")
    if isinstance(config, PretrainedConfig) and (both := changed_settings(config_class, options)):
        raise InputError(f"{', '.join(both)}: config was given too, so set it there.")


def check_against(config: PretrainedConfig, options: Mapping[str, Any], name_or_path: Any, strict: bool) -> None:
    """Raise [`InputError`] for options of `from_pretrained` that do not go with the config of its checkpoint.

    Args:
        config (`PretrainedConfig`): of the checkpoint.
        options (`Mapping`): as for `PreTrainedModel.from_pretrained`.
        name_or_path (`str` or path): of the checkpoint.
        strict (`bool`): whether a whole side of the model may not be missing.
    """
    if strict and options.get("vision") and not config.vision:
        raise InputError(
            f"vision is True, but {name_or_path} was saved with vision=False: load the checkpoint that it came from."
        )
    for name in config.sub_configs_defaults:
        inner, given = getattr(config, name), options.get(name)
        kind = given.get("model_type") if isinstance(given, Mapping) else getattr(given, "model_type", None)
        if kind not in (None, inner.model_type):
            raise InputError(
                f"{name}.model_type is {kind!r}, but {name_or_path} holds one of type {inner.model_type!r}: leave it "
                "out."
            )
        if isinstance(given, Mapping):
            refuse_unknown(type(inner), set(options[name]) - set(inner.to_dict()))


def changed_settings(config_class: type[PretrainedConfig], options: Mapping[str, Any]) -> list[str]:
    """The settings of a config that options of `from_pretrained` change, as `name is value`."""
    return [f"{name} is {_short(options[name])}" for name in setting_names(config_class) if name in options]


def check_building(
    parts: Iterable[TowerPart], encoder: Any, encoder_settings: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    """Raise [`InputError`] for settings of `from_vision_pretrained` that its other arguments decide or contradict.

    Args:
        parts (iterable of [`TowerPart`]): of the model.
        encoder: name of the encoder, or `None`.
        encoder_settings (`Mapping`): of the encoder.
        settings (`Mapping`): fields of the config.
    """
    kind = encoder_settings.get("model_type", encoder)
    if encoder is not None and kind != encoder:
        raise InputError(f"encoder is {encoder!r}, but encoder_settings.model_type is {kind!r}: leave that out.")
    for name in ("dtype", "torch_dtype"):
        if settings.get(name) not in (None, "float32", torch.float32):
            raise InputError(
                f"{name} is {settings[name]!r}, but a new model is made in float32: leave it out, and call the "
                "model's to() for another precision."
            )
    decided = {
        "encoder_config": "encoder and encoder_settings",
        "prompt_config": "prompt",
        "tower": "name_or_path",
        "tower_revision": "revision",
    }
    for part in parts:
        decided |= dict.fromkeys(filter(None, (part.config, part.fingerprint)), "name_or_path")
    for name, argument in decided.items():
        if name in settings:
            raise InputError(
                f"{name} is {_short(settings[name])}, but it follows from {argument} here: say that, and leave {name} "
                "out."
            )


def check_saving(save_directory: str | PathLike[str], options: Mapping[str, Any]) -> None:
    """Raise [`InputError`] if `save_pretrained` has no folder to write to, or is given what it does not know.

    Args:
        save_directory (`str` or path): the folder.
        options (`Mapping`): as for `PreTrainedModel.save_pretrained`.
    """
    if not isinstance(save_directory, (str, PathLike)):
        raise InputError(f"save_directory is {save_directory!r}: it must be a folder.")
    if Path(save_directory).is_file():
        raise InputError(f"save_directory is {save_directory}, which is a file: name a folder.")
    sources = (PreTrainedModel.save_pretrained, PreTrainedModel.push_to_hub)
    known = {name for source in sources for name in inspect.signature(source).parameters} - set(_OF_THE_CLASS)
    unknown = sorted(set(options) - known - set(_OF_THE_PAST))
    if unknown:
        raise InputError(
            f"save_pretrained has no option {', '.join(f'{name}={options[name]!r}' for name in unknown)}: its options "
            f"are {', '.join(sorted(known | {'include_backbone'}))}."
        )
    if options.get("safe_serialization", True) is not True:
        raise InputError(
            f"safe_serialization is {options['safe_serialization']!r}: checkpoints are safetensors only; leave it out."
        )


def _short(value: Any) -> str:
    """What is shown of a value: a model is its kind alone."""
    return f"a {type(value).__name__}" if isinstance(value, (PreTrainedModel, PretrainedConfig)) else repr(value)
