"""What an ablation varies: settings of a recipe, with a name for each change."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np

from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_info import StoreInfo
from neuroclip_hf.data.store_part import part_of_store
from neuroclip_hf.errors import InputError
from neuroclip_hf.models.encoders.base import TrialFacts
from neuroclip_hf.models.registry import ENCODERS, encoders_for
from neuroclip_hf.protocols.ablate.parts import changes_for_encoder, parts_of, refused
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
        of_a_curve (`bool`): a point of a curve, which is shown even where the recipe itself, or a point of another
            curve, is the same training.
        applied (`dict`, *optional*): what is applied instead of `overrides`, where a recipe says the same in other
            words.
    """

    name: str
    overrides: dict[str, Any]
    of_a_curve: bool = False
    applied: dict[str, Any] | None = None

    @property
    def slug(self) -> str:
        """Its name as that of a folder."""
        return re.sub(r"[^a-z0-9.]+", "-", self.name.lower()).strip("-")

    def apply(self, recipe: Recipe) -> Recipe:
        """The recipe with the change, under its own name."""
        return change_recipe(recipe, self.overrides if self.applied is None else self.applied)


@dataclass(frozen=True)
class Ablated:
    """What an ablation varies, and on what.

    Args:
        recipe (`Recipe`): what is varied.
        store (`TrialStore`): holds the trials.
        subjects (`list[str]`): whose trials are used.
        flags (`list[str]`): what a reader must know of variations that cannot be; they are added while it is looked.
    """

    recipe: Recipe
    store: TrialStore
    subjects: list[str]
    flags: list[str] = field(default_factory=list)

    @property
    def info(self) -> StoreInfo:
        """Of the store."""
        return self.store.info

    def leave_out(self, name: str, why: object) -> None:
        """Say that a variation cannot be."""
        self.flags.append(f"Left out: {name} ({why})")


def variations(
    over: str, recipe: Recipe, store: TrialStore, subjects: Sequence[str] | None = None
) -> tuple[list[Variation], list[str]]:
    """The variations of an ablation, the recipe itself first, and what a reader must know of those that cannot be.

    Args:
        over (`str`): one of [`OVER`].
        recipe (`Recipe`): what is varied.
        store (`TrialStore`): limits windows, channels and encoders.
        subjects (sequence of `str`, *optional*): whose trials are used; all of the store by default.

    Raises:
        InputError: for another `over`, or where there is nothing to vary.
    """
    if over not in OVER:
        raise InputError(f"--over is {over!r}: choose one of {', '.join(OVER)}.")
    asked = Ablated(recipe, store, store.subjects if subjects is None else [store.subject(name) for name in subjects])
    whole = Variation(f"the recipe ({recipe.model.encoder})" if over == "encoders" else "the recipe", {})
    found = [whole, *(one for one in OVER[over](asked) if one.of_a_curve or one.apply(recipe) != recipe)]
    if len(found) == 1:
        why = f" {' '.join(asked.flags)}" if asked.flags else ""
        raise InputError(
            f"--over {over}: recipe {recipe.name} ({recipe.model.kind}) has nothing of the kind that could be varied: "
            f"vary another recipe, or another of {', '.join(OVER)}.{why}"
        )
    return found, asked.flags


def _segments(asked: Ablated) -> list[Variation]:
    """Windows of a fifth of the epoch, one after the other, and windows that grow from its beginning to its end."""
    info = asked.info
    if info.sampling_rate is None or info.num_timesteps is None:
        raise InputError(f"--over segments: the store holds {info.modality}, which has no samples in time.")
    edges = [round(place * info.num_timesteps / SEGMENTS) for place in range(SEGMENTS + 1)]
    times = [round(info.window_start + edge / info.sampling_rate, 6) for edge in edges]
    growing = [(times[0], stop) for stop in times[1:]]
    return [
        Variation(
            f"{kind} {start:g} to {stop:g} s",
            {"window": [start, stop]},
            of_a_curve=True,
            applied={"window": None} if (start, stop) == growing[-1] else None,
        )
        for kind, windows in (("sliding", list(pairwise(times))), ("growing", growing))
        for start, stop in windows
    ]


def _channels(asked: Ablated) -> list[Variation]:
    """Each scalp region alone, or of patterns each region of interest."""
    info = asked.info
    if info.num_timesteps is None:
        return _rois(asked)
    regions = {region: [name for name in info.channels if region_of(name) == region] for region in REGIONS}
    strange = [name for name in info.channels if region_of(name) is None]
    if strange:
        raise InputError(
            f"--over channels: {strange[0]} is no electrode of the 10-05 system, so that its place on the scalp is "
            f"unknown ({len(strange)} such channels of {info.modality}): prepare a store without it."
        )
    return [
        Variation(f"{region} ({_counted(len(names), 'channel')})", {"channels": names})
        for region, names in regions.items()
        if names
    ]


