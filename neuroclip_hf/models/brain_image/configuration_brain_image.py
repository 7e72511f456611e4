"""Settings of models that bring brain recordings and pictures into one space."""

import math
from dataclasses import field
from itertools import pairwise
from typing import Any

from transformers import AutoConfig, PretrainedConfig
from transformers.activations import ACT2FN
from transformers.configuration_utils import SubConfigSpec

from neuroclip_hf.adapters.neuro_prompt import NeuroPromptConfig
from neuroclip_hf.columns import RANDOM_TOWER
from neuroclip_hf.errors import InputError
from neuroclip_hf.models.brain_image.recorded_adapters import check_records
from neuroclip_hf.models.configuration import (
    StrictConfig,
    require_choice,
    require_count,
    require_mapping,
    require_number,
    require_type,
)
from neuroclip_hf.models.encoders.base import BrainEncoderConfig
from neuroclip_hf.models.projections import LOGIT_SCALE_RANGE, PROJECTIONS
from neuroclip_hf.models.registry import DEFAULT_ENCODER, encoder_config
from neuroclip_hf.models.tower_types import DEFAULT_TOWER_TYPE, TOWER_TYPES, as_vision_config, tower_type

TOKENS = ("cls", "mean")
TOWER_DTYPES = ("float32", "float16", "bfloat16", "float64")
# Fields of vision towers' configs; each kind of tower has some.
_TOWER_COUNTS = (
    *("image_size", "patch_size", "num_channels", "hidden_size", "intermediate_size", "mlp_ratio"),
    *("num_hidden_layers", "num_attention_heads"),
)
_TOWER_SHARES = ("attention_dropout", "attention_probs_dropout_prob", "hidden_dropout_prob", "drop_path_rate")


