"""Drawn pictures of concepts, and the code of their content that simulated brains respond to."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from neuroclip_hf.data.simulation import outlines
from neuroclip_hf.data.simulation.concepts import COLOURS, Concept

_OVERSAMPLING = 4
_BACKGROUNDS = {
    "a meadow": ((196, 226, 244), (150, 196, 120)),
    "a beach": ((184, 222, 240), (236, 216, 168)),
    "a table": ((240, 230, 214), (190, 148, 108)),
    "a night sky": ((58, 66, 110), (84, 92, 132)),
    "snow": ((206, 218, 234), (240, 244, 248)),
    "a pink wall": ((248, 216, 222), (222, 170, 180)),
    "a grey studio": ((214, 214, 218), (168, 168, 174)),
    "the sea": ((214, 232, 240), (84, 146, 184)),
}
_SIZES = {"small": 0.78, "": 0.92, "large": 1.06}
_SHIFTS = {"hat": 0.05, "flag": 0.07, "antennae": 0.06, "ears": 0.06, "legs": -0.06, "wheels": -0.05}
_POSES = {"leaning left": -0.3, "": 0.0, "leaning right": 0.3}


@dataclass(frozen=True)
class Look:
    """What varies between pictures of one concept.

    Args:
        size (`float`): half width of the body, as a part of the picture's.
        turn (`float`): turned to the right by so many radians.
        place (`tuple`): centre of the body, as a part of the picture's width and height.
        background (`str`): one of the named backgrounds.
        light (`float`): brightness, around 1.
        caption (`str`): the picture in words.
    """

    size: float
    turn: float
    place: tuple[float, float]
    background: str
    light: float
    caption: str


def make_look(concept: Concept, random: np.random.Generator) -> Look:
    """Draw a look of a concept from `random`."""
    size, pose = random.choice(list(_SIZES)), random.choice(list(_POSES))
    background = str(random.choice(list(_BACKGROUNDS)))
    words = " ".join(word for word in ("a", size, concept.phrase) if word)
    return Look(
        size=0.295 * _SIZES[size] * random.uniform(0.95, 1.05),
        turn=_POSES[pose] + random.uniform(-0.1, 0.1),
        place=(0.5 + random.uniform(-0.09, 0.09), 0.51 + _SHIFTS.get(concept.part, 0) + random.uniform(-0.04, 0.04)),
        background=background,
        light=random.uniform(0.88, 1.06),
        caption=f"{words}{', ' + pose if pose else ''}, in front of {background}",
    )


def draw_picture(concept: Concept, look: Look, size: int = 96) -> Image.Image:
    """Draw a concept with a look as an RGB picture of `size` pixels a side, antialiased."""
    canvas = _Canvas(size, look)
    layers = outlines.part(concept.part)
    for shapes, colour, in_front in layers:
        if not in_front:
            canvas.paint(colour, shapes)
    base, ink = _colours(concept)
    canvas.paint(base, *outlines.body(concept.shape), ink=ink, pattern=_PATTERNS.get(concept.texture))
    for shapes, colour, in_front in layers:
        if in_front:
            canvas.paint(colour, shapes)
    return Image.fromarray(np.clip(canvas.pixels * look.light, 0, 255).astype(np.uint8))


class _Canvas:
    """A picture being drawn. Masks are drawn larger and reduced, which gives smooth edges; colours are not."""

    def __init__(self, size: int, look: Look) -> None:
        self._size = size
        self._scale, self._centre = look.size * size, np.array(look.place) * size
        self._cosine, self._sine = float(np.cos(look.turn)), float(np.sin(look.turn))
        across, down = self._body_units(1)
        self._shade = (1.12 - 0.16 * np.clip(np.hypot(across + 0.45, down + 0.5), 0, 2))[..., None]
        self.pixels = self._background(look)

    def paint(
        self,
        colour: tuple[int, int, int],
        shapes: list[np.ndarray],
        holes: list[np.ndarray] | None = None,
        ink: tuple[int, int, int] | None = None,
        pattern: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    ) -> None:
        """Paint `shapes` without `holes`, shaded and with a darker rim; `ink` lies where `pattern` says."""
        surface = np.array(colour, dtype=np.float32)
        rim = max(3, self._size * _OVERSAMPLING // 45)
        self._blend(surface * 0.42, _reduced(self._mask(shapes, holes or [], rim)))
        if pattern is not None and ink is not None:
            inked = Image.fromarray(pattern(*self._body_units(_OVERSAMPLING)))
            surface = surface + (np.array(ink, dtype=np.float32) - surface) * _reduced(inked.convert("L"))
        self._blend(surface, _reduced(self._mask(shapes, holes or [], rim=0)))

    def _blend(self, surface: np.ndarray, coverage: np.ndarray) -> None:
        self.pixels += (np.minimum(surface * self._shade, 255) - self.pixels) * coverage

    def _mask(self, shapes: list[np.ndarray], holes: list[np.ndarray], rim: int) -> Image.Image:
        width = self._size * _OVERSAMPLING
        mask = Image.new("L", (width, width))
        draw = ImageDraw.Draw(mask)
        turn = np.array([[self._cosine, self._sine], [-self._sine, self._cosine]])
        for fill, group in ((255, shapes), (0, holes)):
            for shape in group:
                points = (shape @ turn * self._scale + self._centre) * _OVERSAMPLING
                corners = [(float(x), float(y)) for x, y in points]
                draw.polygon(corners, fill=fill)
                if rim:
                    draw.line([*corners, *corners[:2]], fill=255, width=rim, joint="curve")
        return mask

    def _body_units(self, oversampling: int) -> tuple[np.ndarray, np.ndarray]:
        width = self._size * oversampling
        place = ((np.arange(width, dtype=np.float32) + 0.5) / oversampling)[:, None]
        right, below = (place.T - self._centre[0]) / self._scale, (place - self._centre[1]) / self._scale
        return self._cosine * right + self._sine * below, self._cosine * below - self._sine * right

    def _background(self, look: Look) -> np.ndarray:
        wall, ground = (np.array(colour, dtype=np.float32) for colour in _BACKGROUNDS[look.background])
        height = np.linspace(0, 1, self._size, dtype=np.float32)[:, None, None]
        horizon = 1 / (1 + np.exp(-(height - 0.68) * 90))
        pixels = (wall * (1.04 - 0.1 * height)) * (1 - horizon) + (ground * (1.15 - 0.25 * height)) * horizon
        across, down = self._body_units(1)
        right, below = across * self._cosine - down * self._sine, across * self._sine + down * self._cosine
        straight = np.hypot(right, below * 5 - 6.1)
        shadow = 0.42 / (1 + np.exp((straight - 1.05) * 9))
        return pixels * (1 - shadow[..., None])


def _reduced(mask: Image.Image) -> np.ndarray:
    return np.asarray(mask.reduce(_OVERSAMPLING), dtype=np.float32)[..., None] / 255


def _colours(concept: Concept) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The body's colour and the contrasting one of its texture."""
    base = COLOURS[concept.colour]
    if np.dot(base, (0.3, 0.59, 0.11)) > 165:
        return base, (int(base[0] * 0.42), int(base[1] * 0.42), int(base[2] * 0.42))
    return base, (int(200 + base[0] * 0.2), int(196 + base[1] * 0.2), int(186 + base[2] * 0.2))


