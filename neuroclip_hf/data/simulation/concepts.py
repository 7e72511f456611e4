"""Concepts of the drawn objects: one combination of shape, part, colour and texture each."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from neuroclip_hf.errors import InputError

SHAPES = (
    "ball",
    "box",
    "pyramid",
    "star",
    "heart",
    "gem",
    "moon",
    "cross",
    "drop",
    "ring",
    "flower",
    "vase",
    "mushroom",
    "cloud",
)
PARTS = ("wheels", "wings", "legs", "ears", "antennae", "hat", "flag", "handles", "eyes")
COLOURS = {
    "red": (214, 48, 49),
    "orange": (240, 128, 36),
    "yellow": (247, 205, 52),
    "green": (56, 158, 72),
    "turquoise": (38, 186, 178),
    "blue": (46, 98, 214),
    "purple": (126, 64, 176),
    "pink": (242, 128, 172),
    "brown": (132, 84, 48),
    "black": (52, 54, 62),
    "white": (244, 243, 238),
}
TEXTURES = ("plain", "striped", "dotted", "checked", "ringed", "wavy")


@dataclass(frozen=True)
class Concept:
    """What all pictures of one concept share.

    Args:
        shape, part, colour, texture (`str`): one of `SHAPES`, `PARTS`, `COLOURS`, `TEXTURES`.
    """

    shape: str
    part: str
    colour: str
    texture: str

    @property
    def name(self) -> str:
        """The concept as part of a file name: "red_striped_star_with_wings"."""
        return f"{self.colour}_{self.texture}_{self.shape}_with_{self.part}"

    @property
    def phrase(self) -> str:
        """The concept in words: "red striped star with wings"."""
        return self.name.replace("_", " ")

    def one_hot(self) -> np.ndarray:
        """The four attributes as ones in a vector of zeros, (shapes + parts + colours + textures,)."""
        values = (self.shape, self.part, self.colour, self.texture)
        tables = (SHAPES, PARTS, tuple(COLOURS), TEXTURES)
        return np.concatenate([np.array(table) == value for table, value in zip(tables, values, strict=True)]) * 1.0


NUMBER_OF_CONCEPTS = 3000
"""How many concepts recordings may show."""


def list_concepts(count: int, seed: int = 0) -> list[Concept]:
    """The first `count` concepts in the order of `seed`; none comes twice, and fewer are a prefix of more.

    Raises:
        InputError: if there are not so many.
    """
    if not 0 <= count <= NUMBER_OF_CONCEPTS:
        raise InputError(f"{count} concepts were asked for: there are {NUMBER_OF_CONCEPTS}.")
    shown = _all_concepts()[:NUMBER_OF_CONCEPTS]
    order = np.random.default_rng(np.random.SeedSequence([seed, 0xC0])).permutation(NUMBER_OF_CONCEPTS)
    return [shown[place] for place in order[:count]]


def list_tower_concepts() -> list[Concept]:
    """The 5,316 other concepts, which no simulated recording shows: what a vision tower may be trained on."""
    return _all_concepts()[NUMBER_OF_CONCEPTS:]


def _all_concepts() -> list[Concept]:
    every = list(product(SHAPES, PARTS, COLOURS, TEXTURES))
    order = np.random.default_rng(0xC1).permutation(len(every))
    return [Concept(*every[place]) for place in order]
