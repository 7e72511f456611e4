"""NeuroCLIP: brain recordings and prompted pictures in one space."""

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from types import MappingProxyType
from typing import Any, Self

import torch
from torch import nn
from transformers import CLIPVisionModel, PreTrainedModel, initialization
from transformers.utils import ModelOutput

from neuroclip_hf.columns import SMALL_CLIP
from neuroclip_hf.errors import InputError
from neuroclip_hf.losses import contrastive_logits, gather_with_gradient, softened_contrastive_loss
from neuroclip_hf.models import vision
from neuroclip_hf.models.initialisation import initialise_as_torch
from neuroclip_hf.models.neuroclip.configuration_neuroclip import LOGIT_SCALE_RANGE, NeuroCLIPConfig
from neuroclip_hf.models.registry import build_encoder, encoder_config
from neuroclip_hf.models.towers import tower_location, tower_name


@dataclass
class NeuroCLIPOutput(ModelOutput):
    """What [`NeuroCLIPModel`] returns.

    Args:
        loss (`torch.Tensor`, *optional*): the softened contrastive loss, a scalar.
        logits_per_brain (`torch.Tensor`, *optional*): (batch, batch), scaled cosines of each recording with the
            picture of each row.
        logits_per_image (`torch.Tensor`, *optional*): its transpose.
        brain_embeds (`torch.Tensor`, *optional*): (batch, projection_dim), not normalised.
        image_embeds (`torch.Tensor`, *optional*): (batch, projection_dim), not normalised, one row for each recording.
    """

    loss: torch.Tensor | None = None
    logits_per_brain: torch.Tensor | None = None
    logits_per_image: torch.Tensor | None = None
    brain_embeds: torch.Tensor | None = None
    image_embeds: torch.Tensor | None = None


class LogitScale(nn.Module):
    """The trained factor of the cosines, kept as a logarithm between ln 2 and ln 100.

    A module of its own: a parameter called `logit_scale` in the model itself would be filled from a CLIP checkpoint.
    """

    def __init__(self, init_value: float) -> None:
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(init_value, dtype=torch.float32))

    def forward(self) -> torch.Tensor:
        """The factor itself, a scalar."""
        if self.training:
            # In place, because beyond a bound clamp has no gradient that would lead back.
            with torch.no_grad():
                self.logit_scale.clamp_(*LOGIT_SCALE_RANGE)
        return self.logit_scale.clamp(*LOGIT_SCALE_RANGE).exp()


