"""The frozen parts that a model may take from one checkpoint: the vision tower, and of CLIP's the text side too."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from os import PathLike
from typing import Any

import torch
from torch import nn
from transformers import CLIPConfig, CLIPTextModelWithProjection, CLIPVisionModelWithProjection, PretrainedConfig

from neuroclip_hf.columns import SMALL_CLIP
from neuroclip_hf.errors import InputError
from neuroclip_hf.models.tower_loading import (
    StoredTower,
    fill_from_checkpoint,
    fingerprint_of,
    load_tower,
    read_tower_config,
)
from neuroclip_hf.models.tower_types import build_tower
from neuroclip_hf.models.towers import tower_location


@dataclass(frozen=True)
class TowerPart:
    """A frozen part of a model. All parts come from the checkpoint that the config names as `tower`, at one commit.

    Args:
        name (`str`): attribute of the model that holds it.
        fingerprint (`str`): field of the model's config for the digest of its weights as stored.
        load (callable): (location, config of the part, revision, dtype, **hub) -> the part as stored.
        build (callable): config of the model -> the part with random weights.
        config (`str`, *optional*): field of the model's config for the part's own; `None` if that follows from others.
        read_config (callable): (location, revision, **hub) -> the part's config.
        sizes (`tuple[str, ...]`): fields of the part's own config that say how large it is, or depend on that.
    """

    name: str
    fingerprint: str
    load: Callable[..., nn.Module]
    build: Callable[[Any], nn.Module]
    read_config: Callable[..., PretrainedConfig]
    config: str | None = None
    sizes: tuple[str, ...] = ()

    def small_sizes(self, config_class: type[PretrainedConfig] | None = None) -> dict[str, Any]:
        """Fields of its config that make the part, with random weights, as small as that of the tower that ships.

        Args:
            config_class (`type`, *optional*): of the config that they are for, which may not have them all; the one of
                the tower that ships if there is none.
        """
        small = self.read_config(tower_location(SMALL_CLIP))
        known = {field.name for field in fields(config_class or type(small))}
        return {name: getattr(small, name) for name in self.sizes if name in known}

    def fetch(self, name: str, revision: str | None, fingerprint: str | None, **hub: Any) -> StoredTower:
        """The part of the tower that a checkpoint names, as stored.

        Args:
            name (`str`): of the package's own tower, or on the Hub.
            revision (`str`, *optional*): the commit.
            fingerprint (`str`, *optional*): of the part that the checkpoint was trained on.
            hub: as for [`load_tower`].

        Raises:
            InputError: if it cannot be had, or is another one.
        """
        location = tower_location(name)
        part = self.load(location, self.read_config(location, revision, **hub), revision, "auto", **hub)
        stored = StoredTower.of(name, part)
        if stored.fingerprint != fingerprint:
            place = f"{name} at commit {revision}" if revision else name
            what = "tower" if self is VISION else f"{self.name} of tower"
            remedy = "install the version of this package that has it" if name == SMALL_CLIP else "restore that tower"
            raise InputError(
                f"{what} {place} has the fingerprint {stored.fingerprint}, but the checkpoint was trained on one with "
                f"{fingerprint}: {remedy}, or take a checkpoint saved with include_backbone=True."
            )
        return stored

    def cast_fingerprint(
        self,
        name: str,
        revision: str | None,
        fingerprint: str | None,
        dtype: torch.dtype | None,
        cache: str | PathLike[str] | None = None,
    ) -> str | None:
        """What the fingerprint would be in another precision; `None` if the tower is not on this machine.

        Args:
            name (`str`): as for [`fetch`].
            revision (`str`, *optional*): as there.
            fingerprint (`str`, *optional*): as there.
            dtype (`torch.dtype`, *optional*): the precision; `None` for several, which no checkpoint describes.
            cache (path, *optional*): the Hub's cache.
        """
        if dtype is None:
            return None
        try:
            weights = self.fetch(name, revision, fingerprint, cache_dir=cache, local_files_only=True).weights
        except InputError:
            return None
        cast = {key: each.to(dtype) if each.is_floating_point() else each for key, each in weights.items()}
        return fingerprint_of(cast)


def has_text_side(name_or_path: str, revision: str | None = None, **hub: Any) -> bool:
    """Whether a checkpoint is a whole CLIP, from which [`TEXT`] and [`VISUAL_PROJECTION`] can be had.

    Raises:
        InputError: if its config cannot be read.
    """
    try:
        found = PretrainedConfig.get_config_dict(name_or_path, revision=revision, **hub)[0].get("model_type")
    except OSError as error:
        raise InputError(f"tower {name_or_path} cannot be loaded: {error}") from error
    return bool(found == CLIPConfig.model_type)


def _read_text_config(name_or_path: str, revision: str | None = None, **hub: Any) -> PretrainedConfig:
    return _read_clip_config(name_or_path, revision, **hub).text_config


def _load_text(
    name_or_path: str, config: PretrainedConfig, revision: str | None, dtype: torch.dtype | str, **hub: Any
) -> nn.Module:
    return fill_from_checkpoint(CLIPTextModelWithProjection, name_or_path, config, revision, dtype, **hub)


def _read_projected_config(name_or_path: str, revision: str | None = None, **hub: Any) -> PretrainedConfig:
    return _read_clip_config(name_or_path, revision, **hub).vision_config


def _load_visual_projection(
    name_or_path: str, config: PretrainedConfig, revision: str | None, dtype: torch.dtype | str, **hub: Any
) -> nn.Module:
    config = _read_projected_config(name_or_path, revision, **hub)  # the width that `config` knows may be a default
    tower = fill_from_checkpoint(CLIPVisionModelWithProjection, name_or_path, config, revision, dtype, **hub)
    return tower.visual_projection


def _read_clip_config(name_or_path: str, revision: str | None, **hub: Any) -> CLIPConfig:
    try:
        found = PretrainedConfig.get_config_dict(name_or_path, revision=revision, **hub)[0].get("model_type")
        if found != CLIPConfig.model_type:
            raise InputError(
                f"tower {name_or_path} is of type {found!r}: text supervision needs a whole CLIP, with its text side."
            )
        config = CLIPConfig.from_pretrained(name_or_path, revision=revision, **hub)
    except OSError as error:
        raise InputError(f"tower {name_or_path} cannot be loaded: {error}") from error
    # The parts' own entries are defaults that no weight has; CLIP's says how wide both projections are.
    config.text_config.projection_dim = config.vision_config.projection_dim = config.projection_dim
    return config


_LAYERS = ("hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads")
VISION = TowerPart(
    name="vision_model",
    fingerprint="tower_fingerprint",
    load=load_tower,
    build=lambda config: build_tower(config.vision_config),
    read_config=read_tower_config,
    config="vision_config",
    sizes=("image_size", "patch_size", *_LAYERS),
)
TEXT = TowerPart(
    name="text_model",
    fingerprint="text_fingerprint",
    load=_load_text,
    build=lambda config: CLIPTextModelWithProjection(config.text_config),
    read_config=_read_text_config,
    config="text_config",
    sizes=(
        *("vocab_size", "max_position_embeddings", "projection_dim", *_LAYERS),
        *("bos_token_id", "eos_token_id", "pad_token_id"),  # by which texts end, and within the vocabulary
    ),
)
"""CLIP's text tower and its `text_projection`: `text_embeds` (texts, text_config.projection_dim), not normalised."""
VISUAL_PROJECTION = TowerPart(
    name="visual_projection",
    fingerprint="visual_projection_fingerprint",
    load=_load_visual_projection,
    build=lambda config: nn.Linear(config.vision_config.hidden_size, config.text_config.projection_dim, bias=False),
    read_config=_read_projected_config,
)
"""CLIP's own map from the pooled output of its vision tower to where its texts are; only beside [`TEXT`]."""
