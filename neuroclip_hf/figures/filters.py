"""What the dynamic filters do to pictures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image

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
def filter_figure(
    filtered: "Sequence[Filtered]", labels: Sequence[str], *, tiles: Sequence[Image.Image] | None = None
) -> Figure:
    """A row a picture: before, after, the difference (multiplied, grey is none), and the filter.

    Args:
        filtered (sequence of `Filtered`): from [`neuroclip_hf.figures.inspection.pictures.filter_pictures`].
        labels (sequence of `str`): what each shows.
        tiles (sequence of pictures, *optional*): stand in the place of pictures that may not be shown, whose filters
            are then all that is drawn of them.

    Raises:
        InputError: if there are none.
    """
    if not filtered:
        raise InputError("A figure of no filtered pictures: give one at least.")
    factor = amplification(filtered)
    spectral = filtered[0].spectral
    names = ["before", "after", f"difference x{factor}"] if tiles is None else [""]
    names.append("gain" if spectral else "kernel")
    figure = new_figure(0.95 + (_PICTURE + 0.28) * len(filtered))
    axes = figure.subplots(len(filtered), len(names), squeeze=False)
    responses = np.stack([one.response for one in filtered])
    for row, (one, label) in enumerate(zip(filtered, labels, strict=True)):
        if tiles is None:
            images = [
                np.clip(image, 0, 1) for image in (one.before, one.after, 0.5 + factor * (one.after - one.before))
            ]
        else:
            images = [np.asarray(tiles[row])]
        for here, image in zip(axes[row], images, strict=False):
            here.imshow(image)
        last = _draw_response(axes[row, -1], one, responses)
        axes[row, 0].set_title(shortened(label, LONG), **_LABEL)
    for here in axes.flat:
        no_ticks(here)
    for here, name in zip(axes[-1], names, strict=True):
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
