"""Small checkpoints: what was trained is stored, and the tower is named where it can be fetched again."""

from collections.abc import Mapping
from functools import partial
from os import PathLike
from types import MappingProxyType
from typing import Any, Self

from peft import PeftConfig
from safetensors import SafetensorError
from transformers import PretrainedConfig

from neuroclip_hf.adapters.neuro_prompt import NeuroPromptConfig, find_structure
from neuroclip_hf.columns import SMALL_CLIP
from neuroclip_hf.errors import InputError
from neuroclip_hf.models import vision
from neuroclip_hf.models.brain_image.arguments import (
    changed_settings,
    check_against,
    check_building,
    check_loading,
    check_place,
    check_saving,
)
from neuroclip_hf.models.brain_image.frozen_towers import FrozenTowers
from neuroclip_hf.models.brain_image.recorded_adapters import (
    MODEL,
    OWN_PROMPTS,
    adapter_record,
    inject_recorded,
    record_adapters,
    refuse_half_active,
    refuse_modules_to_save,
    refuse_peft_file,
)
from neuroclip_hf.models.brain_image.stored_weights import (
    included_fingerprint,
    refuse_another_tower,
    refuse_unsafe,
)
from neuroclip_hf.models.configuration import require_mapping, require_switch
from neuroclip_hf.models.tower_loading import (
    HUB_OPTIONS,
    StoredTower,
    can_be_fetched,
    refuse_revision,
    resolve_commit,
)
from neuroclip_hf.models.towers import tower_location, tower_name


