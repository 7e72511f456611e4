"""Small checkpoints: what was trained is stored, and the tower is named where it can be fetched again."""

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import fields
from os import PathLike
from types import MappingProxyType
from typing import Any, Self

import torch
from peft import PeftConfig, inject_adapter_in_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.utils import ModulesToSaveWrapper
from transformers import PretrainedConfig, PreTrainedModel

from neuroclip_hf.adapters.neuro_prompt.config import NeuroPeftType
from neuroclip_hf.columns import SMALL_CLIP
from neuroclip_hf.errors import InputError
from neuroclip_hf.models import vision
from neuroclip_hf.models.registry import encoder_config
from neuroclip_hf.models.tower_loading import (
    HUB_OPTIONS,
    StoredTower,
    base_weights,
    can_be_fetched,
    fetch_tower,
    load_tower,
    read_tower_config,
    resolve_commit,
    tower_fingerprint,
)
from neuroclip_hf.models.towers import tower_location, tower_name

_TOWER, _MODEL = "tower", "model"  # where an adapter was added
# What peft writes into a config about the machine, and not about the adapter.
_NOT_OF_THE_ADAPTER = frozenset({"base_model_name_or_path", "inference_mode", "revision", "auto_mapping"})


class SmallCheckpoints(PreTrainedModel):
    """Saving and loading for models with a frozen `vision_model`, which a checkpoint names instead of holding it.

    A tower of the package, or one at a commit of the Hub, is left out of a checkpoint as long as its weights are those
    that it came with; loading fetches it and compares its fingerprint. Any other tower (from a folder, random, or
    trained further) is written whole. Adapters that `peft` put on the model beside its prompts, such as a LoRA, are
    written with their settings, and are there again after loading.
    """

    # Fingerprint of the tower's own weights in the precision in which they were loaded.
    _tower_as_loaded: str | None = None
    _stored_tower: StoredTower | None = None  # waits to fill the tower while a checkpoint is being loaded

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | PathLike[str] | None, *arguments: Any, strict: bool = True, **options: Any
    ) -> Any:
        """Load a checkpoint: safetensors only, never remote code, and every key looked at.

        Args:
            name_or_path (`str` or path): a repository on the Hub, or a folder.
            arguments: as for `PreTrainedModel.from_pretrained`.
            strict (`bool`): refuse a checkpoint that lacks weights or holds others; `False` fills what is missing with
                start weights, as transformers does.
            options: as for `PreTrainedModel.from_pretrained`; settings of the config among them, as
                `tower_dtype="bfloat16"`, or `vision=False` for a model of the brain side alone, which fetches no
                tower and takes no memory for one.

        Raises:
            InputError: naming the keys that are missing or unexpected, or both fingerprints if the tower that the
                checkpoint names is not the one that it was trained on.
        """
        wants_report = options.pop("output_loading_info", False)
        options = {"use_safetensors": True, **options}
        if (stored := cls._fetch_named_tower(name_or_path, options)) is not None:
            options["stored_tower"] = stored
        model, report = super().from_pretrained(name_or_path, *arguments, output_loading_info=True, **options)
        wrong = [
            f"{key if isinstance(key, str) else key[0]} ({kind})"
            for kind in ("missing", "unexpected", "mismatched")
            for key in report[f"{kind}_keys"]
        ]
        wrong = sorted([*wrong, *(f"{key} (unexpected)" for key in model._finish_tower())])
        if strict and wrong:
            raise InputError(
                f"The weights in {name_or_path} do not fit its config: {', '.join(wrong[:5])}"
                f"{', ...' if len(wrong) > 5 else ''}. Copy the whole checkpoint, or train it again."
            )
        return (model, report) if wants_report else model

    @classmethod
    def from_vision_pretrained(
        cls,
        name_or_path: str | PathLike[str] = SMALL_CLIP,
        *,
        revision: str | None = None,
        encoder: str = "eeg_project",
        encoder_settings: Mapping[str, Any] | None = None,
        prompt: Mapping[str, Any] | None = MappingProxyType({}),
        **settings: Any,
    ) -> Self:
        """A new model on a pretrained vision tower.

        Args:
            name_or_path (`str` or path): a CLIP, SigLIP or DINOv2 checkpoint with safetensors, on the Hub or in a
                folder; "small-clip" ships with the package.
            revision (`str`, *optional*): branch, tag or commit.
            encoder (`str`): name of the brain encoder.
            encoder_settings (`Mapping`, *optional*): its settings that differ from its defaults.
            prompt (`Mapping`, *optional*): settings of [`NeuroPromptConfig`]; `None` for no prompts.
            settings: further fields of the config, such as `vision_feature_layers`; and for the Hub `cache_dir`,
                `local_files_only`, `token`, as everywhere in transformers.

        Raises:
            InputError: if the checkpoint cannot be used, or a setting is unknown or impossible.
        """
        hub = {name: settings.pop(name) for name in HUB_OPTIONS if name in settings}
        location = tower_location(str(name_or_path))
        revision = resolve_commit(location, revision, **hub)
        config = cls.config_class(
            encoder_config=encoder_config(encoder, **(encoder_settings or {})),
            vision_config=read_tower_config(location, revision, **hub),
            prompt_config=None if prompt is None else dict(prompt),
            tower=tower_name(str(name_or_path)),
            tower_revision=revision,
            **settings,
        )
        tower = load_tower(location, config.vision_config, revision, "auto", **hub)
        stored = StoredTower.of(config.tower, tower)
        config.tower_fingerprint = stored.fingerprint
        model = cls(config, vision_model=tower.float())
        model.remember_tower(stored)
        return model

    @classmethod
    def _fetch_named_tower(cls, name_or_path: Any, options: dict[str, Any]) -> StoredTower | None:
        hub = {name: options[name] for name in HUB_OPTIONS if name in options}
        config = options.get("config", name_or_path)
        if not isinstance(config, PretrainedConfig):
            places = {name: options[name] for name in ("revision", "subfolder") if name in options}
            config = cls.config_class.from_pretrained(config, **hub, **places)
        if config.tower_included or not options.get("vision", config.vision):
            return None
        if not can_be_fetched(config.tower, config.tower_revision):
            raise InputError(
                f"{name_or_path} holds no vision tower, and its config names none that could be fetched (tower "
                f"{config.tower}, revision {config.tower_revision}): restore config.json."
            )
        return fetch_tower(config.tower, config.tower_revision, config.tower_fingerprint, **hub)

    def save_pretrained(
        self, save_directory: str | PathLike[str], *arguments: Any, include_backbone: bool = False, **options: Any
    ) -> None:
        """Write a checkpoint that `from_pretrained` loads: what was trained, and the tower's name.

        Args:
            save_directory (`str` or path): a folder.
            arguments: as for `PreTrainedModel.save_pretrained`.
            include_backbone (`bool`): write the tower too, where it would only be named.
            options: as for `PreTrainedModel.save_pretrained`.

        Raises:
            InputError: if `peft` holds whole modules beside the adapters (`modules_to_save`).
        """
        self._refuse_modules_to_save()
        included = include_backbone or not self._tower_can_be_left_out()
        before = {name: getattr(self, name, None) for name in ("_keys_to_ignore_on_save", "_hf_peft_config_loaded")}
        self.config.tower_included = included
        self.config.tower_adapters = dict(self._added_adapters())
        if self.vision_model is not None:
            self.config.active_adapters = vision.active_adapters(self.vision_model)
        # Kept afterwards: transformers' Trainer does not miss these in the checkpoints that it goes on from.
        self._keys_to_ignore_on_save = None if included else self._tower_keys()
        if before["_hf_peft_config_loaded"]:
            self._hf_peft_config_loaded = False  # transformers would write the adapter alone
        try:
            super().save_pretrained(save_directory, *arguments, **options)
        finally:
            if before["_hf_peft_config_loaded"]:
                self._hf_peft_config_loaded = True

    def expect_tower(self, stored: StoredTower) -> None:
        """Say, while a checkpoint is being loaded, that the tower comes from elsewhere."""
        self._stored_tower = stored
        keys = "|".join(re.escape(key) for key in self._tower_keys())
        self._keys_to_ignore_on_load_missing = [rf"^(?:{keys})$"]

    def remember_tower(self, stored: StoredTower) -> None:
        """Remember what the tower was when it was loaded, so that saving sees whether it was trained."""
        weights = base_weights(self.vision_model)
        as_stored = all(tensor.dtype == stored.weights[name].dtype for name, _, tensor in weights)
        self._tower_as_loaded = stored.fingerprint if as_stored else tower_fingerprint(self.vision_model)
        if can_be_fetched(self.config.tower, self.config.tower_revision):
            self._keys_to_ignore_on_save = self._tower_keys()

    def fill_tower(self) -> None:
        """Copy the waiting tower in; called when transformers would draw what the checkpoint did not hold."""
        if self._stored_tower is not None:
            self._filled_before = self._stored_tower.fill(self.vision_model)

    def add_recorded_adapters(self) -> None:
        """Put the adapters on the model that its config records, with start weights."""
        for name, record in self.config.tower_adapters.items():
            settings = dict(record)
            place = self.vision_model if settings.pop("place") == _TOWER else self
            try:
                config = PEFT_TYPE_TO_CONFIG_MAPPING[settings.pop("peft_type")](**settings)
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(f"tower_adapters.{name} cannot be used ({error}): restore config.json.") from error
            with warnings.catch_warnings():  # of peft: that there are several adapters, which is what is meant
                warnings.filterwarnings("ignore", "Already found a `peft_config` attribute", UserWarning)
                inject_adapter_in_model(config, place, name)
        if self.config.active_adapters is not None:
            vision.set_active_adapters(self.vision_model, self.config.active_adapters)

    def add_adapter(self, adapter_config: PeftConfig, adapter_name: str | None = None) -> None:
        """Add an adapter of `peft` beside the prompts; see transformers' own, which would switch the prompts off."""
        active = [] if self.vision_model is None else vision.active_adapters(self.vision_model)
        super().add_adapter(adapter_config, adapter_name)
        if self.vision_model is not None:
            vision.set_active_adapters(self.vision_model, [*active, adapter_name or "default"])

    def _finish_tower(self) -> list[str]:
        """After loading: forget what waited, and name weights that the checkpoint held though it says otherwise."""
        stored, self._stored_tower = self._stored_tower, None
        if stored is None:
            return []
        self.remember_tower(stored)
        return [f"vision_model.{name}" for name in self._filled_before]

    def _tower_keys(self) -> list[str]:
        return [f"vision_model.{key}" for _, key, _ in base_weights(self.vision_model)]

    def _tower_can_be_left_out(self) -> bool:
        if self.vision_model is None or not can_be_fetched(self.config.tower, self.config.tower_revision):
            return False
        known = {self.config.tower_fingerprint, self._tower_as_loaded} - {None}
        return bool(known) and tower_fingerprint(self.vision_model) in known

    def _added_adapters(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for place, module in ((_TOWER, self.vision_model), (_MODEL, self)):
            for name, config in getattr(module, "peft_config", {}).items():
                if name == "default" and config.peft_type == NeuroPeftType.NEURO_PROMPT:
                    continue  # the model's own prompts, which prompt_config describes
                yield name, {"place": place, "peft_type": str(config.peft_type.value), **_changed_settings(config)}

    def _refuse_modules_to_save(self) -> None:
        held = [name for name, module in self.named_modules() if isinstance(module, ModulesToSaveWrapper)]
        if held:
            raise InputError(
                f"peft holds a copy of {held[0]} to be trained (modules_to_save), which this checkpoint could not "
                "bring back: leave modules_to_save out, since everything but the tower is trained and saved anyway."
            )


def _changed_settings(config: PeftConfig) -> dict[str, Any]:
    """The settings of an adapter that differ from their defaults, as plain values."""
    default = type(config)()
    names = [field.name for field in fields(config) if field.init and field.name not in _NOT_OF_THE_ADAPTER]
    changed = {name: getattr(config, name) for name in names if name != "peft_type"}
    changed = {name: value for name, value in changed.items() if value != getattr(default, name, None)}
    return {name: sorted(value) if isinstance(value, set) else value for name, value in changed.items()}


def tower_dtype_of(config: PretrainedConfig) -> torch.dtype | None:
    """The precision that a config asks for its tower; `None` for that of the rest."""
    return None if config.tower_dtype is None else getattr(torch, config.tower_dtype)
