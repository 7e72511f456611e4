"""Pictures in a terminal: two pixels a character, the upper one its ink and the lower one its paper."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

SIZE = 16
"""Pixels of a side (ours): eight lines, of which five stand side by side in eighty columns, and a face is one."""


def thumbnail(picture: Image.Image, size: int = SIZE) -> Text:
    """A picture as `size / 2` lines of `size` characters; its middle, where it is no square."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    small = picture.convert("RGB").resize((size, size), Image.Resampling.BOX, (left, top, left + side, top + side))
    pixels, text = np.asarray(small), Text()
    for row in range(0, size, 2):
        for column in range(size):
            upper, lower = (_colour(pixels[row + below, column]) for below in (0, 1))
            text.append("\u2580", Style(color=upper, bgcolor=lower))
        text.append("\n" if row + 2 < size else "")
    return text


def side_by_side(pictures: Sequence[tuple[RenderableType, str]]) -> Table:
    """Thumbnails in a row, each with a line below."""
    grid = Table.grid(padding=(0, 1))
    for _ in pictures:
        grid.add_column(width=SIZE, overflow="ellipsis", no_wrap=True)
    grid.add_row(*(Group(picture, Text(caption)) for picture, caption in pictures))
    return grid


def _colour(pixel: NDArray[np.uint8]) -> str:
    return f"#{pixel[0]:02x}{pixel[1]:02x}{pixel[2]:02x}"
