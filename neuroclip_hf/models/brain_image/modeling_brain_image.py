"""Brain encoder, frozen vision tower and projections: what our models of recordings and pictures share."""

from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import nn
from transformers import PreTrainedModel, initialization

from neuroclip_hf.adapters.neuro_prompt.structure import find_structure
from neuroclip_hf.errors import InputError
from neuroclip_hf.models import vision
from neuroclip_hf.models.batches import require_floating, require_pictures, require_rows
from neuroclip_hf.models.brain_image.arguments import check_model
from neuroclip_hf.models.brain_image.checkpoints import SmallCheckpoints
from neuroclip_hf.models.brain_image.configuration_brain_image import BrainImageConfig
from neuroclip_hf.models.brain_image.frozen_towers import tower_dtype_of
from neuroclip_hf.models.brain_image.recording_side import RecordingSide
from neuroclip_hf.models.initialisation import initialise_as_torch
from neuroclip_hf.models.projections import ImageProjection, LogitScale, build_projection
from neuroclip_hf.models.registry import build_encoder
from neuroclip_hf.models.tower_loading import StoredTower, tower_fingerprint
from neuroclip_hf.models.tower_parts import VISION


class BrainImageModel(RecordingSide, SmallCheckpoints):
    """A brain encoder and a frozen, adapted vision tower, each with a projection into one space.

    Trained are the encoder, adapters, projections and logit scale. The tower is frozen, and in eval mode even while
    the model trains. Embeddings are not normalised; loss and metrics do that. Subclasses say how both sides are
    compared: `forward` and its loss.

    `picture_chunk_size`, an attribute, is how many pictures go through the tower at once; with fewer than a batch has,
    memory is that of one chunk, time grows by a forward pass, and results stay the same (see [`vision.in_chunks`]).

    Args:
        config (`BrainImageConfig`): the settings.
        vision_model (`PreTrainedModel`, *optional*): a tower to build on, which is changed in place; without it a new
            one is made from `config.vision_config`.
        stored_towers (`Mapping`, *optional*): what fills the towers while a checkpoint is loaded, by their names.
        towers: the other parts of `tower_parts` to build on, by their names, where a kind of model has some.

    Raises:
        InputError: for an impossible config, or any other argument.
    """

    config: BrainImageConfig
    main_input_name = "eeg_values"  # the encoder says what it is in a model
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False  # tells transformers' Trainer that the loss is a mean over the batch
    _no_split_modules = ["PromptedEmbeddings"]  # towers name their own
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(
        self,
        config: BrainImageConfig,
        vision_model: PreTrainedModel | None = None,
        stored_towers: Mapping[str, StoredTower] | None = None,
        **towers: Any,
    ) -> None:
        check_model(type(self), config, vision_model, stored_towers, towers)
        config.check()
        if vision_model is not None:
            config.vision_config = vision_model.config
        super().__init__(config)
        self._picture_chunk_size: int | None = None
        # Weights are drawn once, by post_init; whatever a constructor draws on the way is not to move the generator.
        with initialization.no_init_weights(), torch.random.fork_rng(devices=()):
            self.encoder = build_encoder(config.encoder_config)
            self.main_input_name = self.encoder.main_input_name
            width = config.encoder_config.hidden_size
            self.brain_projection = build_projection(config.brain_projection, width, config.projection_dim, "brain")
            self._build_image_side(config, vision_model)
            self._build_other_towers(config, towers)
            self.scale = LogitScale(config.logit_scale_init_value)
        self.post_init()
        if config.tower_adapters or config.active_adapters is not None:
            self.add_recorded_adapters()
        if stored_towers is not None:
            self.expect_towers(stored_towers)
        self.train(self.training)

    def _build_image_side(self, config: BrainImageConfig, vision_model: PreTrainedModel | None) -> None:
        if not config.vision:
            self.vision_model = self.image_projection = None
            self._keys_to_ignore_on_load_unexpected = [r"^vision_model\.", r"^image_"]
            return
        layers, width = config.feature_layers, config.vision_config.hidden_size
        self.image_projection = ImageProjection(
            config.num_feature_layers, width, config.projection_dim, config.image_projection, layers is not None
        )
        self.vision_model = VISION.build(config) if vision_model is None else vision_model
        vision.prompt_tower(self.vision_model, config.prompt_config, layers)
        # What all pictures of the frozen tower share; zero until `centre_pictures` measures it.
        self.register_buffer("image_features_mean", torch.zeros(config.num_feature_layers, width))

    def _build_other_towers(self, config: BrainImageConfig, given: Mapping[str, nn.Module]) -> None:
        for part in self.tower_parts:
            if part is VISION:
                continue
            if config.vision:
                setattr(self, part.name, given.get(part.name) or part.build(config))
            else:
                setattr(self, part.name, None)
                self._keys_to_ignore_on_load_unexpected.append(rf"^{part.name}\.")

    @property
    def picture_chunk_size(self) -> int | None:
        """Pictures that go through the tower at once; `None` for all of a batch."""
        return self._picture_chunk_size

    @picture_chunk_size.setter
    def picture_chunk_size(self, size: int | None) -> None:
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
            raise InputError(f"picture_chunk_size is {size!r}: it must be a whole number of at least 1, or None.")
        self._picture_chunk_size = size

    @property
    def needs_pictures(self) -> bool:
        """Whether adapters shape what the tower says of a picture; if not, its features can be computed once."""
        return vision.has_active_adapter(self._tower())

    @property
    def takes_any_picture_size(self) -> bool:
        """Whether the tower fits its positions to the pictures; if not, they are all of its `image_size`."""
        return find_structure(self._tower()).resizes_always

    def get_image_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Pictures (pictures, 3, height, width) to (pictures, projection_dim), adapted, not normalised."""
        return self._image_projection()(self._tower_features(pixel_values))

    def get_frozen_image_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Pictures (pictures, 3, height, width) to what the tower without adapters says of them, without gradient.

        Returns:
            `torch.Tensor` of shape `(pictures, num_layers, width)`: the layers that `vision_feature_layers` names, or
            the pooled output as one. They never change while the model trains: compute them once, and pass them to
            `forward` as `image_features`.
        """
        with torch.no_grad(), vision.without_adapters(self._tower()):
            return self._tower_features(pixel_values)

    def centre_pictures(self, image_embeds: torch.Tensor, image_features: torch.Tensor) -> None:
        """Take out what all pictures share, once, before training (ours).

        A tower gives all pictures a large part in common (cosines of .99 and more with random weights). The image
        projection is shifted and scaled so that these embeddings would have mean zero and unit size, and softened
        targets compare pictures relative to their mean in the frozen tower.

        Args:
            image_embeds (`torch.Tensor`): (pictures, projection_dim), what [`get_image_features`] gives for training
                pictures.
            image_features (`torch.Tensor`): (pictures, num_layers, width), what [`get_frozen_image_features`] gives
                for them.
        """
        self._check_image_features(image_features)
        self.image_features_mean.copy_(image_features.mean(dim=0))
        self._image_projection().centre(image_embeds)

    def prepare_for_training(self, embed_pictures: Callable[[], torch.Tensor], image_features: torch.Tensor) -> None:
        """What a kind of model does once with its training pictures, before training; nothing, unless it says so.

        Args:
            embed_pictures (callable): gives the pictures' embeddings as [`get_image_features`] does, (pictures,
                projection_dim); it takes the time that all of them take in the tower.
            image_features (`torch.Tensor`): (pictures, num_layers, width), from [`get_frozen_image_features`].
        """

    def tower_fingerprint(self) -> str:
        """A digest of the vision tower's own weights as they are now, whatever adapters are on it."""
        return tower_fingerprint(self._tower())

    def trainable_parameter_names(self) -> list[str]:
        """Names of the parameters that learn."""
        return [name for name, parameter in self.named_parameters() if parameter.requires_grad]

    def frozen_parameter_names(self) -> list[str]:
        """Names of the parameters that do not."""
        return [name for name, parameter in self.named_parameters() if not parameter.requires_grad]

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; frozen towers stay in evaluation.

        Adapters above the highest layer that is read, which somebody may have added meanwhile, do not learn.
        """
        super().train(mode)
        for _, tower in self.towers():
            tower.eval()
        if self.vision_model is not None:
            vision.set_tower_mode(self.vision_model, mode)
            vision.freeze_unread(self.vision_model, self.config.feature_layers)
        return self

    def embed_pictures(
        self, pixel_values: torch.Tensor | None, image_features: torch.Tensor | None, needs_frozen: bool
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Embeddings of pictures, and what the frozen tower says of them where that is known or needed.

        Args:
            pixel_values (`torch.Tensor`, *optional*): (pictures, 3, height, width).
            image_features (`torch.Tensor`, *optional*): (pictures, num_layers, width); without an active adapter they
                stand in for `pixel_values`.
            needs_frozen (`bool`): whether frozen features are to be computed if they were not given.

        Returns:
            (pictures, projection_dim) and (pictures, num_layers, width), or `None` for what is not there.

        Raises:
            InputError: if features do not fit, or cannot stand in for pictures.
        """
        if image_features is not None:
            self._check_image_features(image_features)
        if pixel_values is None:
            if image_features is None:
                return None, None
            if self.needs_pictures:
                raise InputError(
                    "pixel_values is missing: with an active adapter, image_features cannot stand in for it."
                )
            return self._image_projection()(image_features), image_features
        if image_features is not None and len(image_features) != len(pixel_values):
            raise InputError(
                f"image_features is for {len(image_features)} pictures, and pixel_values holds {len(pixel_values)}: "
                "pass the same pictures in both."
            )
        adapted = self.needs_pictures
        if image_features is None and (needs_frozen or not adapted):
            image_features = self.get_frozen_image_features(pixel_values)
        if adapted:
            return self.get_image_features(pixel_values), image_features
        return self._image_projection()(image_features), image_features

    def initialize_weights(self) -> None:
        """Draw the start weights of whatever was not loaded from a checkpoint, and freeze the tower."""
        self.fill_towers()
        super().initialize_weights()
        self.encoder.freeze_dead_weights()  # here, because loading makes every parameter trainable
        dtype = tower_dtype_of(self.config)
        for _, tower in self.towers():
            tower.requires_grad_(False)
            if dtype is not None:
                vision.set_tower_dtype(tower, dtype)
        if self.vision_model is None:
            return
        # The tower is a model of its own, asked for its own weights; it does not know the prompts.
        with torch.no_grad(), initialization.guard_torch_init_functions():
            vision.reset_prompts(self.vision_model)
            initialization.zeros_(self.image_features_mean)
        vision.freeze_tower(self.vision_model)
        vision.freeze_unread(self.vision_model, self.config.feature_layers)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, LogitScale):
            initialization.constant_(module.logit_scale, self.config.logit_scale_init_value)
        elif isinstance(module, ImageProjection):
            if module.mixture is not None:
                initialization.zeros_(module.mixture)
        elif not initialise_as_torch(module):
            super()._init_weights(module)

    def _set_gradient_checkpointing(self, *args: Any, **kwargs: Any) -> None:
        super()._set_gradient_checkpointing(*args, **kwargs)
        self.train(self.training)  # layers that are to be recomputed need their flag

    def _tower_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        tower, layers, token = self._tower(), self.config.feature_layers, self.config.vision_feature_token
        size = None if self.takes_any_picture_size else tower.config.image_size
        require_pictures(pixel_values, tower.config.num_channels, size)
        return vision.in_chunks(
            lambda pictures: vision.tower_features(tower, pictures, layers, token),
            pixel_values,
            self.picture_chunk_size,
        )

    def _tower(self) -> PreTrainedModel:
        if self.vision_model is None:
            raise InputError("this model was loaded with vision=False and knows no pictures: load it with its tower.")
        return self.vision_model

    def _image_projection(self) -> ImageProjection:
        self._tower()
        return self.image_projection  # type: ignore[return-value]

    def _check_image_features(self, image_features: torch.Tensor) -> None:
        self._tower()
        require_floating("image_features", image_features, "as get_frozen_image_features gives it")
        expected = tuple(self.image_features_mean.shape)
        if image_features.ndim != 3 or tuple(image_features.shape[1:]) != expected:
            raise InputError(
                f"image_features is {tuple(image_features.shape)}: it must be (pictures, {expected[0]} layers, "
                f"{expected[1]} wide), as get_frozen_image_features gives it."
            )
        require_rows("image_features", image_features, "picture")
