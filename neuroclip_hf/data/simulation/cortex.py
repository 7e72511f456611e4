"""The visual cortex of a simulated subject: where its voxels lie, and to which areas they belong."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from neuroclip_hf.data.god import FACTS
from neuroclip_hf.data.simulation.pictures import APPEARANCE_SIZE, ATTRIBUTES_SIZE, CODE_SIZE

_BORDER = 6.0  # of an area, within which its voxels belong to the neighbour too, in millimetres
_SHIFT = 2.0  # of an area from person to person, in millimetres
_ALL = slice(APPEARANCE_SIZE, CODE_SIZE)
_FIRST = slice(APPEARANCE_SIZE, APPEARANCE_SIZE + 2 * ATTRIBUTES_SIZE // 3)
_LAST = slice(CODE_SIZE - 2 * ATTRIBUTES_SIZE // 3, CODE_SIZE)


@dataclass(frozen=True)
class Area:
    """A part of the cortex whose voxels answer to the same part of a picture's code. All numbers are ours.

    Args:
        name (`str`): of the area; "" for the part of the higher region that is in none of its areas.
        share (`float`): of all voxels.
        centre (`tuple`): in the right hemisphere, in millimetres to the right, front and top; the left mirrors it.
        strength (`float`): of the response, beside the other areas.
        appearance (`float`): how much of its variance the picture's appearance makes; the attributes make the rest.
        attributes (`slice`): the numbers of the code that stand for attributes it answers to.
    """

    name: str
    share: float
    centre: tuple[float, float, float]
    strength: float
    appearance: float
    attributes: slice


AREAS = (
    Area("V1", 0.21, (9, -92, 0), 0.75, 1.0, _ALL),
    Area("V2", 0.21, (15, -84, 18), 0.75, 1.0, _ALL),
    Area("V3", 0.16, (30, -86, 6), 0.7, 0.95, _ALL),
    Area("V4", 0.15, (27, -78, -14), 0.9, 0.55, _ALL),
    Area("LOC", 0.11, (45, -70, -2), 1.0, 0.12, _ALL),
    Area("FFA", 0.07, (42, -54, -16), 1.0, 0.08, _FIRST),
    Area("PPA", 0.05, (27, -42, -10), 1.0, 0.08, _LAST),
    Area("", 0.04, (36, -56, -6), 0.8, 0.08, _ALL),
)
_LOWER, _HIGHER = ("V1", "V2", "V3"), ("LOC", "FFA", "PPA", "")
_NEIGHBOURS = (("V1", "V2"), ("V2", "V3"), ("V3", "V4"), ("LOC", "FFA"), ("FFA", "PPA"))


@dataclass(frozen=True)
class Cortex:
    """Voxels in the order of a volume: from the bottom, then from the back, then from the left.

    Args:
        places (`numpy.ndarray`): (voxels, 3) x, y, z in millimetres.
        homes (`numpy.ndarray`): (voxels,) the row of `AREAS` that makes a voxel's response.
        masks (`dict`): (voxels,) bool by name of area or region.
    """

    places: np.ndarray
    homes: np.ndarray
    masks: dict[str, np.ndarray]


def make_cortex(voxels: int, random: np.random.Generator) -> Cortex:
    """Place voxels on a grid around the centres of their areas, half in each hemisphere.

    As in the dataset, areas overlap: of two neighbours, the earlier has the voxels of the later within 6 mm too. LVC
    is V1 to V3; HVC is the region around LOC, FFA and PPA; VC is everything, V4 included.
    """
    counts = np.diff(np.rint(np.cumsum([area.share for area in AREAS]) * voxels).astype(int), prepend=0)
    sides = []
    for side, halves in ((1, (counts + 1) // 2), (-1, counts // 2)):
        free = _grid(side)
        for row, (area, count) in enumerate(zip(AREAS, halves, strict=True)):
            centre = np.array(area.centre) * (side, 1, 1) + random.normal(0, _SHIFT, 3)
            nearest = np.argsort(((free - centre) ** 2).sum(axis=1), kind="stable")[:count]
            sides.append((free[nearest], np.full(count, row)))
            free = np.delete(free, nearest, axis=0)
    places, homes = (np.concatenate(parts) for parts in zip(*sides, strict=True))
    order = np.lexsort(places.T)
    return Cortex(places[order], homes[order], _masks(places[order], homes[order]))


def _grid(side: int) -> np.ndarray:
    size = FACTS.voxel_size
    axes = (side * size * np.arange(1, 27), np.arange(-117, -14, size), np.arange(-39, 52, size))
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def _masks(places: np.ndarray, homes: np.ndarray) -> dict[str, np.ndarray]:
    inside = {area.name: homes == row for row, area in enumerate(AREAS)}
    masks = {name: mask.copy() for name, mask in inside.items()}
    for first, second in _NEIGHBOURS:
        if inside[first].any() and inside[second].any():
            distance, _ = cKDTree(places[inside[first]]).query(places)
            masks[first] |= inside[second] & (distance <= _BORDER)
    lower = np.any([masks[name] for name in _LOWER], axis=0)
    higher = np.any([masks[name] for name in _HIGHER], axis=0)
    del masks[""]
    return {**masks, "LVC": lower, "HVC": higher, "VC": np.ones(len(homes), dtype=bool)}
