"""Tables of numbers as pictures: what is taken for what, and what scores how high."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from neuroclip_hf.errors import InputError
from neuroclip_hf.figures.ranking import Confusion, SortedScores
from neuroclip_hf.figures.style import INK, SEQUENTIAL, SHORT, new_figure, shortened, styled

MAX_FAMILIES = 30
_NAME_SIZE, _LEAST_SIZE = 9.0, 5.5  # points
_ROOM = 26  # names of that size that have room beside each other under a matrix
_WITH_NUMBERS = 14  # more families leave no room for numbers in their cells


@styled
def confusion_matrix(confusion: Confusion, kind: str) -> Figure:
    """For each family shown, which families the first picture was of; below, what a random ranking gives.

    Args:
        confusion (`Confusion`): counts.
        kind (`str`): what a family is: "colour", "concept".

    Raises:
        InputError: if there are more families than can be read.
    """
    size = len(confusion.families)
    if size > MAX_FAMILIES:
        raise InputError(f"{size} families do not fit a figure: sort the concepts into at most {MAX_FAMILIES}.")
    shown = confusion.counts.sum(axis=1)
    parts = confusion.counts / np.maximum(shown, 1)[:, None]
    chance = (confusion.gallery / confusion.gallery.sum())[None]
    figure = new_figure(2.2 + 0.27 * size)
    upper, lower = figure.subplots(2, 1, height_ratios=[size, 1.0])
    limit = float(max(parts.max(), chance.max()))
    image = upper.imshow(parts, cmap=SEQUENTIAL, vmin=0, vmax=limit, aspect="auto")
    lower.imshow(chance, cmap=SEQUENTIAL, vmin=0, vmax=limit, aspect="auto")
    names = [shortened(name, SHORT) for name in confusion.families]
    upper.set_yticks(range(size), [f"{name} ({count})" for name, count in zip(names, shown, strict=True)])
    upper.set(xticks=[], ylabel=f"{kind} shown (queries)")
    lower.set_yticks([0], ["random"])
    lower.set_xticks(range(size), names, rotation=90)
    lower.set_xlabel(f"{kind} of the picture found first")
    for axes, values in ((upper, parts), (lower, chance)):
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        if size <= _WITH_NUMBERS:
            _write_numbers(axes, values, limit)
    bar = figure.colorbar(image, ax=[upper, lower], location="top", aspect=40, label="part of the queries (%)")
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g}"))
    return figure


def _write_numbers(axes: Axes, values: np.ndarray, limit: float) -> None:
    for (row, column), value in np.ndenumerate(values):
        if value < 0.005:  # a table full of zeros hides the rest
            continue
        color = "white" if value < 0.55 * limit else INK
        axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=8, color=color)


@styled
def similarity_matrix(scores: SortedScores, groups: Sequence[str] | None = None) -> Figure:
    """Mean cosines of what was shown (rows) with the gallery (columns), both sorted by concept.

    A model that finds everything has its highest values on the diagonal.

    Args:
        scores (`SortedScores`): the matrix.
        groups (sequence of `str`, *optional*): family of each column; lines part them and names stand beside.
    """
    figure = new_figure(5.3)
    axes = figure.subplots()
    low, high = np.nanpercentile(scores.scores, [0.5, 99.5])  # a single outlier would hide the rest
    height, width = scores.scores.shape
    image = axes.imshow(scores.scores, cmap=SEQUENTIAL, vmin=low, vmax=high, aspect=width / height)
    axes.set(xticks=[], yticks=[], xlabel=f"gallery ({width} pictures)", ylabel=f"shown ({height}, sorted alike)")
    axes.spines[:].set_visible(False)
    if groups is not None:
        _write_groups(axes, scores, groups)
    bar = figure.colorbar(image, ax=axes, location="bottom", shrink=0.8, aspect=30, label="mean cosine", extend="both")
    bar.ax.tick_params(labelsize=9)
    bar.locator = MaxNLocator(nbins=5)  # more labels of small cosines, as in -0.075, would touch each other
    bar.update_ticks()
    return figure


def _write_groups(axes: Axes, scores: SortedScores, groups: Sequence[str]) -> None:
    starts = [place for place, name in enumerate(groups) if place == 0 or groups[place - 1] != name]
    middles = [(start + end - 1) / 2 for start, end in zip(starts, [*starts[1:], len(groups)], strict=True)]
    nearest = min(np.diff(middles), default=len(groups))
    size = _NAME_SIZE * min(1.0, nearest * _ROOM / len(groups))
    names = [shortened(groups[start], SHORT) for start in starts]
    axes.set_xticks(middles, names, rotation=90, fontsize=max(_LEAST_SIZE, size))
    axes.tick_params(length=0)
    for start in starts[1:]:
        axes.axvline(start - 0.5, color="white", linewidth=0.6)
