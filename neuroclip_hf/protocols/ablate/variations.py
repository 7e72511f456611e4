"""What an ablation varies: settings of a recipe, with a name for each change."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np

from neuroclip_hf.data.store_info import StoreInfo
from neuroclip_hf.errors import InputError
from neuroclip_hf.models.encoders.braindecode import BraindecodeConfig
from neuroclip_hf.models.registry import ENCODERS
from neuroclip_hf.protocols.building import tower_depth
from neuroclip_hf.training.settings import Recipe, change_recipe

SEGMENTS = 5
"""Windows of equal length that an epoch is parted into (ours)."""
NUM_PROMPTS = (1, 2, 4, 8, 16, 32)
MOST_LAYERS = 8
"""Layers that are tried one by one; of a deeper tower so many, evenly spaced (ours)."""
REGIONS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "frontal": ("FP", "AF", "F"),
        "central": ("FC", "C"),
        "temporal": ("FT", "T", "TP"),
        "parietal": ("CP", "P"),
        "occipital": ("PO", "O", "I"),
    }
)
"""Scalp regions by the letters with which electrodes of the 10-05 system begin (Oostenveld and Praamstra, Clinical
Neurophysiology 2001); which letters make up a region is our choice."""


@dataclass(frozen=True)
class Variation:
    """One change of a recipe.

    Args:
        name (`str`): for readers.
        overrides (`dict`): setting -> value, as `load_recipe` takes them; empty for the recipe itself.
    """

    name: str
    overrides: dict[str, Any]

    @property
    def slug(self) -> str:
        """Its name as that of a folder."""
        return re.sub(r"[^a-z0-9.]+", "-", self.name.lower()).strip("-")

    def apply(self, recipe: Recipe) -> Recipe:
        """The recipe with the change, under its own name."""
        return change_recipe(recipe, self.overrides)


def variations(over: str, recipe: Recipe, info: StoreInfo) -> list[Variation]:
    """The variations of an ablation, the recipe itself first.

    Args:
        over (`str`): one of [`OVER`].
        recipe (`Recipe`): what is varied.
        info (`StoreInfo`): of the store, which limits windows and channels.

    Raises:
        InputError: for another `over`, or where there is nothing to vary.
    """
    if over not in OVER:
        raise InputError(f"--over is {over!r}: choose one of {', '.join(OVER)}.")
    whole = Variation("the recipe", {})
    found = [whole, *(one for one in OVER[over](recipe, info) if one.apply(recipe) != recipe)]
    if len(found) == 1:
        raise InputError(f"--over {over}: recipe {recipe.name} has nothing of the kind that could be varied.")
    return found


def _parts(recipe: Recipe, info: StoreInfo) -> list[Variation]:
    """Each part of the method switched off alone, or on where it is off, and all prompts together."""
    off = [
        Variation("without EEG perturbation", dict.fromkeys(_PERTURBATION, 0.0)),
        Variation("without averaging of trials", {"average": [1, 1]}),
        Variation("without softened targets", {"softening": 0.0}),
    ]
    if recipe.model.prompt is None:
        return off
    switches = [
        Variation(name, {f"prompt.{setting}": value for setting, value in settings.items()})
        for name, settings in _PROMPT_PARTS.items()
    ]
    parts = [one for one in switches if _changes_the_prompts(one, recipe)]
    return [*parts, Variation("without prompts (frozen tower)", {"prompt": None}), *off]


_PERTURBATION = ("noise", "shift", "channel_dropout", "time_mask", "scaling")
_LEVELS = {"shared_prompts": True, "instance_prompts": True}  # the defaults of `NeuroPromptConfig`
_PROMPT_PARTS: dict[str, dict[str, Any]] = {
    "without shared prompts": {"shared_prompts": False},
    "with shared prompts": {"shared_prompts": True},
    "without instance prompts": {"instance_prompts": False},
    "with instance prompts": {"instance_prompts": True},
    "shared prompts alone": {"shared_prompts": True, "instance_prompts": False},
    "without dual stream": {"dual_stream": False},
    "without dynamic filter": {"dynamic_filter": False},
    "without cross-attention": {"cross_attention": False},
    "spectral dynamic filter": {"filter_domain": "spectral"},
}


def _changes_the_prompts(one: Variation, recipe: Recipe) -> bool:
    """Whether prompts are left that differ from the recipe's, and from those of a row with a simpler name."""
    now, then = ({**_LEVELS, **(each.model.prompt or {})} for each in (recipe, one.apply(recipe)))
    left = [name for name in _LEVELS if then[name]]
    if len(one.overrides) > 1 and now["shared_prompts"]:
        return False  # "shared prompts alone" is "without instance prompts" there
    of_instances = not any(f"prompt.{name}" in one.overrides for name in _LEVELS)
    return bool(left) and then != now and (then["instance_prompts"] or not of_instances)


