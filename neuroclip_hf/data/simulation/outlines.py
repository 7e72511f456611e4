"""Outlines of shapes and parts as polygons in units of the body: x to the right, y down, the body within -1..1."""

import numpy as np

Polygon = np.ndarray  # (points, 2)


def ellipse(x: float, y: float, width: float, height: float, tilt: float = 0.0, points: int = 60) -> Polygon:
    """An ellipse around (x, y) with half axes `width` and `height`, turned by `tilt` radians."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    outline = np.stack([width * np.cos(angle), height * np.sin(angle)], axis=1)
    turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    return outline @ turn + (x, y)


def polygon(*points: tuple[float, float]) -> Polygon:
    """A polygon from its corners."""
    return np.array(points, dtype=float)


def mirrored(*outlines: Polygon) -> list[Polygon]:
    """The outlines and their mirror images."""
    return [*outlines, *(outline * (-1, 1) for outline in outlines)]


def rectangle(left: float, top: float, right: float, bottom: float) -> Polygon:
    """A rectangle from its edges."""
    return polygon((left, top), (right, top), (right, bottom), (left, bottom))


def _spokes(radii: np.ndarray) -> Polygon:
    angle = np.linspace(0, 2 * np.pi, len(radii), endpoint=False) - np.pi / 2
    return np.stack([radii * np.cos(angle), radii * np.sin(angle)], axis=1)


def _heart() -> Polygon:
    t = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x / 16.5, -y / 15 + 0.08], axis=1)


def _drop() -> Polygon:
    t = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    return np.stack([0.95 * np.sin(t) * np.sin(t / 2) ** 1.4, -np.cos(t)], axis=1)


def _vase() -> Polygon:
    y = np.linspace(-1, 1, 60)
    half = 0.46 + 0.36 * np.cos((y - 0.35) * 2.4) + 0.25 * np.exp(-(((y + 1) / 0.16) ** 2))
    return np.concatenate([np.stack([half, y], axis=1), np.stack([-half, y], axis=1)[::-1]])


def body(shape: str) -> tuple[list[Polygon], list[Polygon]]:
    """The outlines of a shape, and those of its holes."""
    petals = [ellipse(0.58 * np.cos(a), 0.58 * np.sin(a), 0.44, 0.36, -a) for a in np.arange(6) * np.pi / 3]
    bodies: dict[str, tuple[list[Polygon], list[Polygon]]] = {
        "ball": ([ellipse(0, 0, 0.95, 0.95)], []),
        "box": ([rectangle(-0.85, -0.8, 0.85, 0.8)], []),
        "pyramid": ([polygon((0, -1), (1, 0.85), (-1, 0.85))], []),
        "star": ([_spokes(np.tile([1.08, 0.48], 5))], []),
        "heart": ([_heart()], []),
        "gem": ([polygon((-0.55, -0.75), (0.55, -0.75), (1, -0.2), (0, 1), (-1, -0.2))], []),
        "moon": ([_moon()], []),
        "cross": ([rectangle(-0.36, -1, 0.36, 1), rectangle(-1, -0.36, 1, 0.36)], []),
        "drop": ([_drop()], []),
        "ring": ([ellipse(0, 0, 1, 1)], [ellipse(0, 0, 0.42, 0.42)]),
        "flower": ([*petals, ellipse(0, 0, 0.5, 0.5)], []),
        "vase": ([_vase()], []),
        "mushroom": ([_cap(), rectangle(-0.34, -0.02, 0.34, 0.95)], []),
        "cloud": (
            [
                ellipse(-0.52, 0.16, 0.5, 0.46),
                ellipse(0.52, 0.16, 0.5, 0.46),
                ellipse(0.02, -0.24, 0.6, 0.58),
                rectangle(-0.52, 0.1, 0.52, 0.62),
            ],
            [],
        ),
    }
    return bodies[shape]


def _moon() -> Polygon:
    outer, inner = np.linspace(-0.95, 5.0, 70) + 0.17, np.linspace(-1.2, 5.25, 60) + 0.17
    wide = np.stack([np.cos(outer), -np.sin(outer)], axis=1)
    hollow = np.stack([0.46 + 0.72 * np.cos(inner), -0.16 - 0.72 * np.sin(inner)], axis=1)
    return np.concatenate([wide[wide[:, 0] < 0.5], hollow[hollow[:, 0] < 0.62][::-1]])


def _cap() -> Polygon:
    angle = np.linspace(np.pi, 2 * np.pi, 40)
    return np.stack([1.05 * np.cos(angle), 0.12 + 1.05 * np.sin(angle)], axis=1)


def part(name: str) -> list[tuple[list[Polygon], tuple[int, int, int], bool]]:
    """The layers of a part from back to front: outlines, colour, whether they lie before the body."""
    dark, light = (58, 52, 60), (250, 247, 238)
    parts: dict[str, list[tuple[list[Polygon], tuple[int, int, int], bool]]] = {
        "wheels": [
            (mirrored(ellipse(0.62, 0.98, 0.36, 0.36)), dark, True),
            (mirrored(ellipse(0.62, 0.98, 0.16, 0.16)), (205, 205, 210), True),
        ],
        "wings": [
            (mirrored(ellipse(1.12, -0.34, 0.66, 0.34, 0.5), ellipse(1.05, 0.2, 0.46, 0.25, -0.25)), light, False),
        ],
        "legs": [
            (mirrored(rectangle(0.3, 0.4, 0.48, 1.32), ellipse(0.5, 1.34, 0.28, 0.13)), (92, 62, 42), False),
        ],
        "ears": [
            (mirrored(ellipse(0.5, -1.05, 0.24, 0.56, -0.3)), (236, 176, 160), False),
            (mirrored(ellipse(0.5, -1.1, 0.1, 0.36, -0.3)), (255, 222, 212), False),
        ],
        "antennae": [
            (mirrored(polygon((0.2, -0.4), (0.3, -0.4), (0.62, -1.4), (0.54, -1.42))), dark, False),
            (mirrored(ellipse(0.58, -1.42, 0.17, 0.17)), (250, 196, 60), False),
        ],
        "hat": [
            ([rectangle(-0.42, -1.5, 0.42, -0.72), ellipse(0, -0.72, 0.82, 0.14)], (40, 42, 74), True),
            ([rectangle(-0.42, -1.0, 0.42, -0.82)], (232, 176, 60), True),
        ],
        "flag": [
            ([rectangle(-0.06, -1.65, 0.06, -0.2)], dark, False),
            ([polygon((0.06, -1.65), (0.86, -1.38), (0.06, -1.08))], (228, 64, 88), False),
        ],
        "handles": [
            (mirrored(_handle()), (150, 152, 162), False),
        ],
        "eyes": [
            (mirrored(ellipse(0.36, -0.12, 0.28, 0.32)), light, True),
            (mirrored(ellipse(0.33, -0.06, 0.13, 0.16)), (26, 26, 32), True),
        ],
    }
    return parts[name]


def _handle() -> Polygon:
    outer, inner = (ellipse(0.86, 0.05, radius, radius)[np.r_[45:60, 0:16]] for radius in (0.6, 0.4))
    return np.concatenate([outer, inner[::-1]])
