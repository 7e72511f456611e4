"""Pictures for figures: each itself where it may be shown, and else a tile with its id and its concept."""

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from neuroclip_hf.figures.style import EMPTY, FAINT_INK, INK

if TYPE_CHECKING:
    from neuroclip_hf.data.store import TrialStore

_SIDE = 312
"""Pixels of a tile (ours): twice what a sheet gives a picture, so that letters stay sharp."""
_LETTERS, _LINES = 18, 5


@dataclass(frozen=True)
class ShownPictures:
    """The only way by which a figure of results comes to a picture of a store.

    Args:
        store (`TrialStore`, *optional*): whose pictures; without it there are tiles alone.
        shown (`bool`): whether they may be seen where the figure goes.
    """

    store: "TrialStore | None" = None
    shown: bool = False

    @property
    def are_shown(self) -> bool:
        """Whether figures hold pictures, rather than tiles."""
        return self.shown and self.store is not None

    def open(self, image_id: str, concept: str) -> Image.Image:
        """The picture, or a tile in its place."""
        if self.store is not None and self.shown:
            return self.store.open_picture(image_id)
        return tile(image_id, concept)


def tile(image_id: str, concept: str) -> Image.Image:
    """A square that says which picture would stand here: its concept, and the last part of its id."""
    picture = Image.new("RGB", (_SIDE, _SIDE), EMPTY)
    draw = ImageDraw.Draw(picture)
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for words, name, ink, height in (
        (concept, "DejaVuSans-Bold.ttf", INK, 0.28),
        (Path(image_id).name, "DejaVuSans.ttf", FAINT_INK, 0.7),
    ):
        lines = textwrap.wrap(words, _LETTERS, max_lines=_LINES, placeholder=" …")
        place = (_SIDE / 2, _SIDE * height)
        font = ImageFont.truetype(fonts / name, 26)
        draw.multiline_text(place, "\n".join(lines), ink, font, anchor="mm", align="center")
    return picture
