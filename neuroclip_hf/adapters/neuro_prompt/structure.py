"""The vision towers that can be prompted, and the only place that knows the names inside them.

Every tower here turns pictures into tokens (an embedding layer), passes them through a stack of layers that keep their
number, and pools what comes out. The tokens stand in this order: the tower's own prefix (class token, registers),
prompts if there are any, patches row by row.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn
from transformers import CLIPVisionModel, Dinov2Model, Dinov2WithRegistersModel, SiglipVisionModel


@dataclass(frozen=True)
class TowerStructure:
    """Where the parts of one kind of tower are.

    Args:
        num_prefix_tokens (`int`): tokens before the patches in a tower without prompts (class token, registers).
            Prompts are inserted at this index.
        layers_name (`str`): attribute path of the layers inside the tower, bottom first.
        norm_name (`str`): attribute path of the layer norm above the last layer.
        pooling (`str`): how the tower's `pooler_output` is made: "class_then_norm" and "norm_then_class" read the
            class token, "head" asks the tower's own pooling head.
        convolution_name (`str`): attribute path, inside the embedding layer, of the convolution that turns each patch
            of a picture into a token; its stride is its kernel size, and it pads nothing.
        pre_norm_name (`str`, *optional*): attribute path of a layer norm between the embeddings and the first layer.
        embeddings_name (`str`): attribute path of the embedding layer inside the tower.
        resizes_always (`bool`): whether the embedding layer fits its positions to the picture unasked; the others
            do so with `interpolate_pos_encoding=True`.
    """

    num_prefix_tokens: int
    layers_name: str
    norm_name: str
    pooling: Literal["class_then_norm", "norm_then_class", "head"]
    convolution_name: str
    pre_norm_name: str | None = None
    embeddings_name: str = "embeddings"
    resizes_always: bool = False

    def embeddings(self, tower: nn.Module) -> nn.Module:
        """The tower's embedding layer, or the prompted one in its place."""
        return tower.get_submodule(self.embeddings_name)

    def layers(self, tower: nn.Module) -> nn.ModuleList:
        """The tower's layers, bottom first; each maps tokens (pictures, tokens, width) to as many."""
        layers = tower.get_submodule(self.layers_name)
        assert isinstance(layers, nn.ModuleList)
        return layers

    def width(self, tower: nn.Module) -> int:
        """Length of one token."""
        return int(tower.config.hidden_size)  # type: ignore[union-attr,arg-type]

    def num_channels(self, tower: nn.Module) -> int:
        """Colour channels of the pictures that the tower takes."""
        return int(tower.config.num_channels)  # type: ignore[union-attr,arg-type]

    def embed(
        self, tower: nn.Module, pixel_values: torch.Tensor, interpolate_pos_encoding: bool = False
    ) -> torch.Tensor:
        """Pictures (pictures, channels, height, width) to tokens (pictures, tokens, width), ready for layer 0.

        An active adapter's first set of prompts is among them; deeper ones come in at their layers.
        """
        options = {} if self.resizes_always else {"interpolate_pos_encoding": interpolate_pos_encoding}
        tokens = self.embeddings(tower)(pixel_values, **options)
        if self.pre_norm_name is None:
            return tokens
        return self._in_its_precision(tower, tower.get_submodule(self.pre_norm_name), tokens)

    def run_layers(self, tower: nn.Module, tokens: torch.Tensor, depth: int | None = None) -> Iterator[torch.Tensor]:
        """Tokens after layer 1, 2, ... up to `depth` (all by default), each (pictures, tokens, width).

        What is above `depth` is never run. Deep prompts, gradient checkpointing and other adapters work as they do
        inside the tower. What passes between layers of a half-precision tower is in half precision, also under
        autocast.
        """
        for layer in self.layers(tower)[:depth]:
            tokens = self._in_its_precision(tower, layer, tokens, None)  # no attention mask
            yield tokens

    def pool(self, tower: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens after the last layer (pictures, tokens, width) to the tower's `pooler_output` (pictures, width).

        Raises:
            ValueError: for a SigLIP tower that was built without its pooling head.
        """
        norm = tower.get_submodule(self.norm_name)
        if self.pooling == "class_then_norm":
            return norm(tokens[:, 0])
        if self.pooling == "norm_then_class":
            return norm(tokens)[:, 0]
        if not hasattr(tower, "head"):
            raise ValueError(
                f"this {type(tower).__name__} has no pooling head (vision_use_head is off): read patches."
            )
        return tower.head(norm(tokens))  # type: ignore[operator]

    def _in_its_precision(self, tower: nn.Module, part: nn.Module, tokens: torch.Tensor, *more: None) -> torch.Tensor:
        """What a part of the tower makes of tokens, without autocast if the tower is in half precision.

        On a GPU autocast takes layer norms to float32: what passes between CLIP's layers would be, too, and every map
        would cast it back.
        """
        dtype = tower.get_submodule(self.norm_name).weight.dtype
        assert isinstance(dtype, torch.dtype)
        if dtype.itemsize > 2:
            return part(tokens, *more)
        with torch.autocast(tokens.device.type, enabled=False):
            return part(tokens.to(dtype), *more)

    def freeze_above_layers(self, tower: nn.Module) -> None:
        """Let nothing learn, adapters included, that only the tower's pooled output passes through."""
        tower.get_submodule(self.norm_name).requires_grad_(False)
        if hasattr(tower, "head"):
            tower.get_submodule("head").requires_grad_(False)

    def num_prompts(self, tower: nn.Module) -> int:
        """How many prompt tokens an active adapter inserts at index `num_prefix_tokens`; 0 without one."""
        return int(getattr(self.embeddings(tower), "num_active_prompts", 0))

    def patches(self, tower: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        """The patch tokens (pictures, patches, width) alone, without prefix and prompts."""
        return tokens[:, self.num_prefix_tokens + self.num_prompts(tower) :]


def is_tower(module: nn.Module) -> bool:
    """Whether [`find_structure`] knows the module."""
    return isinstance(module, _KINDS)


def find_structure(tower: nn.Module) -> TowerStructure:
    """The structure of a vision tower, prompted or not.

    Raises:
        ValueError: for a module of another kind.
    """
    if isinstance(tower, CLIPVisionModel):
        return _CLIP
    if isinstance(tower, SiglipVisionModel):
        return _SIGLIP
    if isinstance(tower, Dinov2Model):
        return _DINOV2
    if isinstance(tower, Dinov2WithRegistersModel):
        return replace(_DINOV2, num_prefix_tokens=1 + tower.config.num_register_tokens)
    raise ValueError(f"{type(tower).__name__} is not a vision tower whose structure is known: {KNOWN_TOWERS}.")


_CLIP = TowerStructure(
    num_prefix_tokens=1,
    layers_name="encoder.layers",
    norm_name="post_layernorm",
    pooling="class_then_norm",
    convolution_name="patch_embedding",
    pre_norm_name="pre_layrnorm",
)
_SIGLIP = replace(_CLIP, num_prefix_tokens=0, pooling="head", pre_norm_name=None)
_DINOV2 = TowerStructure(
    num_prefix_tokens=1,
    layers_name="encoder.layer",
    norm_name="layernorm",
    pooling="norm_then_class",
    convolution_name="patch_embeddings.projection",
    resizes_always=True,
)
_KINDS = (CLIPVisionModel, SiglipVisionModel, Dinov2Model, Dinov2WithRegistersModel)
KNOWN_TOWERS = "towers of the classes " + ", ".join(kind.__name__ for kind in _KINDS) + " can be read and prompted"
