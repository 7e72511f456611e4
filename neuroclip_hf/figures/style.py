"""Colours, sizes and letters of every figure, and how one becomes a PNG.

Figures are drawn with matplotlib's own objects and never through `pyplot`, so that drawing one neither opens a window
nor changes the backend or the style of the program that asked for it. Whatever style that program or its matplotlibrc
chose does not show in ours: the same input gives the same bytes.
"""

import functools
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

INK = "#1f2328"
FAINT_INK = "#57606a"
LINE = "#d0d7de"
EMPTY = "#f3f5f7"
RIGHT = "#1a7f37"

# Of Okabe and Ito (2008), whose colours people of every colour vision tell apart; lightness tells them apart in grey.
TOP1 = "#0072b2"
TOP5 = "#56b4e9"
OTHER = "#d55e00"
SEQUENTIAL = "cividis"
DIVERGING = "RdBu_r"

WIDTH = 4.8
"""Inches (ours). On a telephone's 390 px a letter of 10 points then still is ten pixels high."""
DOTS_PER_INCH = 160
SHORT, LONG = 24, 44
"""Letters of a name beside a figure, and below one."""

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.edgecolor": FAINT_INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "xtick.color": FAINT_INK,
    "ytick.color": FAINT_INK,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "text.parse_math": False,  # names come from files
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.7,
    "figure.facecolor": "white",
    "image.interpolation": "nearest",
    "savefig.facecolor": "white",
}

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


@contextmanager
def our_style() -> Iterator[None]:
    """Inside, matplotlib draws in the style of this package, whatever was set before; afterwards that is back."""
    with matplotlib.rc_context():
        matplotlib.style.use(["default", _STYLE])
        yield


def styled(draw: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Make a function that draws a figure draw it in [`our_style`]."""

    @functools.wraps(draw)
    def drawn(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        with our_style():
            return draw(*args, **kwargs)

    return drawn


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty white figure, of a size in inches, that makes room for its labels."""
    figure = Figure(figsize=(width, height), facecolor="white", layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)  # type: ignore[union-attr,call-arg]
    FigureCanvasAgg(figure)
    return figure


def to_png(figure: Figure, dots_per_inch: int = DOTS_PER_INCH, *, photographs: bool = False) -> bytes:
    """The bytes of a PNG of a figure.

    Args:
        figure (`Figure`): in our style.
        dots_per_inch (`int`): its fineness.
        photographs (`bool`): whether it holds pictures, or shades as smooth as theirs; any other figure is content
            with 256 colours, which take a third of the bytes.
    """
    drawn, target = io.BytesIO(), io.BytesIO()
    with our_style():
        figure.savefig(drawn, format="png", dpi=dots_per_inch, metadata={"Software": None})
    with Image.open(drawn) as picture:
        # Written by Pillow, which names neither itself nor the day: the same figure gives the same bytes.
        colours = picture.convert("RGB")
        if not photographs:
            # The default looks after frequent colours: of a colour bar the rare end would be a few blocks.
            colours = colours.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        colours.save(target, format="PNG", optimize=True)
    return target.getvalue()


def in_percent(axis: Axis) -> None:
    """Write an axis of fractions in percent."""
    axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g}"))


def grid(axes: Axes, axis: str = "y") -> None:
    """Faint lines behind what is drawn."""
    axes.grid(visible=True, axis=axis)  # type: ignore[arg-type]
    axes.tick_params(length=0)


def no_ticks(axes: Axes) -> None:
    """Axes that hold a picture: no ticks, a thin frame."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor=LINE, linewidth=0.8)


def shortened(text: str, length: int) -> str:
    """`text` on one line, of at most `length` letters."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def wrapped(text: str, length: int, most: int = 3) -> str:
    """`text` on up to so many lines of so many letters, parted behind spaces and marks where that can be."""
    lines = [""]
    for piece in re.findall(r"[^\s_:/,=-]*[\s_:/,=-]+|[^\s_:/,=-]+$", " ".join(text.split())):
        if len(lines[-1]) + len(piece.rstrip()) > length and lines[-1]:
            lines.append("")
        whole = lines.pop() + piece
        lines += [whole[start : start + length] for start in range(0, len(whole), length)]
    kept = [line.strip() for line in lines if line.strip()]
    if len(kept) > most:
        kept = [*kept[: most - 1], shortened(kept[most - 1] + " " + kept[most], length)]
    return "\n".join(kept)