class BrainImageConfig(StrictConfig):
    """Settings that all our models of brain recordings and pictures have. A name that does not exist is refused.

    Args:
        encoder_config (`BrainEncoderConfig` or `dict`): the brain encoder; a dict names it as `model_type`
            (the kind of model's default if it does not) beside that encoder's settings, and becomes a config.
        vision_config (`PretrainedConfig` or `dict`): the frozen vision tower; a dict names its kind as `model_type`
            ("clip_vision_model" if it does not; "siglip_vision_model", "dinov2", "dinov2_with_registers") and becomes
            a config.
        prompt_config (`dict`, *optional*): settings of [`NeuroPromptConfig`] that differ from its defaults; `None`
            leaves the tower without prompts. A `prompt_depth` of `None` means all layers that are run.
        vision (`bool`): `False` leaves out the whole image side and every tower: the model encodes recordings only.
        vision_feature_layers (`list[int]`, *optional*): whose hidden states are read, counted from the bottom from 1,
            or from the top from -1; kept in ascending order. `None`, as in the paper: the tower's pooled output.
        vision_feature_token (`str`): of the hidden states, "cls" or the "mean" of the patches.
        brain_projection, image_projection (`str`): "linear", "mlp" or "none".
        projection_dim (`int`): width of the space in which recordings meet pictures. Ours.
        logit_scale_init_value (`float`): where the logarithm of the cosines' factor starts; CLIP's ln(1 / 0.07).
        tower (`str`): name of the checkpoint the tower came from; "random" for start weights.
        tower_revision (`str`, *optional*): its commit.
        tower_fingerprint (`str`, *optional*): digest of its weights as stored.
        tower_included (`bool`): whether a checkpoint with this config holds the tower, or only names it. Written by
            `save_pretrained`.
        included_fingerprint (`str`, *optional*): digest of the tower that a checkpoint holds, which may have been
            trained further or be in another precision. Written by `save_pretrained`.
        tower_dtype (`str`, *optional*): precision of the tower's own weights; `None` is that of the rest.
        tower_adapters (`dict`): other adapters of `peft` on the model (a LoRA): name -> settings, in the order in
            which they were added. LoRA and NeuroPrompt, with settings that are listed in `recorded_adapters`, because
            a config may come from anybody. Written by `save_pretrained`.
        active_adapters (`list[str]`, *optional*): which adapters are switched on, the model's own prompts
            being "default"; `None` for all. Written by `save_pretrained`.

    Raises:
        InputError: for an unknown name or an impossible value.
    """

    sub_configs_defaults = {
        "encoder_config": SubConfigSpec(config_class=AutoConfig, model_type=DEFAULT_ENCODER),
        "vision_config": SubConfigSpec(config_class=AutoConfig, model_type=DEFAULT_TOWER_TYPE),
    }
    # Batch by batch, logits of different batches cannot be put side by side; metrics take the embeddings.
    keys_to_ignore_at_inference = ["logits_per_brain", "logits_per_image", "penalties"]

    encoder_config: BrainEncoderConfig = None  # type: ignore[assignment] # None becomes the default encoder
    vision_config: PretrainedConfig = None
    prompt_config: dict[str, Any] | None = field(default_factory=dict)
    vision: bool = True
    vision_feature_layers: list[int] | None = None
    vision_feature_token: str = "cls"
    brain_projection: str = "linear"
    image_projection: str = "linear"
    projection_dim: int = 512
    logit_scale_init_value: float = math.log(1 / 0.07)
    tower: str = RANDOM_TOWER
    tower_revision: str | None = None
    tower_fingerprint: str | None = None
    tower_included: bool = True
    included_fingerprint: str | None = None
    tower_dtype: str | None = None
    tower_adapters: dict[str, dict[str, Any]] = field(default_factory=dict)
    active_adapters: list[str] | None = None

    def __post_init__(self, **unknown: Any) -> None:
        default = self.sub_configs_defaults["encoder_config"].model_type
        self.encoder_config = _as_encoder_config(self.encoder_config, default)
        self.vision_config = as_vision_config(self.vision_config)
        self.prompt_config = _as_prompt_settings(self.prompt_config)
        self.vision_feature_layers = self.feature_layers
        if self.tower_dtype is not None:
            self.tower_dtype = str(self.tower_dtype).removeprefix("torch.")
        super().__post_init__(**unknown)

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible."""
        self._check_parts()
        require_count(self, "projection_dim")
        require_number(self, "logit_scale_init_value", *LOGIT_SCALE_RANGE)
        require_choice(self, "vision_feature_token", TOKENS)
        require_choice(self, "brain_projection", PROJECTIONS)
        require_choice(self, "image_projection", PROJECTIONS)
        if self.tower_dtype is not None:
            require_choice(self, "tower_dtype", TOWER_DTYPES)
        require_type(self, bool, "vision", "tower_included")
        require_type(self, str, "tower")
        for name in ("tower_revision", "tower_fingerprint", "included_fingerprint"):
            if getattr(self, name) is not None:
                require_type(self, str, name)
        check_records(self.tower_adapters, self.active_adapters)
        self.encoder_config.check()
        self._check_tower()
        self._check_features()
        prompt, layers = _as_prompt_settings(self.prompt_config), self.vision_config.num_hidden_layers
        depth = 1 if prompt is None or prompt["prompt_depth"] is None else prompt["prompt_depth"]
        if depth > layers:
            raise InputError(
                f"prompt_depth is {depth}, but the tower has {layers} layers: use 1 to {layers}, or none for all of "
                "them."
            )
        if depth > (read := max(self.feature_layers or [layers])):
            raise InputError(
                f"prompt_depth is {depth}, but vision_feature_layers reads no layer above {read}, and prompts of "
                f"layers that are not run would not learn: use 1 to {read}, or none for all of these."
            )

    def _check_parts(self) -> None:
        # They are made into configs when this one is made, and may have been assigned since.
        for name, kind in (("encoder_config", BrainEncoderConfig), ("vision_config", PretrainedConfig)):
            if not isinstance(getattr(self, name), kind):
                raise InputError(
                    f"{name} is {getattr(self, name)!r}: it must be a config; give a dict of settings where "
                    f"{type(self).__name__} is made."
                )
        if self.vision_config.model_type not in TOWER_TYPES:
            as_vision_config(self.vision_config)

    def _check_tower(self) -> None:
        # transformers checks types only; what it cannot build ends in errors that name no setting.
        tower = self.vision_config
        for name in _TOWER_COUNTS:
            if getattr(tower, name, 1) < 1:
                raise InputError(f"vision_config.{name} is {getattr(tower, name)}: it must be at least 1.")
        for name in _TOWER_SHARES:
            if not 0 <= getattr(tower, name, 0) <= 1:
                raise InputError(f"vision_config.{name} is {getattr(tower, name)}: it must be from 0 to 1.")
        if tower.hidden_act not in ACT2FN:
            raise InputError(
                f"vision_config.hidden_act is {tower.hidden_act!r}: it must be an activation of transformers, such as "
                "quick_gelu, gelu or relu."
            )
        if tower.patch_size > tower.image_size:
            raise InputError(
                f"vision_config.patch_size is {tower.patch_size}: it must be at most image_size, {tower.image_size}."
            )

    @property
    def feature_layers(self) -> list[int] | None:
        """`vision_feature_layers` counted from the bottom, in ascending order.

        Raises:
            InputError: for layers that are no whole numbers, out of range, or named twice.
        """
        given, count = self.vision_feature_layers, self.vision_config.num_hidden_layers
        if given is None:
            return None
        if not isinstance(given, (list, tuple)) or not given:
            raise InputError(f"vision_feature_layers is {given!r}: it must be a list of layers, such as [{count}].")
        for layer in given:
            if isinstance(layer, bool) or not isinstance(layer, int) or not 1 <= abs(layer) <= count:
                raise InputError(
                    f"vision_feature_layers names {layer!r}: the tower has {count} layers, from 1 (the lowest) to "
                    f"{count}, or from -{count} to -1."
                )
        layers = sorted(layer if layer > 0 else count + 1 + layer for layer in given)
        twice = [layer for layer, following in pairwise(layers) if layer == following]
        if twice:
            raise InputError(f"vision_feature_layers is {list(given)}: it names layer {twice[0]} more than once.")
        return layers

    @property
    def num_feature_layers(self) -> int:
        """Layers of the tower that are read; the pooled output is one."""
        return len(self.feature_layers or [0])

    def _check_features(self) -> None:
        kind, name = tower_type(self.vision_config), self.vision_config.model_type
        if self.feature_layers is None:
            if self.vision_feature_token != "cls":
                raise InputError(
                    f"vision_feature_token is {self.vision_feature_token!r}, but the pooled output is read: name "
                    f"vision_feature_layers, such as [{self.vision_config.num_hidden_layers}]."
                )
            if not getattr(self.vision_config, "vision_use_head", True):
                raise InputError(
                    f"this tower ({name}) has no pooled output, since its vision_use_head is False: name "
                    "vision_feature_layers and vision_feature_token='mean'."
                )
        elif self.vision_feature_token == "cls" and not kind.has_class_token:
            raise InputError(
                f"vision_feature_token is 'cls', but a tower of type {name} has no class token: take 'mean'."
            )


def _as_encoder_config(given: dict[str, Any] | BrainEncoderConfig | None, default: str) -> BrainEncoderConfig:
    if isinstance(given, BrainEncoderConfig):
        return given
    settings = dict(require_mapping("encoder_config", given))
    return encoder_config(settings.pop("model_type", default), **settings)


def _as_prompt_settings(given: dict[str, Any] | None) -> dict[str, Any] | None:
    if given is None:
        return None
    settings = require_mapping("prompt_config", given)
    names = NeuroPromptConfig.setting_names()
    unknown = sorted(map(str, set(settings) - set(names)))
    if unknown:
        raise InputError(f"prompt_config has no setting {', '.join(unknown)}: its settings are {', '.join(names)}.")
    try:
        checked = NeuroPromptConfig(**settings)
    except (TypeError, ValueError) as error:
        raise InputError(f"prompt_config cannot be used: {error}") from error
    return {name: getattr(checked, name) for name in names}
