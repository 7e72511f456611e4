"""Settings of NeuroCLIP."""

import math
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, CLIPVisionConfig
from transformers.configuration_utils import SubConfigSpec

from neuroclip_hf.adapters.neuro_prompt import NeuroPromptConfig
from neuroclip_hf.columns import RANDOM_TOWER
from neuroclip_hf.errors import InputError
from neuroclip_hf.models.configuration import StrictConfig, refuse_unknown, require_count, require_number
from neuroclip_hf.models.encoders.base import BrainEncoderConfig
from neuroclip_hf.models.registry import encoder_config
from neuroclip_hf.models.vision import clean_vision_config

# Bounds between which the factor of the cosines may move while it is trained.
LOGIT_SCALE_RANGE = (math.log(2), math.log(100))


class NeuroCLIPConfig(StrictConfig):
    """Settings of [`NeuroCLIPModel`]. A name that does not exist is refused, also inside the parts.

    Where the paper (arXiv 2511.09250) gives no number that we could read, the default is ours, and says so.

    Args:
        encoder_config (`BrainEncoderConfig` or `dict`): the brain encoder; a dict names it as `model_type`
            ("eeg_project" if it does not) beside that encoder's settings, and becomes a config.
        vision_config (`CLIPVisionConfig` or `dict`): the frozen CLIP vision tower; a dict becomes a config.
        prompt_config (`dict`, *optional*): settings of [`NeuroPromptConfig`] that differ from its defaults; `None`
            leaves the tower without prompts.
        projection_dim (`int`): width of the space in which recordings meet pictures. Ours.
        logit_scale_init_value (`float`): where the logarithm of the cosines' factor starts; CLIP's ln(1 / 0.07).
        softening (`float`): share of the loss' targets that follows the similarity of the pictures. Ours.
        softening_temperature (`float`): temperature of that similarity, in units of the cosine. Ours.
        tower (`str`): name or path of the checkpoint the tower came from, for reports; "random" for start weights.
        tower_revision (`str`, *optional*): its revision.

    Raises:
        InputError: for an unknown name or an impossible value.
    """

    model_type = "neuroclip"
    sub_configs_defaults = {
        "encoder_config": SubConfigSpec(config_class=AutoConfig, model_type="eeg_project"),
        "vision_config": SubConfigSpec(config_class=CLIPVisionConfig),
    }
    # Batch by batch, logits of different batches cannot be put side by side; metrics take the embeddings.
    keys_to_ignore_at_inference = ["logits_per_brain", "logits_per_image"]

    encoder_config: BrainEncoderConfig = None  # type: ignore[assignment] # None becomes the default encoder
    vision_config: CLIPVisionConfig = None
    prompt_config: dict[str, Any] | None = field(default_factory=dict)
    projection_dim: int = 512
    logit_scale_init_value: float = math.log(1 / 0.07)
    softening: float = 0.2
    softening_temperature: float = 0.05
    tower: str = RANDOM_TOWER
    tower_revision: str | None = None

    def __post_init__(self, **unknown: Any) -> None:
        self.encoder_config = _as_encoder_config(self.encoder_config)
        self.vision_config = _as_vision_config(self.vision_config)
        self.prompt_config = _as_prompt_settings(self.prompt_config)
        super().__post_init__(**unknown)

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible."""
        require_count(self, "projection_dim")
        require_number(self, "logit_scale_init_value", *LOGIT_SCALE_RANGE)
        require_number(self, "softening", 0, 1)
        require_number(self, "softening_temperature", 0, 1e6, open_low=True)
        self.encoder_config.check()
        prompt, layers = _as_prompt_settings(self.prompt_config), self.vision_config.num_hidden_layers
        if prompt is not None and (prompt["prompt_depth"] or 1) > layers:
            raise InputError(
                f"prompt_depth is {prompt['prompt_depth']}, but the tower has {layers} layers: use 1 to {layers}, "
                "or none for all of them."
            )


def _as_encoder_config(given: dict[str, Any] | BrainEncoderConfig | None) -> BrainEncoderConfig:
    if isinstance(given, BrainEncoderConfig):
        return given
    settings = dict(_as_mapping("encoder_config", given))
    return encoder_config(settings.pop("model_type", "eeg_project"), **settings)


def _as_vision_config(given: dict[str, Any] | CLIPVisionConfig | None) -> CLIPVisionConfig:
    if isinstance(given, CLIPVisionConfig):
        return clean_vision_config(given)
    settings = _as_mapping("vision_config", given)
    refuse_unknown(CLIPVisionConfig, settings)
    try:
        return clean_vision_config(CLIPVisionConfig(**settings))
    except (StrictDataclassError, TypeError, ValueError) as error:
        raise InputError(f"vision_config cannot be used: {error}") from error


def _as_prompt_settings(given: dict[str, Any] | None) -> dict[str, Any] | None:
    if given is None:
        return None
    settings = _as_mapping("prompt_config", given)
    names = NeuroPromptConfig.setting_names()
    unknown = sorted(set(settings) - set(names))
    if unknown:
        raise InputError(f"prompt_config has no setting {', '.join(unknown)}: its settings are {', '.join(names)}.")
    try:
        checked = NeuroPromptConfig(**settings)
    except (TypeError, ValueError) as error:
        raise InputError(f"prompt_config cannot be used: {error}") from error
    return {name: getattr(checked, name) for name in names}


def _as_mapping(name: str, given: Any) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputError(f"{name} is {given!r}: it must be a dict of settings, or a config.")
    return given
