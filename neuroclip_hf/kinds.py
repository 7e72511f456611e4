"""Which kinds of model there are; all that builds, trains, loads or describes one finds its classes here."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, get_type_hints

import torch
from transformers import AutoFeatureExtractor, AutoProcessor

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.brain_image.configuration_brain_image import BrainImageConfig
from neuroclip_hf.models.brain_image.modeling_brain_image import BrainImageModel
from neuroclip_hf.models.brainclip import BrainCLIPConfig, BrainCLIPModel
from neuroclip_hf.models.configuration import setting_names
from neuroclip_hf.models.neuroclip import NeuroCLIPConfig, NeuroCLIPModel
from neuroclip_hf.models.registry import register_auto_classes
from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor
from neuroclip_hf.processing.processing_brain import BrainCLIPProcessor, BrainImageProcessor, NeuroCLIPProcessor


@dataclass(frozen=True)
class Kind:
    """A kind of model. A recipe names it by its config's `model_type`.

    Args:
        title (`str`): what cards call it.
        paper (`str`): web address of what it re-implements.
        config_class, model_class, processor_class (`type`): its classes.
        official_code (`str`, *optional*): web address of its authors' code; `None` where none is public.
    """

    title: str
    paper: str
    config_class: type[BrainImageConfig]
    model_class: type[BrainImageModel]
    processor_class: type[BrainImageProcessor]
    official_code: str | None = None

    @property
    def name(self) -> str:
        """What recipes and config.json call it."""
        return self.config_class.model_type

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that a recipe may change and other kinds need not have: name -> type.

        Configs and fingerprints of frozen towers are none: they come from the checkpoint that `tower` names.
        """
        own = set(setting_names(self.config_class)) - set(setting_names(BrainImageConfig))
        own -= {name for part in self.model_class.tower_parts for name in (part.config, part.fingerprint)}
        types = get_type_hints(self.config_class, localns={"torch": torch})  # transformers writes "torch.dtype"
        return {one.name: types[one.name] for one in fields(self.config_class) if one.name in own}

    @property
    def import_lines(self) -> list[str]:
        """What imports its model and processor, from the package itself where their names are public."""
        package = __name__.partition(".")[0]
        names: dict[str, list[str]] = {}
        for one in (self.model_class, self.processor_class):
            home = package if one.__name__ in sys.modules[package].__all__ else one.__module__
            names.setdefault(home, []).append(one.__name__)
        return [f"from {home} import {', '.join(each)}" for home, each in names.items()]


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind("NeuroCLIP", "https://arxiv.org/abs/2511.09250", NeuroCLIPConfig, NeuroCLIPModel, NeuroCLIPProcessor),
            Kind("BrainCLIP", "https://arxiv.org/abs/2302.12971", BrainCLIPConfig, BrainCLIPModel, BrainCLIPProcessor),
        )
    }
)


def find_kind(name: Any) -> Kind:
    """The kind of model of this name.

    Raises:
        InputError: if there is none.
    """
    if name not in KINDS:
        raise InputError(f"kind is {name!r}: there are models of the kinds {', '.join(KINDS)}.")
    return KINDS[name]


def register_kinds() -> None:
    """Make transformers' Auto classes find configs, models and processors of every kind."""
    for kind in KINDS.values():
        register_auto_classes(kind.config_class, kind.model_class)
        AutoFeatureExtractor.register(kind.config_class, BrainFeatureExtractor, exist_ok=True)
        AutoProcessor.register(kind.config_class, kind.processor_class, exist_ok=True)
