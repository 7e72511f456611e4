"""Settings of banded ridge regression."""

from collections.abc import Mapping, Sequence
from typing import Any

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.configuration import require_count
from neuroclip_hf.models.encoders.base import TrialFacts
from neuroclip_hf.models.encoders.closed_form import ClosedFormConfig

REST = "rest"
"""The band of voxels that are in no region."""


class BandedRidgeConfig(ClosedFormConfig):
    """Settings of [`BandedRidgeEncoder`].

    Args:
        bands (`dict[str, list[int]]`, *optional*): name of a region -> places of its voxels; every voxel stands in
            exactly one. A recipe leaves it out, and it becomes the regions of the store: a voxel of several belongs
            to the smallest of them, one of none to "rest" (ours). `None` makes all voxels one band.
        draws (`int`): weightings of the bands that are tried, each with every penalty (ours: 20). The first weighs
            all alike.
        search_seed (`int`): of the other weightings.
    """

    model_type = "banded_ridge"

    bands: dict[str, list[int]] | None = None
    draws: int = 20
    search_seed: int = 0

    @classmethod
    def sizes(cls, trials: TrialFacts) -> dict[str, Any]:
        """See [`BrainEncoderConfig`]; the bands follow from the regions.

        Raises:
            InputError: for trials that are no patterns, or regions that nobody named.
        """
        sizes = super().sizes(trials)
        if not trials.rois:
            raise InputError(
                "banded_ridge weighs regions of interest, and these trials name none: prepare them with regions, or "
                "choose the encoder ridge."
            )
        return {**sizes, "bands": bands_of(trials.rois, sizes["num_voxels"])}

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible."""
        super().check()
        require_count(self, "draws")
        if isinstance(self.search_seed, bool) or not isinstance(self.search_seed, int) or self.search_seed < 0:
            raise InputError(f"search_seed is {self.search_seed!r}: it must be a whole number of at least 0.")
        if self.bands is None:
            return
        if not isinstance(self.bands, Mapping) or not all(isinstance(each, list) for each in self.bands.values()):
            raise InputError(f"bands is {self.bands!r}: it must be a dict from names to lists of voxels' places.")
        places = sorted(place for band in self.bands.values() for place in band)
        if places != list(range(self.num_voxels)) or not all(self.bands.values()):
            raise InputError(
                f"bands hold {len(places)} places: each of the {self.num_voxels} voxels, from 0, must stand in one of "
                "them and no other, and no band may be empty."
            )


def bands_of(rois: Mapping[str, Sequence[int]], num_voxels: int) -> dict[str, list[int]]:
    """Regions that may overlap -> bands that do not: a voxel belongs to the smallest of its regions.

    Args:
        rois (`Mapping`): name -> places of voxels.
        num_voxels (`int`): how many there are in all.
    """
    owner = dict.fromkeys(range(num_voxels), REST)
    for name in sorted(rois, key=lambda each: (-len(rois[each]), each)):
        owner.update(dict.fromkeys((int(place) for place in rois[name]), name))
    names = [*rois, REST] if REST not in rois else list(rois)
    bands: dict[str, list[int]] = {name: [] for name in names}
    for place, name in owner.items():
        bands[name].append(place)
    return {name: places for name, places in bands.items() if places}
