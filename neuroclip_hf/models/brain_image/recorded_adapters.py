"""Adapters that `peft` put on a model beside its prompts, as a config records them.

A config may come from anybody, and some settings of `peft` read files, name repositories or import modules: methods
and settings are those listed here, and nothing else is recorded or read.
"""

import warnings
from collections.abc import Collection, Mapping
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from peft import LoraConfig, PeftConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils import ModulesToSaveWrapper
from torch import nn
from transformers.utils import find_adapter_config_file

from neuroclip_hf.adapters.neuro_prompt.config import NeuroPeftType, NeuroPromptConfig
from neuroclip_hf.errors import InputError
from neuroclip_hf.models.vision import active_in, layers_with_adapters

TOWER, MODEL = "tower", "model"  # where an adapter was added
OWN_PROMPTS = "default"  # the name of the model's own prompts, which is peft's when none is given

_METHODS: Mapping[str, type[PeftConfig]] = {"LORA": LoraConfig, NeuroPeftType.NEURO_PROMPT.value: NeuroPromptConfig}
# What shapes the adapter. How a LoRA starts is not among it, because its weights come from the checkpoint.
_SETTINGS = {
    "LORA": frozenset(
        {"alpha_pattern", "exclude_modules", "fan_in_fan_out", "layers_pattern", "layers_to_transform", "lora_alpha"}
        | {"lora_bias", "lora_dropout", "r", "rank_pattern", "target_modules", "use_dora", "use_rslora"}
    ),
    NeuroPeftType.NEURO_PROMPT.value: frozenset({*NeuroPromptConfig.setting_names(), "target_modules"}),
}
# `peft` says `int`, and divides by the rank.
_KINDS_OF_OURS: Mapping[str, Any] = {"lora_alpha": float}
# Of the machine, of how training began, or of what the model decides itself.
_NOT_RECORDED = frozenset(
    {"auto_mapping", "base_model_name_or_path", "inference_mode", "init_lora_weights", "peft_type", "peft_version"}
    | {"revision", "task_type"}
)


def adapter_settings(method: str) -> list[str]:
    """Names of the settings of an adapter that a config records, sorted; `method` is peft's name of it, as "LORA"."""
    return sorted(_SETTINGS[method])


def require_kind(method: str, where: str, setting: str, value: Any) -> None:
    """Raise [`InputError`] if the value of an adapter's setting is not of the kind that `peft` says, but never checks.

    Args:
        method (`str`): as for [`adapter_settings`].
        where (`str`): where the setting is, for messages.
        setting (`str`): one of those.
        value: its value.
    """
    hint = _KINDS_OF_OURS.get(setting) or get_type_hints(_METHODS[method])[setting]
    if not _is_of_kind(value, hint):
        wanted = hint.__name__ if isinstance(hint, type) else str(hint).removeprefix("typing.")
        raise InputError(f"{where}.{setting} is {value!r}: it must be of the type {wanted}.")


