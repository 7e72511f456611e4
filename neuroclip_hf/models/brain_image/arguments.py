"""What loading, building and saving may be given, looked at before anything is read or written."""

import inspect
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig, PreTrainedModel

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.configuration import refuse_unknown, setting_names
from neuroclip_hf.models.tower_parts import TowerPart

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
    if vision_model is not None and not isinstance(vision_model, PreTrainedModel):
        raise InputError(f"vision_model is {vision_model!r}: it must be a vision tower of transformers, or None.")
    if stored_towers is not None and not isinstance(stored_towers, Mapping):
        raise InputError(f"stored_towers is {stored_towers!r}: it must be a dict of towers, or None.")


def check_loading(
    config_class: type[PretrainedConfig], parts: Iterable[TowerPart], options: Mapping[str, Any]
) -> None:
    """Raise [`InputError`] for options of `from_pretrained` that are no settings, or of the wrong kind.

    Args:
        config_class (`type`): of the model's config.
        parts (iterable of [`TowerPart`]): of the model.
        options (`Mapping`): as for `PreTrainedModel.from_pretrained`.
    """
    for name in ("stored_towers", *(part.name for part in parts)):
        if name in options:
            raise InputError(
                f"{name} is {_short(options[name])}: a checkpoint holds its towers or names them, so leave it out; "
                "from_vision_pretrained builds a model on another tower."
            )
    for name in config_class.sub_configs_defaults:
        if name in options and not isinstance(options[name], (PretrainedConfig, Mapping)):
            raise InputError(f"{name} is {options[name]!r}: it must be a dict of settings, or a config.")
    config = options.get("config")
    if config is not None and not isinstance(config, (PretrainedConfig, str, PathLike)):
        raise InputError(f"config is {config!r}: it must be a {config_class.__name__}, or the place of one.")
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
        if isinstance(options.get(name), Mapping):
            inner = getattr(config, name)
            refuse_unknown(type(inner), set(options[name]) - set(inner.to_dict()))


def changed_settings(config_class: type[PretrainedConfig], options: Mapping[str, Any]) -> list[str]:
    """The settings of a config that options of `from_pretrained` change, as `name is value`."""
    return [f"{name} is {_short(options[name])}" for name in setting_names(config_class) if name in options]


def check_building(parts: Iterable[TowerPart], settings: Mapping[str, Any]) -> None:
    """Raise [`InputError`] for settings of `from_vision_pretrained` that follow from its other arguments.

    Args:
        parts (iterable of [`TowerPart`]): of the model.
        settings (`Mapping`): fields of the config.
    """
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
