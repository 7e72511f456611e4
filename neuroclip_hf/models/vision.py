"""The frozen vision tower: how it is loaded, prompted, kept frozen, and read."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from peft import inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel, PretrainedConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from neuroclip_hf.adapters.neuro_prompt import NeuroPromptConfig, PromptedEmbeddings
from neuroclip_hf.errors import InputError
from neuroclip_hf.models.loading import without_load_report, without_weight_bars

# Configs of these types describe, or hold, a CLIP vision tower.
_CLIP_TYPES = ("clip", "clip_vision_model")


def read_tower_config(name_or_path: str, revision: str | None = None) -> CLIPVisionConfig:
    """The config of the vision tower of a CLIP checkpoint on the Hub or in a folder.

    Raises:
        InputError: if there is no such checkpoint, or it is no CLIP.
    """
    try:
        model_type = PretrainedConfig.get_config_dict(name_or_path, revision=revision)[0].get("model_type")
        if model_type not in _CLIP_TYPES:
            raise InputError(
                f"tower {name_or_path} is of type {model_type!r}: only CLIP vision towers can be used "
                f"({' or '.join(_CLIP_TYPES)})."
            )
        return clean_vision_config(CLIPVisionConfig.from_pretrained(name_or_path, revision=revision))
    except OSError as error:
        raise InputError(f"tower {name_or_path} cannot be loaded: {error}") from error


def load_tower(name_or_path: str, config: CLIPVisionConfig, revision: str | None = None) -> CLIPVisionModel:
    """The vision tower of a CLIP checkpoint in float32; safetensors only, never remote code.

    Raises:
        InputError: if its weights cannot be read, or do not fill the tower exactly.
    """
    try:
        with without_weight_bars(), without_load_report():  # it lists a text tower's weights; see below for what lacks
            tower, report = CLIPVisionModel.from_pretrained(
                name_or_path,
                config=config,
                revision=revision,
                dtype=torch.float32,
                use_safetensors=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except OSError as error:
        raise InputError(f"tower {name_or_path} cannot be loaded: {error}") from error
    tower.config._name_or_path = ""  # NeuroCLIPConfig says where the tower is from
    wrong = sorted(str(key) for kind in ("missing_keys", "mismatched_keys") for key in report[kind])
    if wrong:
        raise InputError(f"tower {name_or_path} lacks weights, or has them in another shape: {', '.join(wrong[:5])}.")
    return tower


def clean_vision_config(config: CLIPVisionConfig) -> CLIPVisionConfig:
    """A copy that holds the fields of a CLIP vision tower only; old checkpoints carry many that mean nothing."""
    known = {field.name: getattr(config, field.name) for field in dataclasses.fields(CLIPVisionConfig)}
    return CLIPVisionConfig(**known, attn_implementation=config._attn_implementation)


def prompt_tower(tower: CLIPVisionModel, prompt: Mapping[str, Any] | None) -> None:
    """Freeze a tower in place and, unless `prompt` is `None`, put prompts with these settings into it."""
    if prompt is not None:
        inject_adapter_in_model(NeuroPromptConfig(**prompt), tower)
    freeze_tower(tower)


def freeze_tower(tower: CLIPVisionModel) -> None:
    """Let nothing of a tower learn but its active prompts."""
    tower.requires_grad_(False)
    if isinstance(tower.embeddings, PromptedEmbeddings):
        tower.embeddings.set_adapter(tower.embeddings.active_adapters)


def reset_prompts(tower: CLIPVisionModel) -> None:
    """Draw all prompts of a tower afresh."""
    if isinstance(tower.embeddings, PromptedEmbeddings):
        for adapter_name in tower.embeddings.neuro_prompt_tokens:
            tower.embeddings.reset_adapter(adapter_name)


def set_tower_mode(tower: CLIPVisionModel, training: bool) -> None:
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


def has_active_adapter(tower: CLIPVisionModel) -> bool:
    """Whether anything beside the frozen weights shapes what the tower says of a picture."""
    layers = (module for module in tower.modules() if isinstance(module, BaseTunerLayer))
    return any(not layer.disable_adapters and layer.active_adapters for layer in layers)


def tower_features(tower: CLIPVisionModel, pixel_values: torch.Tensor) -> torch.Tensor:
    """Pictures (pictures, 3, height, width) to the tower's pooled output (pictures, width)."""
    return tower(pixel_values=pixel_values).pooler_output


@torch.no_grad()
def frozen_tower_features(tower: CLIPVisionModel, pixel_values: torch.Tensor) -> torch.Tensor:
    """The same of the tower without prompts or any other adapter, without gradient."""
    with _without_adapters(tower):
        return tower_features(tower, pixel_values)


@contextmanager
def _without_adapters(tower: CLIPVisionModel) -> Iterator[None]:
    layers = [module for module in tower.modules() if isinstance(module, BaseTunerLayer)]
    before = [layer.disable_adapters for layer in layers]
    # Not by enable_adapters(): that would also switch gradients on for adapters that somebody froze.
    try:
        for layer in layers:
            layer._disable_adapters = True
        yield
    finally:
        for layer, disabled in zip(layers, before, strict=True):
            layer._disable_adapters = disabled
