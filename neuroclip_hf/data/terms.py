"""Under what terms published datasets may be used, as far as this package knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class DatasetTerms:
    """What is known of the rights in a published dataset.

    Args:
        title (`str`): its name.
        page (`str`): web address where a person finds it.
        recordings (`str`, *optional*): terms of the recordings, in words; None where this package does not know them.
        pictures (`str`): terms of the pictures that were shown, in words.
    """

    title: str
    page: str
    recordings: str | None
    pictures: str


THINGS_EEG2_TERMS = DatasetTerms(
    title="THINGS-EEG2",
    page="https://osf.io/3jk45/",
    recordings=(
        "The recordings of THINGS-EEG2 and their table of pictures (Gifford et al., NeuroImage 2022, "
        "https://osf.io/3jk45/) are under CC BY 4.0: cite the paper."
    ),
    # After the licence that THINGS (Hebart et al., PLoS ONE 2019) ships with its images.
    pictures=(
        "The pictures belong to THINGS (https://things-initiative.org/, https://osf.io/jum2f/). Their copyright is "
        "their owners'; they are for research only, and may be neither used commercially nor passed on, changed or "
        "unchanged, without the owners' consent."
    ),
)
_GOD = DatasetTerms(
    title="Generic Object Decoding",
    page="https://doi.org/10.1038/ncomms15037",
    recordings=None,
    pictures=(
        "The pictures are ImageNet's: the dataset's authors give them out on request, and they may not be passed on."
    ),
)
_BRAVL = DatasetTerms(
    title="Generic Object Decoding, as BraVL's authors released it",
    page=_GOD.page,
    recordings=None,
    pictures=_GOD.pictures,
)

PUBLISHED: Mapping[str, DatasetTerms] = MappingProxyType(
    {"things-eeg2": THINGS_EEG2_TERMS, "god": _GOD, "bravl": _BRAVL}
)
"""What store.json calls the `source` of a store -> its terms; a store of one's own recordings or arrays has none."""
