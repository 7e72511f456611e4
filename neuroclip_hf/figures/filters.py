"""What the dynamic filters do to pictures."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from neuroclip_hf.errors import InputError
from neuroclip_hf.figures.style import FAINT_INK, LONG, SEQUENTIAL, new_figure, no_ticks, shortened, styled

if TYPE_CHECKING:
    from neuroclip_hf.figures.inspection.pictures import Filtered

_PICTURE = 1.05  # inches
_TICKS = (0.0001, 0.001, 0.01, 0.1, 1)
_LABEL: dict[str, Any] = {"fontsize": 8.5, "fontweight": "normal", "color": FAINT_INK}
_LEAST_TAP = _TICKS[0]  # what is below is drawn as this: a logarithmic scale needs an end


def amplification(filtered: "Sequence[Filtered]") -> int:
    """By what power of two the differences can be multiplied so that the largest fills the scale."""
    largest = max(float(np.abs(one.after - one.before).max()) for one in filtered)
    return 1 if largest <= 0 else 2 ** max(0, min(10, int(np.floor(np.log2(0.5 / largest)))))


@styled
def filter_figure(filtered: "Sequence[Filtered]", labels: Sequence[str], *, pictures: bool = True) -> Figure:
    """A row a picture: before, after, the difference (multiplied, grey is none), and the filter.

    Args:
        filtered (sequence of `Filtered`): from [`neuroclip_hf.figures.inspection.pictures.filter_pictures`].
        labels (sequence of `str`): what each shows.
        pictures (`bool`): draw the pictures; without them the filters alone.

    Raises:
        InputError: if there are none.
    """
    if not filtered:
        raise InputError("A figure of no filtered pictures: give one at least.")
    factor = amplification(filtered)
    spectral = filtered[0].spectral
    names = ["before", "after", f"difference x{factor}"] if pictures else []
    names.append("gain" if spectral else "kernel")
    # Filters alone stand side by side.
    shape = (len(filtered), len(names)) if pictures else (1, len(filtered))
    figure = new_figure(0.95 + (_PICTURE + 0.28) * shape[0])
    axes = figure.subplots(*shape, squeeze=False)
    responses = np.stack([one.response for one in filtered])
    for row, (one, label) in enumerate(zip(filtered, labels, strict=True)):
        places = axes[row] if pictures else axes[0, row : row + 1]
        images = [one.before, one.after, 0.5 + factor * (one.after - one.before)] if pictures else []
        for here, image in zip(places, images, strict=False):
            here.imshow(np.clip(image, 0, 1))
        last = _draw_response(places[-1], one, responses)
        words = shortened(label, LONG) if pictures else textwrap.fill(label, 15, max_lines=2, placeholder="…")
        places[0].set_title(words, **_LABEL)
    for here in axes.flat:
        no_ticks(here)
    for here, name in zip(axes[-1], names if pictures else names * len(filtered), strict=True):
        here.set_xlabel(name, fontsize=9)
    label = "gain (mean of colours)" if spectral else "share of a tap (mean of colours)"
    bar = figure.colorbar(last, ax=list(axes.flat), location="bottom", shrink=0.7, aspect=30, label=label)
    if not spectral:
        bar.set_ticks(_TICKS, labels=[f"{tick:g}" for tick in _TICKS])
        bar.minorticks_off()
    return figure


def _draw_response(axes: Axes, one: "Filtered", responses: np.ndarray) -> AxesImage:
    if one.spectral:
        spread = max(1e-6, float(np.abs(responses - 1).max()))
        return axes.imshow(one.response, cmap="RdBu_r", vmin=1 - spread, vmax=1 + spread)
    scale = LogNorm(_LEAST_TAP, 1.0)
    return axes.imshow(np.maximum(one.response, _LEAST_TAP), cmap=SEQUENTIAL, norm=scale)
