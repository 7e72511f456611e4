"""The layer that puts prompts into a CLIP vision tower."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from neuroclip_hf.adapters.neuro_prompt.config import NeuroPromptConfig

MERGE_REFUSED = (
    "NeuroPrompt adapters cannot be merged: prompts are extra tokens, and no weight of the tower can hold them. "
    "Keep the adapter, or call unload() for the tower without it."
)


class PromptedEmbeddings(nn.Module, BaseTunerLayer):
    """CLIP's embedding layer with prompt tokens behind the class token.

    Only the embedding layer is replaced. Deeper prompts come in through pre-hooks on the encoder layers, which leaves
    every other name of the tower as it was, so that a LoRA beside the prompts can be saved and loaded alone. The hooks
    are partials of bound methods, because those follow the module through `copy.deepcopy` and pickle.

    Every part of the method is a container keyed by adapter name whose own name starts with the method's prefix;
    a further part (instance-level prompts) is one more container and one more line in `forward`.

    Args:
        base_layer (`nn.Module`): `CLIPVisionEmbeddings`, pictures to (pictures, 1 + patches, width), class first.
        encoder_layers (`Sequence[nn.Module]`): the tower's layers, bottom first.
        adapter_name (`str`): the first adapter.
        config (`NeuroPromptConfig`): its settings.
    """

    adapter_layer_names = ("neuro_prompt_tokens",)
    other_param_names = ("neuro_prompt_init_std",)

    def __init__(
        self,
        base_layer: nn.Module,
        encoder_layers: Sequence[nn.Module],
        adapter_name: str,
        config: NeuroPromptConfig,
    ) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.num_layers = len(encoder_layers)
        self.neuro_prompt_tokens = nn.ParameterDict()  # adapter -> (depth, num_prompt_tokens, width)
        self.neuro_prompt_init_std: dict[str, float] = {}
        self._disable_adapters = False
        self._active_adapter = adapter_name
        self.merged_adapters: list[str] = []
        self._hooks = [
            layer.register_forward_pre_hook(partial(self._replace_prompts, index))
            for index, layer in enumerate(encoder_layers)
            if index > 0
        ]
        self.add_adapter(adapter_name, config)

    def __getattr__(self, name: str) -> Any:
        # transformers looks for CLIP's own attributes (patch_embedding, ...) on whatever stands in this place.
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base_layer":
                raise
            return getattr(self.base_layer, name)

    def add_adapter(self, adapter_name: str, config: NeuroPromptConfig) -> None:
        """Make the parameters of one more adapter; they learn if the adapter is active."""
        depth = self.num_layers if config.prompt_depth is None else config.prompt_depth
        tokens = torch.empty(depth, config.num_prompt_tokens, self.get_base_layer().embed_dim)
        self.neuro_prompt_tokens[adapter_name] = nn.Parameter(tokens)
        self.neuro_prompt_init_std[adapter_name] = config.init_std
        self.reset_adapter(adapter_name)
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def reset_adapter(self, adapter_name: str) -> None:
        """Draw the adapter's weights afresh from torch's generator."""
        nn.init.normal_(self.neuro_prompt_tokens[adapter_name], std=self.neuro_prompt_init_std[adapter_name])

    def set_adapter(self, adapter_names: str | list[str], inference_mode: bool = False) -> None:
        """Make one adapter active; names that are no NeuroPrompt adapter (a LoRA's) pass.

        Raises:
            ValueError: for two NeuroPrompt adapters at once: which places would be whose is not defined.
        """
        names = [adapter_names] if isinstance(adapter_names, str) else adapter_names
        ours = [name for name in names if name in self.neuro_prompt_tokens]
        if len(ours) > 1:
            raise ValueError(f"only one NeuroPrompt adapter can be active, not {ours}: choose one with set_adapter.")
        super().set_adapter(names, inference_mode=inference_mode)

    def remove_hooks(self) -> None:
        """Take the hooks off the encoder layers, which then are as they were before."""
        for hook in self._hooks:
            hook.remove()

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Refused; prompts have no place in the tower's weights."""
        raise ValueError(MERGE_REFUSED)

    def unmerge(self) -> None:
        """Refused, as merging is."""
        raise ValueError(MERGE_REFUSED)

    def forward(self, pixel_values: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Pictures (pictures, 3, height, width) to tokens (pictures, 1 + prompts + patches, width)."""
        hidden_states = self.base_layer(pixel_values, *args, **kwargs)
        tokens = self._active_tokens()
        if tokens is None:
            return hidden_states
        return _with_prompts(hidden_states, tokens[0], first_patch=1)

    def _replace_prompts(self, index: int, layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        tokens = self._active_tokens()
        if tokens is None or index >= len(tokens):
            return None
        hidden_states = _with_prompts(args[0], tokens[index], first_patch=1 + tokens.shape[1])
        return (hidden_states, *args[1:])

    def _active_tokens(self) -> torch.Tensor | None:
        if self.disable_adapters:
            return None
        for name in self.active_adapters:
            if name in self.neuro_prompt_tokens:
                return self.neuro_prompt_tokens[name]
        return None

    def _get_base_layer_device_and_dtype(self, base_layer: nn.Module) -> tuple[torch.device, torch.dtype]:
        # peft asks for `weight`, which CLIP's embedding layer does not have.
        parameter = next(base_layer.parameters())
        return parameter.device, parameter.dtype


def _with_prompts(hidden_states: torch.Tensor, prompts: torch.Tensor, first_patch: int) -> torch.Tensor:
    prompts = prompts.to(hidden_states).expand(len(hidden_states), -1, -1)
    return torch.cat([hidden_states[:, :1], prompts, hidden_states[:, first_patch:]], dim=1)
