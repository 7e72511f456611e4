"""Pictures through an adapted, frozen tower to embeddings."""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, initialization

from neuroclip_hf.adapters.neuro_prompt.structure import find_structure
from neuroclip_hf.errors import InputError
from neuroclip_hf.models import vision
from neuroclip_hf.models.batches import require_floating, require_pictures, require_rows
from neuroclip_hf.models.projections import ImageProjection


class PictureSide:
    """The part of a model that looks at pictures."""

    config: Any
    vision_model: PreTrainedModel | None
    image_projection: nn.Module | None
    image_features_mean: torch.Tensor
    _picture_chunk_size: int | None

    def build_image_projection(self, config: Any) -> ImageProjection | None:
        """What takes features of the tower into the shared space; `None` for a kind of model that trains none."""
        layers, width = config.feature_layers, config.vision_config.hidden_size
        return ImageProjection(
            config.num_feature_layers, width, config.projection_dim, config.image_projection, layers is not None
        )

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
        return self.project_pictures(self._tower_features(pixel_values))

    def project_pictures(self, image_features: torch.Tensor) -> torch.Tensor:
        """What the tower says of pictures (pictures, num_layers, width) to embeddings (pictures, projection_dim)."""
        return self._image_projection()(image_features)

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
            return self.project_pictures(image_features), image_features
        if image_features is not None and len(image_features) != len(pixel_values):
            raise InputError(
                f"image_features is for {len(image_features)} pictures, and pixel_values holds {len(pixel_values)}: "
                "pass the same pictures in both."
            )
        adapted = self.needs_pictures
        if adapted and not needs_frozen:
            return self.get_image_features(pixel_values), image_features
        if image_features is None:
            image_features = self.get_frozen_image_features(pixel_values)
        if adapted:
            return self.get_image_features(pixel_values), image_features
        return self.project_pictures(image_features), image_features

    def reset_centres(self) -> None:
        """Set to zero what is to be measured on training pictures, while start weights are drawn."""
        initialization.zeros_(self.image_features_mean)

    def _tower_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        tower, layers, token = self._tower(), self.config.feature_layers, self.config.vision_feature_token
        size = None if self.takes_any_picture_size else tower.config.image_size
        require_pictures(pixel_values, tower.config.num_channels, size)
        none = not len(pixel_values)
        if none:  # towers cannot take that; of one black picture nothing is read, but gradients of zero come back
            pixel_values = pixel_values.new_zeros(1, *pixel_values.shape[1:])
        features = vision.in_chunks(
            lambda pictures: vision.tower_features(tower, pictures, layers, token),
            pixel_values,
            self.picture_chunk_size,
        )
        return features[:0] if none else features

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
