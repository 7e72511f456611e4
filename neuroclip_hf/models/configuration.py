"""What the configs of all our models share: names that do not exist are refused, and values are checked."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from transformers import PretrainedConfig

from neuroclip_hf.errors import InputError

# Names that transformers itself writes into a config.json, or passes on loading, without a field of the same name.
_OF_TRANSFORMERS = frozenset(
    {
        "_attn_implementation_internal",
        "_commit_hash",
        "_experts_implementation_internal",
        "_name_or_path",
        "attn_implementation",
        "experts_implementation",
        "model_type",
        "name_or_path",
        "output_attentions",
        "quantization_config",
        "torch_dtype",
        "use_cache",
    }
)
# Of these, and of transformers' own fields, what can only be on or off.
_SWITCHES = ("return_dict", "use_cache", "output_attentions", "output_hidden_states")


class StrictConfig(PretrainedConfig):
    """A config that refuses unknown names, which transformers would keep in silence, and checks its values.

    Subclasses say what is right in `check`; it runs when a config is made and again when a model is built from it,
    because fields can be assigned in between.

    An `auto_map` is not kept: it says where a repository has the code that finds this class, and would be wrong in
    whatever is saved elsewhere.

    Raises:
        InputError: for an unknown name or an impossible value.
    """

    def __post_init__(self, **unknown: Any) -> None:
        unknown.pop("auto_map", None)
        refuse_unknown(type(self), unknown)
        for name, value in (("dtype", self.dtype), ("torch_dtype", unknown.get("torch_dtype"))):
            require_dtype(name, value)
        super().__post_init__(**unknown)
        for name in _SWITCHES:
            require_switch(name, unknown.get(name, getattr(self, name, False)))
        self.check()

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible."""

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "AutoConfig") -> None:
        """Nothing: transformers asks for it after remote code, and would copy this file into all that is saved."""


def setting_names(config_class: type[PretrainedConfig]) -> list[str]:
    """Names of the fields that a config class adds to those of every config, sorted."""
    general = {field.name for field in dataclasses.fields(PretrainedConfig)}
    return sorted({field.name for field in dataclasses.fields(config_class)} - general)


def refuse_unknown(config_class: type[PretrainedConfig], names: Iterable[str]) -> None:
    """Raise [`InputError`] if a name is neither a field of the config class nor one of transformers' own."""
    known = {field.name for field in dataclasses.fields(config_class)} | _OF_TRANSFORMERS
    unknown = sorted(map(str, set(names) - known))
    if unknown:
        raise InputError(
            f"{config_class.__name__} has no setting {', '.join(unknown)}: "
            f"its settings are {', '.join(setting_names(config_class))}."
        )


def require_count(config: PretrainedConfig, *names: str) -> None:
    """Raise [`InputError`] unless each of these fields is a whole number of at least one."""
    for name in names:
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name} is {value!r}: it must be a whole number of at least 1.")


def require_number(config: PretrainedConfig, name: str, low: float, high: float, open_low: bool = False) -> None:
    """Raise [`InputError`] unless the field is a number from `low` (itself allowed unless `open_low`) to `high`."""
    value = getattr(config, name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{name} is {value!r}: it must be a number.")
    if not low <= value <= high or (open_low and value == low):
        bound = "above" if open_low else "at least"
        raise InputError(f"{name} is {value}: it must be {bound} {low:g}, and at most {high:g}.")


def require_choice(config: PretrainedConfig, name: str, choices: Iterable[str]) -> None:
    """Raise [`InputError`] unless the field is one of these words."""
    value = getattr(config, name)
    if not isinstance(value, str) or value not in set(choices):
        raise InputError(f"{name} is {value!r}: it must be one of {', '.join(choices)}.")


def require_mapping(name: str, value: Any) -> Mapping[str, Any]:
    """The value of a setting that is a mapping, empty for `None`.

    Raises:
        InputError: for anything else.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"{name} is {value!r}: it must be a dict of settings, or a config.")
    return value


def require_switch(name: str, value: Any) -> None:
    """Raise [`InputError`] unless the value of a setting is `True` or `False`."""
    if not isinstance(value, bool):
        raise InputError(f"{name} is {value!r}: it must be true or false.")


def require_dtype(name: str, value: Any) -> None:
    """Raise [`InputError`] unless a value is a floating type of torch, its name, or `None`."""
    found = getattr(torch, value.removeprefix("torch."), None) if isinstance(value, str) else value
    if value is not None and not (isinstance(found, torch.dtype) and found.is_floating_point):
        raise InputError(f"{name} is {value!r}: it must be a floating type, such as float32 or bfloat16.")


def require_type(config: PretrainedConfig, kind: type, *names: str) -> None:
    """Raise [`InputError`] unless each of these fields is of a type."""
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, kind):
            raise InputError(f"{name} is {value!r}: it must be a {kind.__name__}.")