def _rois(asked: Ablated) -> list[Variation]:
    """Regions that all subjects have; those with fewer voxels than the recipe chooses are left out."""
    sizes = {name: {roi: int(mask.sum()) for roi, mask in asked.store.rois(name).items()} for name in asked.subjects}
    known = list(dict.fromkeys(roi for of_one in sizes.values() for roi in of_one))
    if not known:
        raise InputError(
            f"--over channels: the store holds {asked.info.modality}, whose voxels have no place on the scalp, and "
            "names no regions of interest (ROIs): prepare it with them."
        )
    found = []
    for roi in known:
        lacking = [name for name, of_one in sizes.items() if roi not in of_one]
        fewest = min(of_one.get(roi, 0) for of_one in sizes.values())
        if lacking:
            asked.leave_out(roi, f"{', '.join(lacking)} has no such region.")
        elif fewest < (asked.recipe.data.voxels or 0):
            asked.leave_out(roi, f"the recipe chooses {asked.recipe.data.voxels} voxels, and it has {fewest}.")
        else:
            most = max(of_one[roi] for of_one in sizes.values())
            count = _counted(most, "voxel") if fewest == most else f"{fewest} to {most} voxels"
            found.append(Variation(f"{roi} ({count})", {"channels": None, "rois": [roi]}))
    return found


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def region_of(channel: str) -> str | None:
    """Scalp region of an electrode of the 10-05 system, such as "PO7" or "Cz"; None for another name."""
    found = re.fullmatch(r"([A-Za-z]+?)(?:[zZ]|\d{1,2}h?)", channel)
    letters = found[1].upper() if found else ""
    return next((region for region, starts in REGIONS.items() if letters in starts), None)


def _encoders(asked: Ablated) -> list[Variation]:
    """Every encoder of the package that reads such trials, with its own defaults."""
    data, first = asked.recipe.data, asked.subjects[0]
    part = part_of_store(asked.store, data.channels, data.window, rois=data.rois, subjects=[first])
    rois = {name: np.flatnonzero(mask).tolist() for name, mask in part.rois(first).items()}
    facts = TrialFacts(
        part.trial_shape(first), part.info.sampling_rate, part.channels(first), len(asked.subjects), rois
    )
    fitting, others = encoders_for(facts)
    found = []
    for name in (name for name in fitting if name != asked.recipe.model.encoder):
        changes, why = changes_for_encoder(asked.recipe, name)
        if why is None:
            found.append(Variation(name, changes))
        else:
            others[name] = why
    for name, why in others.items():
        if ENCODERS[name][1].main_input_name == ENCODERS[fitting[0]][1].main_input_name:  # nobody asks for others
            asked.leave_out(name, why)
    return found


def _prompts(asked: Ablated) -> list[Variation]:
    """Numbers of shared prompts, and depths; shared prompts are switched on where they are off."""
    if asked.recipe.model.prompt is None:
        return []
    depth = tower_depth(asked.recipe.model)
    shared = {"prompt.shared_prompts": True}  # it is them that have a number and a depth
    numbers = [
        Variation(_counted(count, "prompt"), {**shared, "prompt.num_prompt_tokens": count}) for count in NUM_PROMPTS
    ]
    depths = sorted({1, max(1, depth // 2), depth})
    return [
        *numbers,
        *(Variation(f"prompt depth {count}", {**shared, "prompt.prompt_depth": count}) for count in depths),
    ]


def _layers(asked: Ablated) -> list[Variation]:
    """The tower's output, layers of it one by one, and those mixed."""
    depth = tower_depth(asked.recipe.model)
    chosen = sorted({round(place) for place in np.linspace(1, depth, min(depth, MOST_LAYERS))})
    single = [Variation(f"layer {layer}", {"vision_feature_layers": [layer]}) for layer in chosen]
    mixed = Variation(f"layers {', '.join(map(str, chosen))} mixed", {"vision_feature_layers": chosen})
    return [Variation("pooled output", {"vision_feature_layers": None}), *single, mixed]


def _parts(asked: Ablated) -> list[Variation]:
    """Each part of the method switched off alone."""
    found = []
    for name, overrides in parts_of(asked.recipe).items():
        variation = Variation(name, overrides)
        why = refused(variation.apply(asked.recipe))
        if why is None:
            found.append(variation)
        else:
            asked.leave_out(name, why)
    return found


OVER: Mapping[str, Callable[[Ablated], list[Variation]]] = MappingProxyType(
    {
        "parts": _parts,
        "segments": _segments,
        "channels": _channels,
        "encoders": _encoders,
        "prompts": _prompts,
        "layers": _layers,
    }
)