def _segments(recipe: Recipe, info: StoreInfo) -> list[Variation]:
    """Windows of a fifth of the epoch, one after the other, and windows that grow from its beginning."""
    if info.sampling_rate is None or info.num_timesteps is None:
        raise InputError(f"--over segments: the store holds {info.modality}, which has no samples in time.")
    edges = [round(place * info.num_timesteps / SEGMENTS) for place in range(SEGMENTS + 1)]
    times = [round(info.window_start + edge / info.sampling_rate, 6) for edge in edges]
    sliding = list(pairwise(times))
    growing = [(times[0], stop) for stop in times[2:-1]]
    return [
        Variation(f"{kind} {start:g} to {stop:g} s", {"window": [start, stop]})
        for kind, windows in (("sliding", sliding), ("growing", growing))
        for start, stop in windows
    ]


def _channels(recipe: Recipe, info: StoreInfo) -> list[Variation]:
    """Each scalp region alone."""
    regions = {region: [name for name in info.channels if region_of(name) == region] for region in REGIONS}
    strange = [name for name in info.channels if region_of(name) is None]
    if strange:
        raise InputError(
            f"--over channels: {strange[0]} is no electrode of the 10-05 system, so that its place on the scalp is "
            f"unknown ({len(strange)} such channels): prepare a store without it."
        )
    return [
        Variation(f"{region} ({len(names)} channels)", {"channels": names})
        for region, names in regions.items()
        if names
    ]


def region_of(channel: str) -> str | None:
    """Scalp region of an electrode of the 10-05 system, such as "PO7" or "Cz"; None for another name."""
    found = re.fullmatch(r"([A-Za-z]+?)(?:[zZ]|\d{1,2}h?)", channel)
    letters = found[1].upper() if found else ""
    return next((region for region, starts in REGIONS.items() if letters in starts), None)


def _encoders(recipe: Recipe, info: StoreInfo) -> list[Variation]:
    """Every encoder of the package with its own defaults."""
    names = [name for name in ENCODERS if name != BraindecodeConfig.model_type]
    return [
        Variation(name, {"encoder": name, "encoder_settings": {}}) for name in names if name != recipe.model.encoder
    ]


def _prompts(recipe: Recipe, info: StoreInfo) -> list[Variation]:
    """Numbers of shared prompts, and depths."""
    if recipe.model.prompt is None:
        return []
    depth = tower_depth(recipe.model)
    shared = {"prompt.shared_prompts": True}  # it is them that have a number and a depth
    depths = sorted({1, max(1, depth // 2), depth})
    return [
        *(Variation(f"{count} prompts", {**shared, "prompt.num_prompt_tokens": count}) for count in NUM_PROMPTS),
        *(Variation(f"prompt depth {count}", {**shared, "prompt.prompt_depth": count}) for count in depths),
    ]


def _layers(recipe: Recipe, info: StoreInfo) -> list[Variation]:
    """The tower's output, layers of it one by one, and those mixed."""
    depth = tower_depth(recipe.model)
    chosen = sorted({round(place) for place in np.linspace(1, depth, min(depth, MOST_LAYERS))})
    single = [Variation(f"layer {layer}", {"vision_feature_layers": [layer]}) for layer in chosen]
    mixed = Variation(f"layers {', '.join(map(str, chosen))} mixed", {"vision_feature_layers": chosen})
    return [Variation("pooled output", {"vision_feature_layers": None}), *single, mixed]


OVER: Mapping[str, Callable[[Recipe, StoreInfo], list[Variation]]] = MappingProxyType(
    {
        "parts": _parts,
        "segments": _segments,
        "channels": _channels,
        "encoders": _encoders,
        "prompts": _prompts,
        "layers": _layers,
    }
)
