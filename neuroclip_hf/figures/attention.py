"""Where a prompted tower looks in pictures."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from neuroclip_hf.errors import InputError
from neuroclip_hf.figures.style import FAINT_INK, new_figure, no_ticks, styled

if TYPE_CHECKING:
    from neuroclip_hf.figures.inspection.pictures import Looked

_PICTURE = 1.05  # inches
_NAMES = {"fusion": "CATF", "prompts": "prompts", "prefix": "class token"}
_COLORS = "magma"
_TITLE: dict[str, Any] = {"fontsize": 9, "fontweight": "normal", "loc": "center"}


@styled
def attention_figure(
    looked: "Sequence[Looked]", labels: Sequence[str], *, tiles: Sequence[Image.Image] | None = None
) -> Figure:
    """A row a picture: the picture, then the attention of CATF, of the prompts and of the class token over it.

    Each map has its own scale, from its least to its most attended patch, which its title names as multiples of what
    even attention would give a patch.

    Args:
        looked (sequence of `Looked`): from [`neuroclip_hf.figures.inspection.pictures.look_at_pictures`].
        labels (sequence of `str`): what each shows.
        tiles (sequence of pictures, *optional*): stand in the place of pictures that may not be shown, which then do
            not show through the maps either.

    Raises:
        InputError: if there are none, or the tower has none of the three.
    """
    kinds = [name for name in _NAMES if looked and getattr(looked[0], name) is not None]
    if not kinds:
        raise InputError("A figure of no attention: give a picture at least, and a tower that has tokens to look.")
    figure = new_figure(0.4 + (_PICTURE + 0.4) * len(looked))
    axes = figure.subplots(len(looked), 1 + len(kinds), squeeze=False)
    for row, (one, label) in enumerate(zip(looked, labels, strict=True)):
        axes[row, 0].imshow(one.picture if tiles is None else tiles[row])
        for here, kind in zip(axes[row][1:], kinds, strict=True):
            weights = getattr(one, kind)
            _draw_map(here, one.picture if tiles is None else None, weights)
            spread = f"{weights.min() / weights.mean():.1f} to {weights.max() / weights.mean():.1f}"
            here.set_title(f"{_NAMES[kind]}\n{spread}" if row == 0 else spread, **_TITLE)
        words = textwrap.fill(label, 15, max_lines=2, placeholder="…")  # of a column's width
        axes[row, 0].set_title(words, fontsize=8.5, fontweight="normal", color=FAINT_INK)
    for here in axes.flat:
        no_ticks(here)
    return figure


def _draw_map(axes: Axes, picture: NDArray[np.floating] | None, weights: NDArray[np.floating]) -> None:
    """The map in the picture's place, over its grey copy where there is one."""
    height, width = weights.shape if picture is None else picture.shape[:2]
    place = (-0.5, width - 0.5, height - 0.5, -0.5)
    if picture is not None:
        axes.imshow(picture.mean(axis=2), cmap="gray", vmin=0, vmax=1)
    axes.imshow(weights, cmap=_COLORS, extent=place, alpha=1.0 if picture is None else 0.65, interpolation="nearest")
