"""The parts of each kind of model and what switches each of them off; what another encoder needs changed."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from neuroclip_hf.adapters.neuro_prompt.config import NeuroPromptConfig
from neuroclip_hf.kinds import find_kind
from neuroclip_hf.models.brainclip import BrainCLIPConfig
from neuroclip_hf.models.neuroclip import NeuroCLIPConfig
from neuroclip_hf.models.registry import solved_for
from neuroclip_hf.training.settings import Recipe

Overrides = dict[str, Any]

OF_KINDS: Mapping[str, Mapping[str, Overrides]] = MappingProxyType(
    {
        NeuroCLIPConfig.model_type: {"without softened targets": {"softening": 0.0}},
        BrainCLIPConfig.model_type: {
            "without supervision by pictures": {"image_weight": 0.0},
            "without supervision by texts": {"text_weight": 0.0},
            "without centring": {"centre": False},
            "without mixed trials": {"mixco": 0.0},
            "without soft targets": {"soft_targets": 0.0},
            "without squared distance": {"mse_weight": 0.0},
        },
    }
)
"""What only one kind of model has, by its name."""

_PROMPT_PARTS = ("shared_prompts", "instance_prompts", "dual_stream", "dynamic_filter", "cross_attention")
"""Switches of [`NeuroPromptConfig`]."""
_PERTURBATION = ("noise", "shift", "channel_dropout", "time_mask", "scaling", "smoothing")
_STRENGTHS: Overrides = {"noise": 0.1, "shift": 0.02, "channel_dropout": 0.05, "time_mask": 0.1, "scaling": 0.1}
"""Of EEG perturbation where a recipe has it off (ours, as its comments say)."""
_OF_ALL: Mapping[str, Overrides] = MappingProxyType(
    {
        "without perturbation": dict.fromkeys(_PERTURBATION, 0.0),
        "without averaging of trials": {"average": [1, 1]},
        "without LoRA": {"lora": None},
        "without distance between subjects": {"mmd_weight": None, "mmd_epochs": None},
    }
)


def parts_of(recipe: Recipe) -> dict[str, Overrides]:
    """Each part that a recipe may have switched off alone, and all prompts together; some it may not have.

    What is off of prompts, softening and perturbation is switched on.

    Returns:
        name -> overrides.
    """
    on = _switched_on(recipe) if recipe.model.kind == NeuroCLIPConfig.model_type else {}
    return {**_of_prompts(recipe.model.prompt), **OF_KINDS[recipe.model.kind], **on, **_OF_ALL}


def _switched_on(recipe: Recipe) -> dict[str, Overrides]:
    """What else of NeuroCLIP a recipe has off, one by one; and all of its prompts and softening at once."""
    found: dict[str, Overrides] = {}
    if (prompt := recipe.model.prompt) is not None:
        used = NeuroPromptConfig(**prompt)
        off: Overrides = {f"prompt.{part}": True for part in _PROMPT_PARTS if not getattr(used, part)}
        if not recipe.model.kind_settings["softening"]:
            off["softening"] = NeuroCLIPConfig.softening
            found["with softened targets"] = {"softening": off["softening"]}
        if len(off) > 1:
            found["all prompts and softened targets"] = off
    if not any(getattr(recipe.data, name) for name in _PERTURBATION):
        found["with perturbation"] = _STRENGTHS
    return found


def _switched(name: str, setting: str, is_on: bool) -> dict[str, Overrides]:
    return {f"{'without' if is_on else 'with'} {name}": {setting: not is_on}}


def _of_prompts(prompt: Mapping[str, Any] | None) -> dict[str, Overrides]:
    """Settings of a part that is off do nothing, so that they are no parts of such a recipe."""
    if prompt is None:
        return {}
    used = NeuroPromptConfig(**prompt)
    found: dict[str, Overrides] = {}
    if used.shared_prompts:
        found["without shared prompts"] = {"prompt.shared_prompts": False}
    else:
        found["with shared prompts"] = {"prompt.shared_prompts": True}
        found["shared prompts alone"] = {"prompt.shared_prompts": True, "prompt.instance_prompts": False}
    if not used.instance_prompts:
        found["with instance prompts"] = {"prompt.instance_prompts": True}
    else:
        if used.shared_prompts:
            found["without instance prompts"] = {"prompt.instance_prompts": False}
        if used.dynamic_filter:
            found |= _switched("dual stream", "prompt.dual_stream", used.dual_stream)
            found["without dynamic filter"] = {"prompt.dynamic_filter": False}
            found["spectral dynamic filter"] = {"prompt.filter_domain": "spectral"}
        found |= _switched("cross-attention", "prompt.cross_attention", used.cross_attention)
    return {**found, "without prompts (frozen tower)": {"prompt": None}}


def refused(recipe: Recipe) -> str | None:
    """Why a recipe of a method with a part less cannot be; None where it can."""
    own = recipe.model.kind_settings
    if own.get("image_weight", 1.0) == 0 and own.get("text_weight", 1.0) == 0:
        return "pictures and texts both have no weight: nothing would be learned."
    if recipe.model.prompt is None:
        return None
    try:
        NeuroPromptConfig(**recipe.model.prompt)
    except (TypeError, ValueError) as error:
        return f"{error}"
    return None


def changes_for_encoder(recipe: Recipe, name: str) -> tuple[Overrides, str | None]:
    """What puts another encoder with its own defaults into a recipe, and why that cannot be; None where it can.

    Where no projection follows the encoder, the width that the recipe names stays. What encoders that are solved for
    have no use for, such as mixed trials, is then off (ours); nor does a recipe for solving say how to train.
    """
    model = recipe.model
    solved, solves = solved_for(name), solved_for(model.encoder)
    fixed = {"hidden_size"} & set(model.encoder_settings) if model.brain_projection == "none" else set()
    changes: Overrides = {"encoder": name, "encoder_settings": {each: model.encoder_settings[each] for each in fixed}}
    if solved == solves:
        return changes, None
    if solves:
        return changes, f"it is trained by gradients, and {recipe.name} says how to solve for {model.encoder}."
    unused = find_kind(model.kind).model_class.unused_when_solved
    if unused is None:
        return changes, f"it is solved for, and {model.kind} trains what its pictures become."
    if model.prompt is not None or model.lora is not None:
        return changes, "it is solved for, and the recipe trains prompts or LoRA."
    return {**changes, **unused}, None
