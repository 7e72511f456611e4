"""The space that a frozen CLIP has for pictures and texts, centred on those of training."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, initialization

from neuroclip_hf.columns import ATTENTION_MASK, INPUT_IDS, TEXT_FEATURES
from neuroclip_hf.errors import InputError
from neuroclip_hf.models import vision
from neuroclip_hf.models.brain_image.modeling_brain_image import BrainImageModel
from neuroclip_hf.models.tower_parts import TEXT, VISION, VISUAL_PROJECTION, TowerPart, has_text_side

_TEXTS = 64  # that go through the text tower at once where all captions are encoded


class ClipSpaceModel(BrainImageModel):
    """A model whose recordings are brought into the tower's own space.

    That of a whole CLIP holds pictures and texts; that of a tower without texts is its pooled output.
    """

    tower_parts = (VISION, TEXT, VISUAL_PROJECTION)
    text_model: nn.Module | None
    visual_projection: nn.Linear | None
    image_centre: torch.Tensor
    text_centre: torch.Tensor

    @classmethod
    def parts_of(cls, config: Any) -> tuple[TowerPart, ...]:
        """See [`BrainImageModel`]: without texts the vision tower alone."""
        return cls.tower_parts if config.text else (VISION,)

    @classmethod
    def parts_in(
        cls, location: str, revision: str | None, settings: Mapping[str, Any], **hub: Any
    ) -> tuple[tuple[TowerPart, ...], dict[str, Any]]:
        """See [`BrainImageModel`]; without `text` in the settings, the checkpoint says whether it is a whole CLIP."""
        text = settings.get("text")
        text = has_text_side(location, revision, **hub) if text is None else text
        return cls.tower_parts if text else (VISION,), {"text": text}

    def build_image_projection(self, config: Any) -> None:
        """None is trained: pictures are where CLIP puts them."""

    def _build_image_side(self, config: Any, vision_model: PreTrainedModel | None) -> None:
        super()._build_image_side(config, vision_model)
        if not config.vision:
            self._keys_to_ignore_on_load_unexpected.append(r"^text_centre$")
            return
        for name in ("image_centre", "text_centre"):
            self.register_buffer(name, torch.zeros(config.projection_dim))

    def reset_centres(self) -> None:
        """See [`BrainImageModel`]."""
        super().reset_centres()
        initialization.zeros_(self.image_centre)
        initialization.zeros_(self.text_centre)

    def project_pictures(self, image_features: torch.Tensor) -> torch.Tensor:
        """See [`BrainImageModel`]; CLIP's own projection, less the centre."""
        return self._in_clips_space(image_features) - self.image_centre

    def clip_image_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Pictures (pictures, 3, height, width) to CLIP's own embeddings (pictures, projection_dim), not centred."""
        return self._in_clips_space(self._tower_features(pixel_values))

    def clip_text_features(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Texts to CLIP's own embeddings (texts, projection_dim), neither centred nor normalised.

        Args:
            input_ids (`torch.Tensor`): (texts, tokens), from the processor's tokenizer.
            attention_mask (`torch.Tensor`, *optional*): (texts, tokens), 1 for a token and 0 behind the last one.

        Raises:
            InputError: if the tower has no text side, or the model was loaded without its tower.
        """
        self._tower()
        if self.text_model is None:
            raise InputError(f"tower {self.config.tower} has no text side: train on a whole CLIP to embed texts.")
        return self.text_model(input_ids=input_ids, attention_mask=attention_mask).text_embeds

    def get_text_features(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Texts to embeddings (texts, projection_dim), centred, not normalised; see [`clip_text_features`]."""
        return self._centred_texts(self.clip_text_features(input_ids, attention_mask))

    def encode_picture_inputs(self, picture_inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Texts through the text tower once, in place of their tokens; see [`BrainImageModel`].

        With an adapter in the text tower, which learns, they stay tokens; without a text tower there are none.
        """
        inputs = dict(picture_inputs)
        if INPUT_IDS not in inputs or (self.text_model is not None and vision.active_adapters(self.text_model)):
            return inputs
        ids, mask = inputs.pop(INPUT_IDS), inputs.pop(ATTENTION_MASK, None)
        if self.text_model is None:
            return inputs
        masks = [None] * -(-len(ids) // _TEXTS) if mask is None else mask.to(self.device).split(_TEXTS)
        training = self.training
        self.eval()
        with torch.no_grad():
            parts = [
                self.clip_text_features(some.to(self.device), own).float().cpu()
                for some, own in zip(ids.split(_TEXTS), masks, strict=True)
            ]
        self.train(training)
        return {**inputs, TEXT_FEATURES: torch.cat(parts)}

    def centre_pictures(self, image_embeds: torch.Tensor, image_features: torch.Tensor) -> None:
        """Take out what all pictures share, once, before training (ours).

        Args:
            image_embeds (`torch.Tensor`): (pictures, projection_dim), what [`get_image_features`] gives for training
                pictures; their mean is taken from all pictures' embeddings from now on.
            image_features (`torch.Tensor`): (pictures, num_layers, width), what [`get_frozen_image_features`] gives
                for them.
        """
        self._check_image_features(image_features)
        self.image_features_mean.copy_(image_features.mean(dim=0))
        self.image_centre.add_(image_embeds.mean(dim=0).to(self.image_centre))

    def centre_texts(self, text_features: torch.Tensor) -> None:
        """Take out what all texts share: the mean of [`clip_text_features`] (texts, projection_dim)."""
        self.text_centre.copy_(text_features.mean(dim=0))

    def prepare_for_training(
        self,
        embed_pictures: Callable[[], torch.Tensor],
        image_features: torch.Tensor,
        picture_inputs: Mapping[str, torch.Tensor] = MappingProxyType({}),
    ) -> None:
        """Centre pictures and texts; see [`BrainImageModel.prepare_for_training`]."""
        if not self.config.centre:
            return
        self.centre_pictures(embed_pictures(), image_features)
        if TEXT_FEATURES in picture_inputs:
            self.centre_texts(picture_inputs[TEXT_FEATURES])

    def _centred_texts(self, text_features: torch.Tensor) -> torch.Tensor:
        self._tower()
        return text_features.to(self.text_centre.dtype) - self.text_centre

    def _in_clips_space(self, image_features: torch.Tensor) -> torch.Tensor:
        pooled, projection = image_features[:, 0], self.visual_projection
        if projection is not None:
            pooled = projection(pooled.to(projection.weight.dtype))
        return pooled.to(self.image_centre.dtype)


def why_no_texts(model: BrainImageModel) -> str | None:
    """Why no texts lie in a model's space; `None` where they do."""
    if not isinstance(model, ClipSpaceModel):
        return (
            f"a {model.config.model_type} run brings recordings and pictures into a space of its own, in which no "
            "texts lie"
        )
    return None if model.text_model is not None else f"tower {model.config.tower} has no text side"
