"""The layer that puts prompts into a vision tower."""

from functools import partial
from typing import Any, NamedTuple

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from torch.nn import functional

from neuroclip_hf.adapters.neuro_prompt.config import NeuroPromptConfig
from neuroclip_hf.adapters.neuro_prompt.dynamic_filter import SpatialFilter, SpectralFilter, at_least_float32
from neuroclip_hf.adapters.neuro_prompt.fusion import CrossAttentionFusion, GatedAddition
from neuroclip_hf.adapters.neuro_prompt.structure import TowerStructure, find_structure

MERGE_REFUSED = (
    "NeuroPrompt adapters cannot be merged: prompts are extra tokens, and no weight of the tower can hold them. "
    "Keep the adapter, or call unload() for the tower without it."
)


class FilteredPictures(NamedTuple):
    """What the Dynamic Filter Layer makes of pictures.

    `pixel_values` are (pictures, channels, height, width); `responses` are the filters, kernels (pictures, channels,
    filter_size, filter_size) or gains (pictures, channels, height, width // 2 + 1) in the order of `torch.fft.rfft2`.
    """

    pixel_values: torch.Tensor
    responses: torch.Tensor


class PromptedEmbeddings(nn.Module, BaseTunerLayer):
    """A vision tower's embedding layer with instance-level and shared-level prompts.

    Patch tokens are adjusted by what the fusion of both streams adds to them; shared tokens stand between the tower's
    own prefix (CLIP's class token, which keeps index 0) and the patches. Patches that a DINOv2 tower is told to mask
    have its mask token in both streams; in the dynamic one, what the filter changes there is added to it.

    Only the embedding layer is replaced. Deeper prompts come in through pre-hooks on the tower's layers, which leaves
    every other name of the tower as it was, so that a LoRA beside the prompts can be saved and loaded alone. The hooks
    are partials of bound methods, because those follow the module through `copy.deepcopy` and pickle.

    Every part of the method is a container keyed by adapter name whose own name starts with the method's prefix; an
    adapter has an entry only where its config switches the part on.

    Args:
        base_layer (`nn.Module`): pictures to tokens (pictures, prefix + patches, width).
        tower (`nn.Module`): the tower that holds it, of a kind that [`find_structure`] knows.
        adapter_name (`str`): the first adapter.
        config (`NeuroPromptConfig`): its settings.
    """

    adapter_layer_names = ("neuro_prompt_tokens", "neuro_prompt_filter", "neuro_prompt_fusion")
    other_param_names = ("neuro_prompt_config",)

    def __init__(self, base_layer: nn.Module, tower: nn.Module, adapter_name: str, config: NeuroPromptConfig) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.structure: TowerStructure = find_structure(tower)
        self.width = self.structure.width(tower)
        self.num_channels = self.structure.num_channels(tower)
        layers = self.structure.layers(tower)
        self.num_layers = len(layers)
        self.neuro_prompt_tokens = nn.ParameterDict()  # adapter -> (depth, num_prompt_tokens, width)
        self.neuro_prompt_filter = nn.ModuleDict()
        self.neuro_prompt_fusion = nn.ModuleDict()
        self.neuro_prompt_config: dict[str, NeuroPromptConfig] = {}
        self._disable_adapters = False
        self._active_adapter = adapter_name
        self.merged_adapters: list[str] = []
        self._hooks = [
            layer.register_forward_pre_hook(partial(self._replace_prompts, index))
            for index, layer in enumerate(layers)
            if index > 0
        ]
        self.add_adapter(adapter_name, config)

    def __getattr__(self, name: str) -> Any:
        # transformers looks for the embedding layer's own attributes on whatever stands in its place.
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base_layer":
                raise
            return getattr(self.base_layer, name)

    @property
    def live_adapter(self) -> str | None:
        """The adapter that shapes the output now; `None` if there is none, or adapters are disabled."""
        if self.disable_adapters:
            return None
        return next((name for name in self.active_adapters if name in self.neuro_prompt_config), None)

    @property
    def num_active_prompts(self) -> int:
        """How many tokens stand between prefix and patches now."""
        tokens = self._live_tokens()
        return 0 if tokens is None else tokens.shape[1]

    def add_adapter(self, adapter_name: str, config: NeuroPromptConfig) -> None:
        """Make the weights of one more adapter; they learn if the adapter is active."""
        self.neuro_prompt_config[adapter_name] = config
        if config.shared_prompts:
            depth = self.num_layers if config.prompt_depth is None else config.prompt_depth
            tokens = torch.empty(depth, config.num_prompt_tokens, self.width)
            self.neuro_prompt_tokens[adapter_name] = nn.Parameter(tokens)
        if config.instance_prompts:
            self.neuro_prompt_fusion[adapter_name] = _make_fusion(self.width, config)
        if config.instance_prompts and config.dynamic_filter:
            self.neuro_prompt_filter[adapter_name] = _make_filter(self.num_channels, config)
        self.reset_adapter(adapter_name)
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def reset_adapter(self, adapter_name: str) -> None:
        """Draw the adapter's weights afresh from torch's generator."""
        if adapter_name in self.neuro_prompt_tokens:
            std = self.neuro_prompt_config[adapter_name].init_std
            nn.init.normal_(self.neuro_prompt_tokens[adapter_name], std=std)
        for part in (self.neuro_prompt_fusion, self.neuro_prompt_filter):
            if adapter_name in part:
                part[adapter_name].reset_parameters()  # type: ignore[operator]

    def set_adapter(self, adapter_names: str | list[str], inference_mode: bool = False) -> None:
        """Make one adapter active; names that are no NeuroPrompt adapter (a LoRA's) pass.

        Raises:
            ValueError: for two NeuroPrompt adapters at once: which places would be whose is not defined.
        """
        names = [adapter_names] if isinstance(adapter_names, str) else adapter_names
        ours = [name for name in names if name in self.neuro_prompt_config]
        if len(ours) > 1:
            raise ValueError(f"only one NeuroPrompt adapter can be active, not {ours}: choose one with set_adapter.")
        super().set_adapter(names, inference_mode=inference_mode)

    def remove_hooks(self) -> None:
        """Take the hooks off the tower's layers, which then are as they were before."""
        for hook in self._hooks:
            hook.remove()

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Refused; prompts have no place in the tower's weights."""
        raise ValueError(MERGE_REFUSED)

    def unmerge(self) -> None:
        """Refused, as merging is."""
        raise ValueError(MERGE_REFUSED)

    def forward(self, pixel_values: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Pictures (pictures, channels, height, width) to tokens (pictures, prefix + prompts + patches, width).

        Further arguments are the embedding layer's own, `interpolate_pos_encoding` for example.

        Raises:
            ValueError: for no pictures at all, which no layer of the tower takes either.
        """
        name = self.live_adapter
        if name is None:
            return self.base_layer(pixel_values, *args, **kwargs)
        if not len(pixel_values):
            raise ValueError("pixel_values holds 0 pictures: it must hold at least one, as for the tower itself.")
        prefix, static, dynamic = self._streams(name, pixel_values, *args, **kwargs)
        if name in self.neuro_prompt_fusion:
            static = self.neuro_prompt_fusion[name](static, dynamic)
        return torch.cat([prefix, *self._prompts_of_layer(0, static), static], dim=1)

    @torch.no_grad()
    def filter_pictures(self, pixel_values: torch.Tensor) -> FilteredPictures:
        """What the live adapter's Dynamic Filter Layer makes of pictures (pictures, channels, height, width).

        Raises:
            ValueError: if no adapter is live, or the live one has no dynamic filter.
        """
        dynamic_filter = self._live_part(self.neuro_prompt_filter, "dynamic filter")
        pixel_values = at_least_float32(pixel_values)
        return FilteredPictures(
            pixel_values + dynamic_filter.change(pixel_values),  # type: ignore[operator]
            dynamic_filter.responses(pixel_values),  # type: ignore[operator]
        )

    @torch.no_grad()
    def attention_maps(self, pixel_values: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """How patches attend across the streams: (pictures, heads, patches, patches), queries first, rows sum to one.

        Raises:
            ValueError: if no adapter is live, or the live one has no cross-attention.
        """
        fusion = self._live_part(self.neuro_prompt_fusion, "cross-attention")
        if not isinstance(fusion, CrossAttentionFusion):
            raise ValueError(f"adapter {self.live_adapter!r} has no cross-attention: its config switches it off.")
        _, static, dynamic = self._streams(str(self.live_adapter), pixel_values, *args, **kwargs)
        return fusion.attention_maps(static, dynamic)

    def _streams(
        self, name: str, pixel_values: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The prefix, and the patches of the static and of the dynamic stream."""
        num_prefix_tokens = self.structure.num_prefix_tokens
        tokens = self.base_layer(pixel_values, *args, **kwargs)
        prefix, static = tokens[:, :num_prefix_tokens], tokens[:, num_prefix_tokens:]
        if name not in self.neuro_prompt_filter:
            return prefix, static, static
        change = self.neuro_prompt_filter[name].change(pixel_values)  # type: ignore[operator]
        convolution = self.base_layer.get_submodule(self.structure.convolution_name)
        if type(convolution) is nn.Conv2d:
            # Embedding patches is linear, so that the dynamic stream is the static one plus the embedded change: a
            # matrix product instead of a second embedding, whose backward pass to the pixels is slow as a convolution.
            dynamic = static + _embed_change(change, convolution).to(static.dtype)
        else:  # another adapter sits on the convolution
            pixel_values = at_least_float32(pixel_values) + change
            dynamic = self.base_layer(pixel_values, *args, **kwargs)[:, num_prefix_tokens:]
        return prefix, static if self.neuro_prompt_config[name].dual_stream else dynamic, dynamic

    def _replace_prompts(self, index: int, layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        hidden_states = args[0]
        prompts = self._prompts_of_layer(index, hidden_states)
        if not prompts:
            return None
        first = self.structure.num_prefix_tokens
        patches = hidden_states[:, first + prompts[0].shape[1] :]
        return (torch.cat([hidden_states[:, :first], *prompts, patches], dim=1), *args[1:])

    def _prompts_of_layer(self, index: int, hidden_states: torch.Tensor) -> list[torch.Tensor]:
        """The live adapter's tokens for a layer, once for each picture; an empty list if the layer has none."""
        tokens = self._live_tokens()
        if tokens is None or index >= len(tokens):
            return []
        return [tokens[index].to(hidden_states).expand(len(hidden_states), -1, -1)]

    def _live_tokens(self) -> torch.Tensor | None:
        name = self.live_adapter
        if name is None or name not in self.neuro_prompt_tokens:
            return None
        return self.neuro_prompt_tokens[name]

    def _live_part(self, parts: nn.ModuleDict, what: str) -> nn.Module:
        name = self.live_adapter
        if name is None:
            raise ValueError("no NeuroPrompt adapter is active: choose one with set_adapter, or enable adapters.")
        if name not in parts:
            raise ValueError(f"adapter {name!r} has no {what}: its config switches it off.")
        return parts[name]

    def _get_base_layer_device_and_dtype(self, base_layer: nn.Module) -> tuple[torch.device, torch.dtype]:
        # peft asks for `weight`, which embedding layers of towers do not have.
        parameter = next(base_layer.parameters())
        return parameter.device, parameter.dtype


def _make_filter(num_channels: int, config: NeuroPromptConfig) -> SpatialFilter | SpectralFilter:
    if config.filter_domain == "spatial":
        return SpatialFilter(num_channels, config.filter_size, config.filter_start, config.filter_input_size)
    return SpectralFilter(
        num_channels, config.num_spectral_filters, config.spectral_resolution, config.filter_input_size
    )


def _make_fusion(width: int, config: NeuroPromptConfig) -> CrossAttentionFusion | GatedAddition:
    if config.cross_attention:
        return CrossAttentionFusion(width, config.fusion_width, config.fusion_heads)
    return GatedAddition(width)


def _embed_change(change: torch.Tensor, convolution: nn.Conv2d) -> torch.Tensor:
    """What a change of pixels (pictures, channels, height, width) adds to the tokens (pictures, patches, width)."""
    patch_height, patch_width = convolution.kernel_size
    pictures, channels, height, width = change.shape
    rows, columns = height // patch_height, width // patch_width
    whole = change[:, :, : rows * patch_height, : columns * patch_width]  # as the convolution drops a remainder
    patches = whole.reshape(pictures, channels, rows, patch_height, columns, patch_width)
    patches = patches.permute(0, 2, 4, 1, 3, 5).reshape(pictures, rows * columns, -1)
    return functional.linear(patches.to(convolution.weight.dtype), convolution.weight.flatten(1))