class NeuroCLIPModel(PreTrainedModel):
    """NeuroCLIP: a brain encoder trained to land where a prompted, frozen CLIP puts the picture that was seen.

    A re-implementation of "NeuroCLIP: Brain-Inspired Prompt Tuning for EEG-to-Image Multimodal Contrastive Learning"
    (Wang et al., arXiv 2511.09250). No official code is public, and the paper's equations and hyper-parameters were
    not readable for us; we worked from its abstract, summary and figure captions.

    From the paper: a frozen CLIP vision transformer; shared-level prompts, learnable tokens that are the same for
    every picture, inserted into it; light trainable modules on both sides; a projection of both into one space; a
    softened contrastive loss.

    Our reading: prompts in the manner of Visual Prompt Tuning (8 tokens in every layer); the picture's embedding is
    the tower's pooled output; one linear projection a side; targets of the loss softened by the similarity of the
    pictures in the frozen, unprompted tower, relative to what all training pictures share; several rows may show one
    picture; the factor of the cosines is trained, starts at 1 / 0.07 and stays between 2 and 100.

    Not built yet: the Dynamic Filter Layer, the dual stream, Cross-Attention Token-level Fusion with its
    instance-level prompts, perturbation of the EEG, and pictures read from intermediate layers.

    Trained are the encoder, prompts, projections and logit scale. The tower is frozen, and in eval mode even while the
    model trains. Embeddings are not normalised; loss and metrics do that.

    Args:
        config (`NeuroCLIPConfig`): the settings.
        vision_model (`CLIPVisionModel`, *optional*): a tower to build on, which is changed in place; without it a new
            one is made from `config.vision_config`.
    """

    config: NeuroCLIPConfig
    base_model_prefix = "neuroclip"
    main_input_name = "eeg_values"
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False  # tells transformers' Trainer that the loss is a mean over the batch
    _no_split_modules = ["CLIPEncoderLayer", "PromptedEmbeddings"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(self, config: NeuroCLIPConfig, vision_model: CLIPVisionModel | None = None) -> None:
        config.check()
        if vision_model is not None:
            config.vision_config = vision_model.config
        super().__init__(config)
        # Weights are drawn once, by post_init; whatever a constructor draws on the way is not to move the generator.
        with initialization.no_init_weights(), torch.random.fork_rng(devices=()):
            self.encoder = build_encoder(config.encoder_config)
            self.brain_projection = nn.Linear(config.encoder_config.hidden_size, config.projection_dim)
            self.image_projection = nn.Linear(config.vision_config.hidden_size, config.projection_dim)
            self.vision_model = CLIPVisionModel(config.vision_config) if vision_model is None else vision_model
            vision.prompt_tower(self.vision_model, config.prompt_config)
            # What all pictures of the frozen tower share; zero until `centre_pictures` measures it.
            self.register_buffer("frozen_mean", torch.zeros(config.vision_config.hidden_size))
            self.scale = LogitScale(config.logit_scale_init_value)
        self.post_init()
        self.train(self.training)

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | PathLike[str] | None, *arguments: Any, strict: bool = True, **options: Any
    ) -> Any:
        """Load a checkpoint: safetensors only, and every key looked at.

        Args:
            name_or_path (`str` or path): a repository on the Hub, or a folder.
            arguments: as for `PreTrainedModel.from_pretrained`.
            strict (`bool`): refuse a checkpoint that lacks weights or holds others; `False` fills what is missing with
                start weights, as transformers does.
            options: as for `PreTrainedModel.from_pretrained`.

        Raises:
            InputError: naming the keys that are missing or unexpected.
        """
        wants_report = options.pop("output_loading_info", False)
        options = {"use_safetensors": True, **options}
        model, report = super().from_pretrained(name_or_path, *arguments, output_loading_info=True, **options)
        wrong = sorted(
            f"{key if isinstance(key, str) else key[0]} ({kind})"
            for kind in ("missing", "unexpected", "mismatched")
            for key in report[f"{kind}_keys"]
        )
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
        """A new model on the vision tower of a pretrained CLIP.

        Args:
            name_or_path (`str` or path): a CLIP checkpoint with safetensors, on the Hub or in a folder; "small-clip"
                ships with the package.
            revision (`str`, *optional*): branch, tag or commit.
            encoder (`str`): name of the brain encoder.
            encoder_settings (`Mapping`, *optional*): its settings that differ from its defaults.
            prompt (`Mapping`, *optional*): settings of [`NeuroPromptConfig`]; `None` for no prompts.
            settings: further fields of [`NeuroCLIPConfig`].

        Raises:
            InputError: if the checkpoint cannot be used, or a setting is unknown or impossible.
        """
        location = tower_location(str(name_or_path))
        config = NeuroCLIPConfig(
            encoder_config=encoder_config(encoder, **(encoder_settings or {})),
            vision_config=vision.read_tower_config(location, revision),
            prompt_config=None if prompt is None else dict(prompt),
            tower=tower_name(str(name_or_path)),
            tower_revision=revision,
            **settings,
        )
        return cls(config, vision_model=vision.load_tower(location, config.vision_config, revision))

    def get_brain_features(self, eeg_values: torch.Tensor, subject_index: torch.Tensor | None = None) -> torch.Tensor:
        """Recordings (batch, num_channels, num_timesteps) to (batch, projection_dim), not normalised."""
        return self.brain_projection(self.encoder(eeg_values, subject_index=subject_index).features)

    def get_image_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Pictures (pictures, 3, height, width) to (pictures, projection_dim), prompts included, not normalised."""
        return self._project_image(vision.tower_features(self.vision_model, pixel_values))

    def get_frozen_image_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Pictures (pictures, 3, height, width) to the unprompted tower's own (pictures, width), without gradient.

        They never change while the model trains: compute them once and pass them to `forward`.
        """
        return vision.frozen_tower_features(self.vision_model, pixel_values)

    @torch.no_grad()
    def centre_pictures(self, image_embeds: torch.Tensor, frozen_image_embeds: torch.Tensor) -> None:
        """Take out what all pictures share, once, before training (ours).

        A tower gives all pictures a large part in common (cosines of .99 and more with random weights). The image
        projection is shifted and scaled so that these embeddings would have mean zero and unit size, and the loss'
        softened targets compare pictures relative to their mean in the frozen tower.

        Args:
            image_embeds (`torch.Tensor`): (pictures, projection_dim), what [`get_image_features`] gives for training
                pictures.
            frozen_image_embeds (`torch.Tensor`): (pictures, width), what [`get_frozen_image_features`] gives for them.
        """
        self.frozen_mean.copy_(frozen_image_embeds.mean(dim=0))
        image_embeds = image_embeds.to(self.image_projection.weight)
        mean = image_embeds.mean(dim=0)
        size = (image_embeds - mean).square().mean().sqrt().clamp_min(torch.finfo(mean.dtype).tiny)
        self.image_projection.weight.div_(size)
        self.image_projection.bias.sub_(mean).div_(size)

    def forward(
        self,
        eeg_values: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        image_id: torch.Tensor | None = None,
        picture_index: torch.Tensor | None = None,
        frozen_image_embeds: torch.Tensor | None = None,
        subject_index: torch.Tensor | None = None,
        return_loss: bool = True,
        return_dict: bool | None = None,
    ) -> NeuroCLIPOutput | tuple[torch.Tensor, ...]:
        """Embed recordings and pictures, and compare them.

        Args:
            eeg_values (`torch.Tensor`, *optional*): (batch, num_channels, num_timesteps).
            pixel_values (`torch.Tensor`, *optional*): (pictures, 3, height, width), each picture of the batch once.
            image_id (`torch.Tensor`, *optional*): (batch,) whole numbers; rows with equal ids are right answers to
                each other. `None`: every row is its own only answer.
            picture_index (`torch.Tensor`, *optional*): (batch,) the picture of each row; `None`: they are in order.
            frozen_image_embeds (`torch.Tensor`, *optional*): (pictures, width) from [`get_frozen_image_features`];
                computed here if the loss needs them. Without prompts they can stand in for `pixel_values`.
            subject_index (`torch.Tensor`, *optional*): (batch,) place of the subject in the checkpoint's list.
            return_loss (`bool`): compute the loss; needs both sides. While training on several processes it is the
                loss of all their rows together.
            return_dict (`bool`, *optional*): `False` for a tuple.

        Raises:
            InputError: if a side is missing, or sizes do not fit each other.
        """
        brain = None if eeg_values is None else self.get_brain_features(eeg_values, subject_index)
        image, frozen = self._embed_pictures(pixel_values, frozen_image_embeds, return_loss)
        if picture_index is not None:  # index_select, because its gradient is deterministic
            image = None if image is None else image.index_select(0, picture_index)
            frozen = None if frozen is None else frozen.index_select(0, picture_index)
        output = NeuroCLIPOutput(brain_embeds=brain, image_embeds=image)
        if brain is not None and image is not None:
            _check_pairs(brain, image, image_id)
            output.logits_per_brain = contrastive_logits(brain, image, self.scale())
            output.logits_per_image = output.logits_per_brain.T
        if return_loss:
            output.loss = self._loss(brain, image, image_id, frozen)
        return output if (self.config.return_dict if return_dict is None else return_dict) else output.to_tuple()

    def trainable_parameter_names(self) -> list[str]:
        """Names of the parameters that learn."""
        return [name for name, parameter in self.named_parameters() if parameter.requires_grad]

    def frozen_parameter_names(self) -> list[str]:
        """Names of the parameters that do not."""
        return [name for name, parameter in self.named_parameters() if not parameter.requires_grad]

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; the frozen tower stays in evaluation."""
        super().train(mode)
        vision.set_tower_mode(self.vision_model, mode)
        return self

    def _embed_pictures(
        self, pixel_values: torch.Tensor | None, frozen: torch.Tensor | None, return_loss: bool
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        adapted = vision.has_active_adapter(self.vision_model)
        if pixel_values is None:
            if frozen is None:
                return None, None
            if adapted:
                raise InputError("pixel_values is missing: with prompts, frozen_image_embeds cannot stand in for it.")
            return self._project_image(frozen), frozen
        if not adapted:
            frozen = self.get_frozen_image_features(pixel_values) if frozen is None else frozen
            return self._project_image(frozen), frozen
        if frozen is None and return_loss and self.config.softening > 0:
            frozen = self.get_frozen_image_features(pixel_values)
        return self.get_image_features(pixel_values), frozen

    def _project_image(self, features: torch.Tensor) -> torch.Tensor:
        return self.image_projection(features.to(self.image_projection.weight.dtype))

    def _loss(
        self,
        brain: torch.Tensor | None,
        image: torch.Tensor | None,
        image_id: torch.Tensor | None,
        frozen: torch.Tensor | None,
    ) -> torch.Tensor:
        if brain is None or image is None:
            raise InputError("the loss needs eeg_values and pixel_values: pass both, or return_loss=False.")
        if self.training:  # evaluation batches may be uneven, and their loss is only looked at
            brain, image = gather_with_gradient(brain), gather_with_gradient(image)
            image_id = None if image_id is None else gather_with_gradient(image_id)
            frozen = None if frozen is None else gather_with_gradient(frozen)
        frozen = None if frozen is None else frozen - self.frozen_mean
        return softened_contrastive_loss(
            brain, image, self.scale(), image_id, frozen, self.config.softening, self.config.softening_temperature
        )

    def initialize_weights(self) -> None:
        """Draw the start weights of whatever was not loaded from a checkpoint, and freeze the tower."""
        super().initialize_weights()
        vision.freeze_tower(self.vision_model)  # here, because loading makes every parameter trainable
        # The tower is a model of its own, asked for its own weights; it does not know the prompts.
        with torch.no_grad(), initialization.guard_torch_init_functions():
            vision.reset_prompts(self.vision_model)
            initialization.zeros_(self.frozen_mean)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, LogitScale):
            initialization.constant_(module.logit_scale, self.config.logit_scale_init_value)
        elif not initialise_as_torch(module):
            super()._init_weights(module)

    def _set_gradient_checkpointing(self, *args: Any, **kwargs: Any) -> None:
        super()._set_gradient_checkpointing(*args, **kwargs)
        self.train(self.training)  # layers that are to be recomputed need their flag


def _check_pairs(brain: torch.Tensor, image: torch.Tensor, image_id: torch.Tensor | None) -> None:
    if len(brain) != len(image):
        raise InputError(
            f"{len(brain)} recordings but {len(image)} pictures: pass picture_index, which says the picture of each."
        )
    if image_id is not None and tuple(image_id.shape) != (len(brain),):
        raise InputError(f"image_id is {tuple(image_id.shape)}: it must be ({len(brain)},), one for each recording.")
