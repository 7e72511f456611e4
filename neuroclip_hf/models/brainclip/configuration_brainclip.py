"""Settings of BrainCLIP."""

import dataclasses
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, CLIPTextConfig, PretrainedConfig
from transformers.configuration_utils import SubConfigSpec

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.brain_image.configuration_brain_image import BrainImageConfig
from neuroclip_hf.models.configuration import refuse_unknown, require_mapping, require_number, require_type
from neuroclip_hf.models.tower_types import as_vision_config, clean_vision_config


class BrainCLIPConfig(BrainImageConfig):
    """Settings of [`BrainCLIPModel`]. A name that does not exist is refused, also inside the parts.

    The hyper-parameters of the papers (arXiv 2302.12971; IEEE TMI 2025) were never released: every default is ours.

    Args:
        text (`bool`): whether the tower is a whole CLIP, with its text side. `False` for a tower without one:
            recordings are then brought near its pooled output, and `text_weight` must be 0.
        text_config (`CLIPTextConfig` or `dict`, *optional*): the text tower.
        text_fingerprint, visual_projection_fingerprint (`str`, *optional*): digests of its weights as stored, and of
            those of CLIP's own projection of pictures.
        image_weight (`float`): of the contrast with pictures, in the loss and in what `mse_weight` pulls towards.
        text_weight (`float`): likewise of the contrast with texts. 0 reads no text while training.
        concept_share (`float`): part of a recording's text mass that it shares with all texts of its concept, as
            several right answers. Pictures without captions have one text a concept, and share it whatever this says;
            captions that tell pictures of a concept apart lose by it.
        mse_weight (`float`): of the squared distance to the (normalised) picture and text. The encoder's own
            penalties, as the `kl_weight` of a variational one, are among its settings.
        mixco (`float`): concentration of the Beta distribution by which trials are mixed while training; 0 mixes none.
        soft_targets (`float`): share of the targets that follows how alike the pictures, or texts, are (SoftCLIP: Gao
            et al., "SoftCLIP: Softer Cross-modal Alignment Makes CLIP Stronger", AAAI 2024).
        soft_targets_temperature (`float`): temperature of that likeness, in units of the cosine.
        centre (`bool`): whether embeddings of pictures and texts are CLIP's less their mean over the training
            pictures.
        text_template (`str`): the text of a picture without a caption; {} stands for its concept. The paper's is
            "an image of {}.".
        settings: encoder ("vae_map" if none is named), tower, prompts: see [`BrainImageConfig`]. The space is the
            tower's own: `projection_dim` follows from it and `image_projection` must be "none"; `brain_projection`,
            "none" as well, may be another one, and the encoder's `hidden_size` is the width of the space unless it is
            said. `vision_feature_layers` must be `None`.

    Raises:
        InputError: for an unknown name or an impossible value.
    """

    model_type = "brainclip"
    sub_configs_defaults = {
        **BrainImageConfig.sub_configs_defaults,
        "encoder_config": SubConfigSpec(config_class=AutoConfig, model_type="vae_map"),
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type=CLIPTextConfig.model_type),
    }

    brain_projection: str = "none"
    image_projection: str = "none"
    projection_dim: int | None = None  # type: ignore[assignment] # the tower's
    text: bool = True
    text_config: PretrainedConfig = None
    text_fingerprint: str | None = None
    visual_projection_fingerprint: str | None = None
    image_weight: float = 1.0
    text_weight: float = 1.0
    concept_share: float = 0.0
    mse_weight: float = 0.0
    mixco: float = 0.2
    soft_targets: float = 0.0
    soft_targets_temperature: float = 0.05
    centre: bool = True
    text_template: str = "an image of {}."

    def __post_init__(self, **unknown: Any) -> None:
        self.vision_config = as_vision_config(self.vision_config)
        self.text_config = _as_text_config(self.text_config)
        if self.projection_dim is None:
            self.projection_dim = self.space_width
        if isinstance(self.encoder_config, (dict, type(None))) and self.brain_projection == "none":
            sized: Any = {"hidden_size": self.space_width, **(self.encoder_config or {})}
            self.encoder_config = sized
        super().__post_init__(**unknown)

    @property
    def space_width(self) -> int:
        """Of the tower's own space: CLIP's, or a pooled output's where there is no text side."""
        return int(self.text_config.projection_dim if self.text else self.vision_config.hidden_size)

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible."""
        super().check()
        require_type(self, bool, "text", "centre")
        require_type(self, str, "text_template")
        for name in ("image_weight", "text_weight", "mse_weight", "mixco"):
            require_number(self, name, 0, 1e6)
        require_number(self, "soft_targets", 0, 1)
        require_number(self, "concept_share", 0, 1)
        require_number(self, "soft_targets_temperature", 1e-6, 1e6)
        for name in ("text_fingerprint", "visual_projection_fingerprint"):
            if getattr(self, name) is not None:
                require_type(self, str, name)
        if self.text_template.count("{}") != 1:
            raise InputError(f"text_template is {self.text_template!r}: it must hold one {{}}, for the concept.")
        if self.image_weight == self.text_weight == 0:
            raise InputError("image_weight and text_weight are 0: give one of them weight, or nothing is learned.")
        if self.text_weight > 0 and not self.text:
            raise InputError(
                f"text_weight is {self.text_weight}, but tower {self.tower} has no text side: say text_weight=0, or "
                "name a whole CLIP."
            )
        self._check_space()

    def _check_space(self) -> None:
        remedy = "recordings are brought into the tower's own space"
        if self.image_projection != "none":
            raise InputError(f"image_projection is {self.image_projection!r}: it must be 'none', since {remedy}.")
        if self.vision_feature_layers is not None:
            raise InputError(
                f"vision_feature_layers is {self.vision_feature_layers}: it must be none, since {remedy}, that of its "
                "pooled output."
            )
        if self.projection_dim != self.space_width:
            raise InputError(
                f"projection_dim is {self.projection_dim}, but {remedy}, which is {self.space_width} wide: leave it "
                "out, or say null."
            )


def _as_text_config(given: Any) -> PretrainedConfig:
    if isinstance(given, PretrainedConfig):
        if given.model_type != CLIPTextConfig.model_type:
            raise InputError(
                f"text_config is of type {given.model_type!r}: text towers are of type {CLIPTextConfig.model_type}."
            )
        return clean_vision_config(given)
    settings = dict(require_mapping("text_config", given))
    if settings.pop("model_type", CLIPTextConfig.model_type) != CLIPTextConfig.model_type:
        raise InputError(f"text_config is of type {given['model_type']!r}: text towers are of type clip_text_model.")
    refuse_unknown(CLIPTextConfig, set(settings) - set(CLIPTextConfig().to_dict()))
    names = {field.name for field in dataclasses.fields(CLIPTextConfig)}
    try:
        return clean_vision_config(CLIPTextConfig(**{name: settings[name] for name in settings if name in names}))
    except (StrictDataclassError, TypeError, ValueError) as error:
        raise InputError(f"text_config cannot be used: {error}") from error