def _is_of_kind(value: Any, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_is_of_kind(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if origin is list:
        return isinstance(value, (list, tuple)) and all(_is_of_kind(each, inner[0]) for each in value)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else origin or hint)


def check_records(records: Any, active: Any) -> None:
    """Raise [`InputError`] unless `tower_adapters` and `active_adapters` of a config are what they should be."""
    if not isinstance(records, dict):
        raise InputError(f"tower_adapters is {records!r}: it must be a dict of adapters' names and settings.")
    for name, record in records.items():
        _check_record(name, record)
    if active is None:
        return
    if not isinstance(active, (list, tuple)) or not all(isinstance(name, str) for name in active):
        raise InputError(f"active_adapters is {active!r}: it must be a list of names.")
    unknown = [name for name in active if name != OWN_PROMPTS and name not in records]
    if unknown:
        names = ", ".join(dict.fromkeys([OWN_PROMPTS, *records]))
        raise InputError(f"active_adapters names {unknown[0]!r}: the adapters are {names}.")


def _check_record(name: Any, record: Any) -> None:
    where = f"tower_adapters.{name}"
    if not isinstance(name, str) or not isinstance(record, dict):
        raise InputError(f"{where} is {record!r}: it must be a dict of settings.")
    if record.get("place") not in (TOWER, MODEL):
        raise InputError(f"{where}.place is {record.get('place')!r}: it must be {TOWER!r} or {MODEL!r}.")
    method = record.get("peft_type")
    if not isinstance(method, str) or method not in _METHODS:
        raise InputError(
            f"{where}.peft_type is {method!r}: adapters beside the prompts are of the types {', '.join(_METHODS)}."
        )
    for setting, value in record.items():
        if setting not in _SETTINGS[method] | {"place", "peft_type"}:
            raise InputError(
                f"{where}.{setting} is {value!r}: it must not be set in an adapter beside the prompts, whose settings "
                f"are {', '.join(adapter_settings(method))}."
            )
        if not _is_plain(value):
            raise InputError(f"{where}.{setting} is {value!r}: it must be numbers, texts, lists and dicts alone.")
        if setting in _SETTINGS[method]:
            require_kind(method, where, setting, value)
    _make_config(name, record)


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(each) for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return all(_is_plain(each) for each in value)
    return value is None or isinstance(value, (bool, int, float, str))


def _make_config(name: str, record: Mapping[str, Any]) -> PeftConfig:
    settings = {setting: value for setting, value in record.items() if setting not in ("place", "peft_type")}
    try:
        return _METHODS[record["peft_type"]](**settings)
    except (TypeError, ValueError) as error:
        raise InputError(f"tower_adapters.{name} cannot be used ({error}): restore config.json.") from error


def refuse_peft_file(name_or_path: Any, options: Mapping[str, Any]) -> None:
    """Raise [`InputError`] for a file of `peft` in a checkpoint, whose base transformers would load in its place.

    Args:
        name_or_path (`str` or path): of the checkpoint; `None` for none.
        options (`Mapping`): as for `PreTrainedModel.from_pretrained`.
    """
    found = (options.get("adapter_kwargs") or {}).get("_adapter_model_path")
    if found is None and name_or_path is not None:
        names = ("cache_dir", "local_files_only", "revision", "subfolder", "token")
        found = find_adapter_config_file(name_or_path, **{name: options[name] for name in names if name in options})
    if found is not None:
        raise InputError(
            f"{name_or_path} holds an adapter_config.json, which may name another model as its base: a checkpoint of "
            "this package keeps its adapters in config.json. Remove the file."
        )


def record_adapters(model: nn.Module, tower: nn.Module | None, has_own_prompts: bool) -> dict[str, dict[str, Any]]:
    """The adapters of a model, by name, as `tower_adapters` keeps them.

    Raises:
        InputError: for a method or setting that is not recorded, or a name that stands for two adapters.
    """
    records: dict[str, dict[str, Any]] = {}
    for place, module in ((TOWER, tower), (MODEL, model)):
        for name, config in getattr(module, "peft_config", {}).items():
            if has_own_prompts and place == TOWER and name == OWN_PROMPTS:
                continue  # the model's own prompts, which prompt_config describes
            if name in records:
                raise InputError(f"two adapters are called {name!r}: give each a name of its own.")
            records[name] = adapter_record(place, name, config)
    return records


def adapter_record(place: str, name: str, config: PeftConfig) -> dict[str, Any]:
    """The settings of an adapter that differ from their defaults, as plain values.

    Raises:
        InputError: for a method or setting that is not recorded.
    """
    default = type(config)().to_dict()
    changed = {setting: value for setting, value in config.to_dict().items() if value != default.get(setting)}
    changed = {setting: _as_plain(value) for setting, value in changed.items() if setting not in _NOT_RECORDED}
    record = {"place": place, "peft_type": str(getattr(config.peft_type, "value", config.peft_type)), **changed}
    _check_record(name, record)
    return record


def _as_plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set) else value


def inject_recorded(model: nn.Module, tower: nn.Module | None, records: Mapping[str, Mapping[str, Any]]) -> None:
    """Put adapters on a model as its config records them, with start weights.

    Without a tower, only what an adapter adds to the brain side is there again.

    Raises:
        InputError: for an adapter that does not fit the model.
    """
    for name, record in records.items():
        config = _make_config(name, record)
        place = tower if record["place"] == TOWER else model
        if place is None or (tower is None and not _finds_targets(config, model)):
            continue
        with warnings.catch_warnings():  # of peft: that there are several adapters, which is what is meant
            warnings.filterwarnings("ignore", "Already found a `peft_config` attribute", UserWarning)
            try:
                inject_adapter_in_model(config, place, name)
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(f"tower_adapters.{name} does not fit the model ({error}).") from error


def _finds_targets(config: PeftConfig, model: nn.Module) -> bool:
    if isinstance(config, NeuroPromptConfig):
        return False  # prompts are in a tower
    return any(check_target_module_exists(config, name) for name, _ in model.named_modules())


def refuse_half_active(model: nn.Module, active: Collection[str]) -> None:
    """Raise [`InputError`] if one of these active adapters is switched off in a part of its places."""
    for name, layer in layers_with_adapters(model):
        off = sorted((layer._get_available_adapters() & set(active)) - active_in(layer))
        if off:
            raise InputError(
                f"adapter {off[0]!r} is switched off in {name} and on elsewhere: a checkpoint keeps one state for "
                "each name; switch it everywhere, or give each place an adapter of its own name."
            )


def refuse_modules_to_save(model: nn.Module) -> None:
    """Raise [`InputError`] if `peft` holds whole modules of a model beside the adapters."""
    held = [name for name, module in model.named_modules() if isinstance(module, ModulesToSaveWrapper)]
    if held:
        raise InputError(
            f"peft holds a copy of {held[0]} to be trained (modules_to_save), which this checkpoint could not bring "
            "back: leave modules_to_save out, since everything but the tower is trained and saved anyway."
        )
