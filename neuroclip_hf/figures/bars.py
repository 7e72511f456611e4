"""Bars of accuracies, of methods, encoders or parts, and of paired differences."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from neuroclip_hf.errors import InputError
from neuroclip_hf.figures.scores import LOG_LOSS, Accuracies, Score
from neuroclip_hf.figures.style import (
    FAINT_INK,
    INK,
    SHORT,
    TOP1,
    TOP5,
    grid,
    in_percent,
    new_figure,
    styled,
    wrapped,
)

_THICKNESS = 0.38
_ROW, _DIFFERENCE = 0.44, 0.34  # inches
_LINE = 0.17  # inches of a line of a label
_FRAME = 0.72  # inches of title and axis of a panel
_LEGEND = 0.75
_ERROR = {"ecolor": INK, "elinewidth": 1.1, "capsize": 2.5}


@dataclass(frozen=True)
class Panel:
    """Bars that may be compared with each other: one setting, one gallery.

    Args:
        title (`str`): the setting.
        rows (sequence of `Accuracies`): from top to bottom.
        chance (`float`): top-1 of a random ranking.
        chance_top5 (`float` or None): its top-5.
    """

    title: str
    rows: Sequence[Accuracies]
    chance: float
    chance_top5: float | None = None


@styled
def accuracy_bars(panels: Sequence[Panel]) -> Figure:
    """Top-1 and top-5 of methods, a panel a setting, with error bars and chance.

    Args:
        panels (sequence of `Panel`): one above the other; those without rows are left out.

    Raises:
        InputError: if there is nothing to draw.
    """
    panels = [panel for panel in panels if panel.rows]
    if not panels:
        raise InputError("Bars of no methods: give a panel with a row at least.")
    row_height = _row_height(_ROW, [row.label for panel in panels for row in panel.rows])
    heights = [_FRAME + row_height * len(panel.rows) for panel in panels]
    figure = new_figure(sum(heights) + _LEGEND)
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=[len(panel.rows) for panel in panels])[:, 0]
    for here, panel in zip(axes, panels, strict=True):
        _draw_panel(here, panel)
    axes[-1].set_xlabel("queries whose picture was found (%)")
    keys: list[tuple[Artist, str]] = [
        (Patch(facecolor=TOP1), "top-1"),
        (Line2D([], [], color=INK, linestyle="--"), "chance, top-1"),
    ]
    if any(row.top5 for panel in panels for row in panel.rows):
        keys.insert(1, (Patch(facecolor=TOP5, hatch="////", edgecolor="white"), "top-5"))
        keys.append((Line2D([], [], color=FAINT_INK, linestyle=":"), "chance, top-5"))
    figure.legend([key for key, _ in keys], [name for _, name in keys], loc="outside lower center", ncols=2)
    return figure


def _row_height(least: float, labels: Sequence[str]) -> float:
    """Inches of a row, so that no label meets the next one."""
    return max(least, _LINE * (0.5 + max(len(wrapped(label, SHORT).splitlines()) for label in labels)))


def _draw_panel(axes: Axes, panel: Panel) -> None:
    highest = max([panel.chance, *(score.top for row in panel.rows for score in (row.top1, row.top5) if score)])
    for place, row in enumerate(panel.rows):
        offset = _THICKNESS / 2 if row.top5 else 0.0
        _draw_bar(axes, place - offset, row.top1, TOP1, "", highest)
        if row.top5:
            _draw_bar(axes, place + offset, row.top5, TOP5, "////", highest)
    axes.axvline(panel.chance, color=INK, linestyle="--", linewidth=1.1)
    if panel.chance_top5 is not None and any(row.top5 for row in panel.rows):
        axes.axvline(panel.chance_top5, color=FAINT_INK, linestyle=":", linewidth=1.3)
    names = [wrapped(row.label, SHORT) for row in panel.rows]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, 1.17 * highest if highest else 1)
    axes.set_title(panel.title)
    in_percent(axes.xaxis)
    grid(axes, "x")


def _draw_bar(axes: Axes, place: float, score: Score, color: str, hatch: str, highest: float) -> None:
    error = [[length] for length in score.error] if score.has_error else None
    axes.barh(
        place,
        score.mean,
        _THICKNESS,
        color=color,
        hatch=hatch,
        edgecolor="white",
        linewidth=0,
        xerr=error,
        error_kw=_ERROR,
    )
    number = axes.text(
        score.top + 0.015 * highest, place, f"{100 * score.mean:.1f}", va="center", fontsize=9, color=INK
    )
    number.set_path_effects([withStroke(linewidth=2.5, foreground="white")])  # a line of chance may pass behind it


@dataclass(frozen=True)
class Difference:
    """How one model differs from another on the same queries.

    Args:
        label (`str`): what was changed.
        score (`Score`): difference of the accuracies, from -1 to 1, or of log-losses, with its interval.
        p (`float` or None): of the paired comparison.
    """

    label: str
    score: Score
    p: float | None = None


@styled
def difference_plot(differences: Sequence[Difference], reference: str, measure: str = "top-1") -> Figure:
    """Paired differences from a reference, with intervals; filled where the interval leaves zero out.

    Args:
        differences (sequence of `Difference`): from top to bottom.
        reference (`str`): what they are differences from.
        measure (`str`): what differs: an accuracy, or "log-loss".

    Raises:
        InputError: if there are none.
    """
    if not differences:
        raise InputError("A plot of no differences: compare a model with another one at least.")
    names = [wrapped(difference.label, SHORT) for difference in differences]
    title = wrapped(f"Against {reference}", SHORT)
    rows = len(differences) * _row_height(_DIFFERENCE, [difference.label for difference in differences])
    figure = new_figure(0.8 + _LINE * len(title.splitlines()) + rows)
    axes = figure.subplots()
    for place, difference in enumerate(differences):
        score = difference.score
        clear = score.low is not None and score.high is not None and (score.low > 0 or score.high < 0)
        axes.errorbar(
            score.mean,
            place,
            xerr=[[length] for length in score.error] if score.has_error else None,
            fmt="o",
            color=TOP1,
            markerfacecolor=TOP1 if clear else "white",
            markersize=7,
            elinewidth=1.6,
            capsize=3,
        )
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(range(len(differences)), names)
    axes.set_ylim(len(differences) - 0.5, -0.5)
    is_accuracy = measure != LOG_LOSS
    axes.set_xlabel(f"difference in {measure} ({'percentage points' if is_accuracy else 'lower is better'})")
    axes.set_title(title)
    if is_accuracy:
        in_percent(axes.xaxis)
    grid(axes, "x")
    return figure
