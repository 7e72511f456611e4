"""Brain encoder, frozen vision tower and projections: what our models of recordings and pictures share."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Self

import torch
from torch import nn
from transformers import PreTrainedModel, initialization

from neuroclip_hf.models import vision
from neuroclip_hf.models.brain_image.arguments import check_model
from neuroclip_hf.models.brain_image.checkpoints import SmallCheckpoints
from neuroclip_hf.models.brain_image.configuration_brain_image import BrainImageConfig
from neuroclip_hf.models.brain_image.frozen_towers import tower_dtype_of
from neuroclip_hf.models.brain_image.picture_side import PictureSide
from neuroclip_hf.models.brain_image.recording_side import RecordingSide
from neuroclip_hf.models.initialisation import initialise_as_torch
from neuroclip_hf.models.projections import ImageProjection, LogitScale, build_projection
from neuroclip_hf.models.registry import build_encoder
from neuroclip_hf.models.tower_loading import StoredTower, tower_fingerprint
from neuroclip_hf.models.tower_parts import VISION
from neuroclip_hf.pushes import Pushed
from neuroclip_hf.run_files import CONFIG_FILE


class BrainImageModel(Pushed, RecordingSide, PictureSide, SmallCheckpoints):
    """A brain encoder and a frozen, adapted vision tower, each with a projection into one space.

    Trained are the encoder, adapters, projections and logit scale. The tower is frozen, and in eval mode even while
    the model trains. Embeddings are not normalised; loss and metrics do that. Subclasses say how both sides are
    compared: `forward` and its loss.

    `unused_when_solved`, of the class, are settings that encoders which are solved for have no use for, and the values
    that switch them off; `None` where the targets move while training, so that nothing can be solved for.

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
    unused_when_solved: Mapping[str, Any] | None = None
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

    @property
    def auto_maps(self) -> dict[str, dict[str, str]]:
        """See [`Pushed.auto_maps`]."""
        return {CONFIG_FILE: {"AutoConfig": type(self.config).__name__, "AutoModel": type(self).__name__}}

    def _build_image_side(self, config: BrainImageConfig, vision_model: PreTrainedModel | None) -> None:
        if not config.vision:
            self.vision_model = self.image_projection = None
            self._keys_to_ignore_on_load_unexpected = [r"^vision_model\.", r"^image_"]
            return
        self.image_projection = self.build_image_projection(config)
        self.vision_model = VISION.build(config) if vision_model is None else vision_model
        vision.prompt_tower(self.vision_model, config.prompt_config, config.feature_layers)
        # What all pictures of the frozen tower share; zero until `centre_pictures` measures it.
        width = config.vision_config.hidden_size
        self.register_buffer("image_features_mean", torch.zeros(config.num_feature_layers, width))

    def _build_other_towers(self, config: BrainImageConfig, given: Mapping[str, nn.Module]) -> None:
        for part in self.tower_parts:
            if part is VISION:
                continue
            if config.vision and part in self.parts_of(config):
                setattr(self, part.name, given.get(part.name) or part.build(config))
            else:
                setattr(self, part.name, None)
                if not config.vision:
                    self._keys_to_ignore_on_load_unexpected.append(rf"^{part.name}\.")

    def encode_picture_inputs(self, picture_inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What `forward` is given of each picture beside pixels, with all done once that no training changes.

        Args:
            picture_inputs (`Mapping`): from the processor's `picture_inputs`.

        Returns:
            The same, unless a kind of model has more to say: ids of a caption's tokens may have become its embedding.
        """
        return dict(picture_inputs)

    def prepare_for_training(
        self,
        embed_pictures: Callable[[], torch.Tensor],
        image_features: torch.Tensor,
        picture_inputs: Mapping[str, torch.Tensor] = MappingProxyType({}),
    ) -> None:
        """What a kind of model does once with its training pictures, before training; nothing, unless it says so.

        Args:
            embed_pictures (callable): gives the pictures' embeddings as [`get_image_features`] does, (pictures,
                projection_dim); it takes the time that all of them take in the tower.
            image_features (`torch.Tensor`): (pictures, num_layers, width), from [`get_frozen_image_features`].
            picture_inputs (`Mapping`): of the same pictures, from [`encode_picture_inputs`].
        """

    def fixed_targets(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """What recordings are brought near to where no gradient moves it; only where `unused_when_solved` is said.

        Args:
            batch (`Mapping`): as `forward` takes it, without recordings and subjects.

        Returns:
            (batch, projection_dim), a row for each recording.
        """
        raise NotImplementedError

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
            self.reset_centres()
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