_PATTERNS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "striped": lambda x, y: np.mod(x * 0.8 + y * 0.6, 0.5) < 0.2,
    "dotted": lambda x, y: (np.mod(x + 0.25, 0.5) - 0.25) ** 2 + (np.mod(y + 0.25, 0.5) - 0.25) ** 2 < 0.02,
    "checked": lambda x, y: (np.mod(x, 0.7) < 0.35) ^ (np.mod(y, 0.7) < 0.35),
    "ringed": lambda x, y: np.mod(np.hypot(x, y), 0.42) > 0.24,
    "wavy": lambda x, y: np.mod(y + 0.12 * np.sin(x * 8), 0.46) < 0.19,
}


APPEARANCE_SIZE = 12
ATTRIBUTES_SIZE = 24
CODE_SIZE = APPEARANCE_SIZE + ATTRIBUTES_SIZE


def picture_code(picture: Image.Image, concept: Concept) -> np.ndarray:
    """The content of a picture that simulated brains respond to, (36,) of about unit variance. Ours.

    The first 12 numbers are its low-pass appearance: the slowest cosine waves of brightness (6), red against green (3)
    and blue against yellow (3) of a thumbnail of 8 x 8 pixels. The last 24 are its concept's attributes. Both are
    turned by a fixed matrix, so that no number belongs to one wave or one attribute.
    """
    thumbnail = np.asarray(picture.convert("RGB").resize((8, 8), Image.Resampling.BOX), dtype=float) / 255
    appearance = (_waves(thumbnail) - _WAVE_MEANS) / _WAVE_DEVIATIONS
    attributes = concept.one_hot() - _ATTRIBUTE_MEANS
    return np.concatenate([appearance @ _turn(APPEARANCE_SIZE, 12), attributes @ _turn(40, ATTRIBUTES_SIZE) * 3.3])


def _waves(thumbnail: np.ndarray) -> np.ndarray:
    wave = np.cos(np.pi * np.outer(np.arange(3), np.arange(8) + 0.5) / 8)
    red, green, blue = np.moveaxis(thumbnail, 2, 0)
    planes = ((red + green + blue) / 3, red - green, blue - (red + green) / 2)
    spectra = [wave @ plane @ wave.T / 64 for plane in planes]
    slow = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0)]
    return np.array([spectra[plane][place] for plane, count in enumerate((6, 3, 3)) for place in slow[:count]])


def _turn(rows: int, columns: int) -> np.ndarray:
    random = np.random.default_rng(np.random.SeedSequence([rows, columns]))
    return np.linalg.qr(random.standard_normal((max(rows, columns),) * 2))[0][:rows, :columns]


# Means and deviations of the waves over 2,000 pictures, rounded; fixed, so that a code never depends on its company.
_WAVE_MEANS = np.array([0.65, 0, 0.064, 0, 0.04, 0, -0.003, 0, -0.005, 0.008, 0, 0.02])
_WAVE_DEVIATIONS = np.array([0.12, 0.014, 0.041, 0.005, 0.027, 0.025, 0.079, 0.009, 0.024, 0.08, 0.009, 0.038])
_ATTRIBUTE_MEANS = np.concatenate([np.full(count, 1 / count) for count in (14, 9, 11, 6)])
