"""What a model remembers of its frozen towers, so that a checkpoint can name them instead of holding them."""

import re
from collections.abc import Iterator, Mapping
from os import PathLike
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from neuroclip_hf.models.tower_loading import (
    StoredTower,
    base_weights,
    can_be_fetched,
    floating_dtype,
    tower_fingerprint,
)
from neuroclip_hf.models.tower_parts import VISION, TowerPart


class FrozenTowers(PreTrainedModel):
    """A model with frozen parts of one checkpoint: `tower_parts` says which, the vision tower if nothing else.

    A kind with text supervision says `tower_parts = (VISION, TEXT)`, and has the fields in its config that these name.
    """

    tower_parts: tuple[TowerPart, ...] = (VISION,)

    @classmethod
    def parts_of(cls, config: Any) -> tuple[TowerPart, ...]:
        """Those of `tower_parts` that a model of this config has; all, unless a kind of model says otherwise."""
        return cls.tower_parts

    @classmethod
    def parts_in(
        cls, location: str, revision: str | None, settings: Mapping[str, Any], **hub: Any
    ) -> tuple[tuple[TowerPart, ...], dict[str, Any]]:
        """What a new model takes from a checkpoint; all `tower_parts`, unless a kind of model says otherwise.

        Args:
            location (`str`): folder or name on the Hub of the checkpoint.
            revision (`str`, *optional*): its commit.
            settings (`Mapping`): of the new model's config, as far as given.
            hub: as for [`neuroclip_hf.models.tower_loading.load_tower`].

        Returns:
            The parts, and settings that follow from what the checkpoint is.
        """
        return cls.tower_parts, {}

    # Part -> fingerprint of its own weights in the precision in which they were loaded.
    _as_loaded: Mapping[str, str] = MappingProxyType({})
    # Part -> what waits to fill it while a checkpoint is being loaded.
    _stored_towers: Mapping[str, StoredTower] = MappingProxyType({})
    _filled_before: tuple[str, ...] = ()  # weights of towers that the checkpoint held all the same
    _keys_to_ignore_on_save: list[str] | None = None
    _tower_cache: str | PathLike[str] | None = None  # where the towers were fetched from

    def towers(self) -> Iterator[tuple[TowerPart, nn.Module]]:
        """The frozen parts that this model has."""
        for part in self.tower_parts:
            if (tower := getattr(self, part.name, None)) is not None:
                yield part, tower

    def expect_towers(self, stored: Mapping[str, StoredTower]) -> None:
        """Say, while a checkpoint is being loaded, that towers come from elsewhere: part -> tower."""
        self._stored_towers = stored
        keys = "|".join(re.escape(key) for key in self._tower_keys())
        self._keys_to_ignore_on_load_missing = [rf"^(?:{keys})$"]

    def remember_towers(self, stored: Mapping[str, StoredTower], cache: str | PathLike[str] | None = None) -> None:
        """Remember what the towers were when they were loaded, so that saving sees whether they were trained."""
        self._tower_cache = cache
        self._as_loaded = {
            part.name: _fingerprint_if_cast(tower, stored[part.name])
            for part, tower in self.towers()
            if part.name in stored
        }
        if can_be_fetched(self.config.tower, self.config.tower_revision):
            self._keys_to_ignore_on_save = self._tower_keys()

    def fill_towers(self) -> None:
        """Copy the waiting towers in; called when transformers would draw what the checkpoint did not hold."""
        places = {part.name: tower for part, tower in self.towers()}
        filled = {name: stored.fill(places[name]) for name, stored in self._stored_towers.items()}
        if filled:
            self._filled_before = tuple(f"{name}.{key}" for name, keys in filled.items() for key in keys)

    def _finish_towers(self, cache: str | PathLike[str] | None) -> list[str]:
        """After loading: forget what waited, and name weights that the checkpoint held though it says otherwise."""
        stored, self._stored_towers = self._stored_towers, {}
        if not stored:
            return []
        self.remember_towers(stored, cache)
        return list(self._filled_before)

    def _tower_keys(self) -> list[str]:
        return [f"{part.name}.{key}" for part, tower in self.towers() for _, key, _ in base_weights(tower)]

    def _towers_can_be_left_out(self) -> bool:
        towers = list(self.towers())
        if not towers or not can_be_fetched(self.config.tower, self.config.tower_revision):
            return False
        return all(self._is_as_it_came(part, tower) for part, tower in towers)

    def _is_as_it_came(self, part: TowerPart, tower: nn.Module) -> bool:
        named, loaded = getattr(self.config, part.fingerprint), self._as_loaded.get(part.name)
        known = {named, loaded} - {None}
        if not known:
            return False
        if (found := tower_fingerprint(tower)) in known:
            return True
        where = (self.config.tower, self.config.tower_revision, named)
        return found == part.cast_fingerprint(*where, floating_dtype(tower), self._tower_cache)

    def _record_tower_dtype(self) -> None:
        dtypes = {floating_dtype(tower) for _, tower in self.towers()}
        dtype = dtypes.pop() if len(dtypes) == 1 else None
        if dtype is not None and (self.config.tower_dtype is not None or dtype != self.dtype):
            self.config.tower_dtype = str(dtype).removeprefix("torch.")


def tower_dtype_of(config: PretrainedConfig) -> torch.dtype | None:
    """The precision that a config asks for its towers; `None` for that of the rest."""
    return None if config.tower_dtype is None else getattr(torch, config.tower_dtype)


def _fingerprint_if_cast(tower: nn.Module, stored: StoredTower) -> str:
    as_stored = all(tensor.dtype == stored.weights[name].dtype for name, _, tensor in base_weights(tower))
    return stored.fingerprint if as_stored else tower_fingerprint(tower)