class SmallCheckpoints(FrozenTowers):
    """Saving and loading for models with frozen towers, which a checkpoint names instead of holding them.

    A tower of the package, or one at a commit of the Hub, is left out of a checkpoint as long as its weights are those
    that it came with; loading fetches it and compares its fingerprint. Any other tower (from a folder, random, or
    trained further) is written whole. Adapters that `peft` put on the model beside its prompts, such as a LoRA, are
    written with their settings, and are there again after loading.
    """

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | PathLike[str] | None, *arguments: Any, strict: bool = True, **options: Any
    ) -> Any:
        """Load a checkpoint: safetensors only, never remote code, and every key looked at.

        Args:
            name_or_path (`str` or path): a repository on the Hub, or a folder; never a file of it.
            arguments: as for `PreTrainedModel.from_pretrained`.
            strict (`bool`): refuse a checkpoint that lacks weights or holds others, or whose own tower is not the one
                that was saved in it; `False` fills what is missing with start weights, as transformers does.
            options: as for `PreTrainedModel.from_pretrained`; settings of the config among them, as
                `tower_dtype="bfloat16"`, or `vision=False` for a model of the brain side alone, which fetches no
                tower and takes no memory for one. It has 4 bytes for each weight of the encoder and the brain
                projection, or 2 with `dtype=torch.bfloat16` beside it, in which every encoder runs on a CPU too
                (torch.float16 is for GPUs: torch does not come back from EEGNet's convolutions on a CPU).
                `benchmarks/encoders.py` prints both; "eeg_project" is the largest, see there.

        Raises:
            InputError: naming the keys that are missing, unexpected or of another size (which `strict=False` beside
                `ignore_mismatched_sizes=True` lets pass), or both fingerprints if the tower that the
                checkpoint names, or holds, is not the one that it was saved with; for `use_safetensors=False`,
                `trust_remote_code=True`, a file, a folder that is not there, a `revision` of a folder, a setting that
                does not exist or is of the wrong kind, a tower, and a `device_map`
                that leaves weights on disk or away from their layer.
        """
        require_switch("strict", strict)
        check_place(name_or_path, options)
        refuse_revision(name_or_path, options.get("revision"))
        wants_report = options.pop("output_loading_info", False)
        refuse_unsafe(options)
        check_loading(cls.config_class, cls.tower_parts, options)
        refuse_peft_file(name_or_path, options)
        options["use_safetensors"] = True
        changed = changed_settings(cls.config_class, options)
        may_differ = options.get("ignore_mismatched_sizes", False) and not strict
        options["ignore_mismatched_sizes"] = True  # they are refused below, where they can be named
        if stored := cls._fetch_named_towers(name_or_path, options, strict):
            options["stored_towers"] = stored
        try:
            model, report = super().from_pretrained(name_or_path, *arguments, output_loading_info=True, **options)
        except SafetensorError as error:
            raise InputError(f"{name_or_path}: its weights are damaged ({error}): copy them again.") from None
        model._refuse_offloaded()
        wrong = [
            f"{key if isinstance(key, str) else key[0]} ({kind})"
            for kind in ("missing", "unexpected", "mismatched")
            for key in report[f"{kind}_keys"]
        ]
        wrong = sorted([*wrong, *(f"{key} (unexpected)" for key in model._finish_towers(options.get("cache_dir")))])
        if (strict and wrong) or (report["mismatched_keys"] and not may_differ):
            remedy = "Copy the whole checkpoint, or train it again."
            raise InputError(
                f"The weights in {name_or_path} do not fit its config: {', '.join(wrong)}. "
                + (f"It was loaded with other settings ({', '.join(changed)}): leave them out." if changed else remedy)
            )
        if strict:
            refuse_another_tower(model, name_or_path, options)
        return (model, report) if wants_report else model

    @classmethod
    def from_vision_pretrained(
        cls,
        name_or_path: str | PathLike[str] = SMALL_CLIP,
        *,
        revision: str | None = None,
        encoder: str | None = None,
        encoder_settings: Mapping[str, Any] | None = None,
        prompt: Mapping[str, Any] | None = MappingProxyType({}),
        **settings: Any,
    ) -> Self:
        """A new model on a pretrained vision tower.

        Args:
            name_or_path (`str` or path): a CLIP, SigLIP or DINOv2 checkpoint with safetensors, on the Hub or in a
                folder; "small-clip" ships with the package.
            revision (`str`, *optional*): branch, tag or commit.
            encoder (`str`, *optional*): name of the brain encoder; the kind of model's own default if there is none.
            encoder_settings (`Mapping`, *optional*): its settings that differ from its defaults.
            prompt (`Mapping`, *optional*): settings of [`NeuroPromptConfig`]; `None` for no prompts.
            settings: further fields of the config, such as `vision_feature_layers`; and for the Hub `cache_dir`,
                `local_files_only`, `token`, as everywhere in transformers.

        Raises:
            InputError: if the checkpoint cannot be used, or a setting is unknown, impossible, or follows from these
                arguments.
        """
        hub = {name: settings.pop(name) for name in HUB_OPTIONS if name in settings}
        encoder_settings = require_mapping("encoder_settings", encoder_settings)
        check_building(cls.tower_parts, encoder, encoder_settings, settings)
        location = tower_location(str(name_or_path))
        refuse_revision(str(name_or_path), revision)
        revision = resolve_commit(location, revision, **hub)
        parts, found = cls.parts_in(location, revision, settings, **hub)
        named = {} if encoder is None else {"model_type": encoder}
        config = cls.config_class(
            encoder_config={**encoder_settings, **named},
            prompt_config=None if prompt is None else dict(require_mapping("prompt", prompt)),
            tower=tower_name(str(name_or_path)),
            tower_revision=revision,
            **{part.config: part.read_config(location, revision, **hub) for part in parts if part.config is not None},
            **{**settings, **found},
        )
        towers, stored = {}, {}
        for part in parts:
            of_part = None if part.config is None else getattr(config, part.config)
            towers[part.name] = part.load(location, of_part, revision, "auto", **hub)
            stored[part.name] = StoredTower.of(config.tower, towers[part.name])
            setattr(config, part.fingerprint, stored[part.name].fingerprint)
        model = cls(config, **{name: tower.float() for name, tower in towers.items()})
        model.remember_towers(stored, hub.get("cache_dir"))
        return model

    @classmethod
    def _fetch_named_towers(cls, name_or_path: Any, options: dict[str, Any], strict: bool) -> dict[str, StoredTower]:
        hub = {name: options[name] for name in HUB_OPTIONS if name in options}
        config = name_or_path if options.get("config") is None else options["config"]
        if not isinstance(config, PretrainedConfig):
            places = {name: options[name] for name in ("revision", "subfolder") if name in options}
            try:
                config = cls.config_class.from_pretrained(config, **hub, **places)
            except OSError as error:  # transformers does not always name what it lacks
                raise OSError(f"{config}: its config.json was not found. {error}") from error
            check_against(config, options, name_or_path, strict)
        if config.tower_included or not options.get("vision", config.vision):
            return {}
        if not can_be_fetched(config.tower, config.tower_revision):
            raise InputError(
                f"{name_or_path} holds no vision tower, and its config names none that could be fetched (tower "
                f"{config.tower}, revision {config.tower_revision}): restore config.json."
            )
        where = (config.tower, config.tower_revision)
        parts = cls.parts_of(config)
        return {part.name: part.fetch(*where, getattr(config, part.fingerprint), **hub) for part in parts}

    def save_pretrained(
        self, save_directory: str | PathLike[str], *arguments: Any, include_backbone: bool = False, **options: Any
    ) -> None:
        """Write a checkpoint that `from_pretrained` loads: what was trained, and the tower's name.

        Args:
            save_directory (`str` or path): a folder.
            arguments: as for `PreTrainedModel.save_pretrained`.
            include_backbone (`bool`): write the tower too, where it would only be named; not for a model that was
                loaded with `vision=False` and has none.
            options: as for `PreTrainedModel.save_pretrained`.

        Raises:
            InputError: if the folder is a file, an option does not exist, or `peft` holds what could not be brought
                back: whole modules beside the adapters (`modules_to_save`), adapters of other methods than LoRA and
                NeuroPrompt, or one that is switched on in a part of its places.
        """
        require_switch("include_backbone", include_backbone)
        check_saving(save_directory, options)
        if include_backbone and self.vision_model is None:
            raise InputError(
                "include_backbone is True, but this model has vision=False and no tower to write: leave it out, or "
                "load the model with its tower."
            )
        refuse_modules_to_save(self)
        records = record_adapters(self, self.vision_model, self.config.prompt_config is not None)
        active = vision.active_adapters(self)
        refuse_half_active(self, active)
        included = self.vision_model is not None and (include_backbone or not self._towers_can_be_left_out())
        with_adapters = bool(getattr(self, "_hf_peft_config_loaded", False))
        self.config.tower_included = included
        holds_tower = included and options.get("state_dict") is None
        self.config.included_fingerprint = included_fingerprint(self) if holds_tower else None
        self.config.tower_adapters = records
        if self.vision_model is not None or records:
            self.config.active_adapters = active
        if not included:
            self._record_tower_dtype()
        # Kept afterwards: transformers' Trainer does not miss these in the checkpoints that it goes on from.
        self._keys_to_ignore_on_save = None if included else self._tower_keys()
        if with_adapters:
            self._hf_peft_config_loaded = False  # transformers would write the adapter alone
        try:
            super().save_pretrained(save_directory, *arguments, **options)
        finally:
            if with_adapters:
                self._hf_peft_config_loaded = True

    def push_to_hub(self, repo_id: str, *, include_backbone: bool = False, **options: Any) -> Any:
        """Push a checkpoint to the Hub, as [`save_pretrained`] writes it, and what Auto classes need to find it.

        A repository without a card gets one that says how to load it; `neuroclip push` pushes a whole run.

        Args:
            repo_id (`str`): "user/name"; made if it is not there.
            include_backbone (`bool`): push the tower too, where the checkpoint would only name it.
            options: as for `PreTrainedModel.push_to_hub`, such as `private` and `revision`.

        Raises:
            InputError: as [`save_pretrained`], and if what would go up holds a secret or an absolute path.
        """
        require_switch("include_backbone", include_backbone)
        # transformers saves on the way, and hands none of its own arguments on.
        self.save_pretrained = partial(self.save_pretrained, include_backbone=include_backbone)  # type: ignore[method-assign]
        try:
            return super().push_to_hub(repo_id, **options)
        finally:
            del self.save_pretrained

    def add_recorded_adapters(self) -> None:
        """Put the adapters on the model that its config records, with start weights."""
        inject_recorded(self, self.vision_model, self.config.tower_adapters)
        if self.config.active_adapters is not None:
            vision.set_active_adapters(self, self.config.active_adapters)

    def add_adapter(self, adapter_config: PeftConfig, adapter_name: str | None = None) -> None:
        """Add an adapter of `peft` beside the prompts; see transformers' own, which would switch the prompts off.

        Raises:
            InputError: for an adapter that no checkpoint could bring back, or second prompts beside active ones.
        """
        name, active = adapter_name or OWN_PROMPTS, vision.active_adapters(self)
        if isinstance(adapter_config, PeftConfig):
            adapter_record(MODEL, name, adapter_config)
        if isinstance(adapter_config, NeuroPromptConfig) and self.vision_model is not None:
            live = getattr(find_structure(self.vision_model).embeddings(self.vision_model), "live_adapter", None)
            if live is not None:
                raise InputError(
                    f"the prompts {live!r} are active, and {name!r} would be a second set: only one can be. Build the "
                    "model with prompt_config=None and add the prompts that you mean."
                )
        super().add_adapter(adapter_config, adapter_name)
        vision.set_active_adapters(self, [*active, name])
        self.train(self.training)

    def _refuse_offloaded(self) -> None:
        away = next((name for name, each in self.named_parameters() if each.is_meta), None)
        if away is not None:
            raise InputError(
                f"device_map leaves {away} on disk or away from its device (offloading), which prompts inside a tower "
                "cannot do with: name devices that hold the whole model, or load it with vision=False."
            )
