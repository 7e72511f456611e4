"""The frozen vision tower: how it is prompted, kept frozen, and read."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft import inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from neuroclip_hf.adapters.neuro_prompt import NeuroPromptConfig
from neuroclip_hf.adapters.neuro_prompt.structure import find_structure
from neuroclip_hf.errors import InputError
from neuroclip_hf.models.tower_loading import base_weights


def prompt_tower(
    tower: PreTrainedModel, prompt: Mapping[str, Any] | None, layers: Sequence[int] | None = None
) -> None:
    """Freeze a tower in place and, unless `prompt` is `None`, put prompts with these settings into it.

    Prompts of all layers are those of the layers that run: where `layers` are read, up to the highest of them.

    Raises:
        InputError: if the tower cannot be prompted so.
    """
    if prompt is not None:
        try:
            config = NeuroPromptConfig(**prompt)
            if config.prompt_depth is None and layers is not None:
                config.prompt_depth = max(layers)
            inject_adapter_in_model(config, tower)
        except (TypeError, ValueError) as error:
            raise InputError(f"prompt_config does not fit the tower ({tower.config.model_type}): {error}") from error
    freeze_tower(tower)


def freeze_tower(tower: PreTrainedModel) -> None:
    """Let nothing of a tower learn but its active adapters."""
    tower.requires_grad_(False)
    for _, layer in layers_with_adapters(tower):
        layer.set_adapter(layer.active_adapters)


def reset_prompts(tower: PreTrainedModel) -> None:
    """Draw all NeuroPrompt adapters of a tower afresh."""
    for _, layer in layers_with_adapters(tower):
        if hasattr(layer, "reset_adapter"):
            for adapter_name in layer._get_available_adapters():
                layer.reset_adapter(adapter_name)


def set_tower_mode(tower: PreTrainedModel, training: bool) -> None:
    """Put a frozen tower in eval mode; only what an adapter added to it follows `training`."""
    tower.eval()
    for module in tower.modules():
        if isinstance(module, BaseTunerLayer):
            for child in module.children():
                if isinstance(child, nn.ModuleDict):  # adapters' own modules, such as a LoRA's dropout
                    child.train(training)
        elif isinstance(module, GradientCheckpointingLayer):
            # transformers recomputes a layer only if its flag says training; the layer has nothing else that reads it.
            module.training = training and module.gradient_checkpointing


def set_tower_dtype(tower: PreTrainedModel, dtype: torch.dtype) -> None:
    """Bring a tower's own weights, not those of its adapters, into a precision."""
    for _, _, tensor in base_weights(tower):
        if tensor.is_floating_point():
            tensor.data = tensor.data.to(dtype)


def has_active_adapter(tower: PreTrainedModel) -> bool:
    """Whether anything beside the frozen weights shapes what the tower says of a picture."""
    return bool(active_adapters(tower))


def active_adapters(model: nn.Module) -> list[str]:
    """Names of the adapters that shape what a tower, or a whole model, says, sorted."""
    return sorted({name for _, layer in layers_with_adapters(model) for name in active_in(layer)})


def active_in(layer: Any) -> set[str]:
    """Names of the adapters of one adapted layer that are at work."""
    return set() if layer.disable_adapters else layer._get_available_adapters() & set(layer.active_adapters)


def set_active_adapters(model: nn.Module, names: Collection[str]) -> None:
    """Let these adapters, and no others, shape what a model says; those of different methods together."""
    for _, layer in layers_with_adapters(model):
        layer._disable_adapters = False
        layer.set_adapter(sorted(layer._get_available_adapters() & set(names)))


def layers_with_adapters(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Name and module of everything in a model that adapters sit on."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, BaseTunerLayer))


def freeze_unread(tower: PreTrainedModel, layers: Sequence[int] | None) -> None:
    """Let no adapter learn where no output is read from: above the highest of these layers, 1 being the lowest.

    Such weights get no gradient, for which training on several processes would wait in vain.
    """
    if layers is None:
        return
    structure = find_structure(tower)
    for layer in structure.layers(tower)[max(layers) :]:
        layer.requires_grad_(False)
    structure.freeze_above_layers(tower)


def tower_features(
    tower: PreTrainedModel, pixel_values: torch.Tensor, layers: Sequence[int] | None = None, token: str = "cls"
) -> torch.Tensor:
    """What a tower says of pictures; the part of it above the highest layer asked for is not run.

    Args:
        tower (`PreTrainedModel`): with or without adapters.
        pixel_values (`torch.Tensor`): (pictures, 3, height, width).
        layers (sequence of `int`, *optional*): whose outputs are read, 1 being the lowest; `None` reads the tower's
            own pooled output.
        token (`str`): "cls" for the class token, "mean" for the mean of the patches; prompts are never among them.

    Returns:
        `torch.Tensor` of shape `(pictures, num_layers, width)`, in ascending order; the pooled output is one layer.
    """
    structure = find_structure(tower)
    output, read = structure.embed(tower, pixel_values), []
    depth = None if layers is None else max(layers)
    for number, output in enumerate(structure.run_layers(tower, output, depth), start=1):  # noqa: B020 - the input
        if layers is not None and number in layers:
            read.append(output[:, 0] if token == "cls" else structure.patches(tower, output).mean(dim=1))
    return torch.stack(read, dim=1) if read else structure.pool(tower, output)[:, None]


@contextmanager
def without_adapters(tower: PreTrainedModel) -> Iterator[None]:
    """Inside, the tower is as it was before anything was added to it."""
    layers = [layer for _, layer in layers_with_adapters(tower)]
    before = [layer.disable_adapters for layer in layers]
    # Not by enable_adapters(): that would also switch gradients on for adapters that somebody froze.
    try:
        for layer in layers:
            layer._disable_adapters = True
        yield
    finally:
        for layer, disabled in zip(layers, before, strict=True):
            layer._disable_adapters = disabled


def in_chunks(
    encode: Callable[[torch.Tensor], torch.Tensor], pixel_values: torch.Tensor, size: int | None
) -> torch.Tensor:
    """Encode pictures a few at a time, keeping no activations; the result and its gradient are those of all at once.

    Where a gradient is wanted this is gradient caching (GradCache: Gao et al. 2021, section 3.2): the backward pass
    encodes each chunk once more, from the random state that it had the first time, and goes through it at once. Memory
    is that of one chunk, time that of one more forward pass. The last chunk alone is encoded once and keeps its
    activations, for the backward pass begins with it.

    Args:
        encode (callable): pictures (pictures, 3, height, width) to features (pictures, ...).
        pixel_values (`torch.Tensor`): all pictures.
        size (`int`, *optional*): pictures a chunk; `None` for all at once.
    """
    if size is None or len(pixel_values) <= size:
        return encode(pixel_values)
    if not torch.is_grad_enabled():
        return torch.cat([encode(chunk) for chunk in pixel_values.split(size)])
    *others, last = pixel_values.split(size)
    encoded = [checkpoint(encode, chunk, use_reentrant=False, preserve_rng_state=True) for chunk in others]
    return torch.cat([*encoded, encode(last)])
