"""Which pictures a simulated dataset has, and writing them with their captions and codes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data.simulation.concepts import Concept, list_concepts
from neuroclip_hf.data.simulation.pictures import draw_picture, make_look, picture_code
from neuroclip_hf.data.simulation.settings import SimulationSettings
from neuroclip_hf.data.things_eeg2 import FACTS
from neuroclip_hf.logging import progress

_QUALITY = 92


@dataclass(frozen=True)
class PlannedPicture:
    """One picture to draw.

    Args:
        concept (`Concept`): what it shows.
        count (`int`): which picture of the concept it is, from 1. Concept, count and seed make the picture, so that
            every simulator draws the same one.
        image_id (`str`): its path in the dataset, with forward slashes.
        seed (`int`): of the simulation.
    """

    concept: Concept
    count: int
    image_id: str
    seed: int

    @property
    def file(self) -> str:
        """Its name on disk."""
        return PurePosixPath(self.image_id).name

    @property
    def folder(self) -> str:
        """Name of the folder that holds it."""
        return PurePosixPath(self.image_id).parent.name

    def draw(self, size: int) -> tuple[Image.Image, str]:
        """The picture, `size` pixels a side, and its caption."""
        seed = np.random.SeedSequence((self.seed, self.count, *self.concept.name.encode()))
        look = make_look(self.concept, np.random.default_rng(seed))
        return draw_picture(self.concept, look, size), look.caption


def part_concepts(concepts: int, test_concepts: int, seed: int) -> dict[str, list[Concept]]:
    """Training and test concepts by split, in alphabetical order.

    Test concepts are the first of the seed's list, so that more training concepts leave them as they are.
    """
    listed = list_concepts(test_concepts + concepts, seed)
    parts = {TRAIN: listed[test_concepts:], TEST: listed[:test_concepts]}
    return {split: sorted(part, key=lambda concept: concept.name) for split, part in parts.items()}


def plan_pictures(
    settings: SimulationSettings, name: Callable[[str, int, Concept, int], str]
) -> dict[str, list[PlannedPicture]]:
    """The pictures of "train" and "test", concept by concept.

    Args:
        settings (`SimulationSettings`): how many.
        name (callable): split, number of the concept in the split (from 1), concept, number of the picture (from 1) ->
            its path in the dataset.
    """
    counts = {TRAIN: settings.images_per_concept, TEST: FACTS.test_pictures}
    return {
        split: [
            PlannedPicture(concept, count, name(split, number, concept, count), settings.seed)
            for number, concept in enumerate(concepts, start=1)
            for count in range(1, 1 + counts[split])
        ]
        for split, concepts in part_concepts(settings.concepts, settings.test_concepts, settings.seed).items()
    }


def write_pictures(
    folder: Path, pictures: Sequence[PlannedPicture], size: int, captions: dict[str, str]
) -> np.ndarray:
    """Draw pictures, `size` pixels a side, and write them as JPEG below `folder`; `captions` is filled by image id.

    Returns:
        (pictures, code size): the codes of what was drawn, before compression.
    """
    codes = []
    for planned in progress(pictures, desc="pictures"):
        picture, captions[planned.image_id] = planned.draw(size)
        path = folder / planned.image_id
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, format="JPEG", quality=_QUALITY, subsampling=0)
        codes.append(picture_code(picture, planned.concept))
    return np.array(codes)


def draw_codes(pictures: Sequence[PlannedPicture], size: int) -> np.ndarray:
    """The codes (pictures, code size) alone; the pictures are drawn and not kept."""
    return np.array([picture_code(planned.draw(size)[0], planned.concept) for planned in pictures])


def bytes_of_pictures(count: int, size: int) -> int:
    """An upper estimate of what `count` pictures take on disk: a byte a pixel."""
    return count * size**2


def count_pictures(settings: SimulationSettings) -> int:
    """Pictures of both splits."""
    return settings.concepts * settings.images_per_concept + settings.test_concepts * FACTS.test_pictures
