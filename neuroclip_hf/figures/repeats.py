"""Accuracy against the number of trials that are averaged into a query."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from neuroclip_hf.errors import InputError
from neuroclip_hf.figures.scores import Score
from neuroclip_hf.figures.style import FAINT_INK, INK, TOP1, TOP5, grid, in_percent, new_figure, styled


@dataclass(frozen=True)
class RepeatPoint:
    """What averaging so many trials gives.

    Args:
        repeats (`int`): trials averaged into a query.
        top1 (`Score`): accuracy.
        top5 (`Score` or None): where known.
    """

    repeats: int
    top1: Score
    top5: Score | None = None


@styled
def repeats_curve(points: Sequence[RepeatPoint], chance: float, chance_top5: float | None = None) -> Figure:
    """Top-1 and top-5 against averaged repeats, on a logarithmic axis, with intervals and chance.

    Args:
        points (sequence of `RepeatPoint`): in any order.
        chance (`float`): top-1 of a random ranking.
        chance_top5 (`float` or None): its top-5.

    Raises:
        InputError: if there are none, or a number of repeats is below one.
    """
    if not points or min(point.repeats for point in points) < 1:
        raise InputError(f"A curve over {[point.repeats for point in points]} repeats: give numbers of 1 and more.")
    points = sorted(points, key=lambda point: point.repeats)
    figure = new_figure(3.6)
    axes = figure.subplots()
    curves: list[tuple[str, list[tuple[int, Score]], str, str]] = [
        ("top-1", [(point.repeats, point.top1) for point in points], TOP1, "o-"),
        ("top-5", [(point.repeats, point.top5) for point in points if point.top5], TOP5, "s-"),
    ]
    for name, curve, color, line in curves:
        if not curve:
            continue
        x, scores = [repeats for repeats, _ in curve], [score for _, score in curve]
        means = [score.mean for score in scores]
        # Unclipped: of a marker at 0 half would lie below the axes.
        axes.plot(x, means, line, color=color, label=name, markersize=5.5, linewidth=1.8, clip_on=False)
        if all(score.has_error for score in scores):
            low, high = ([getattr(score, end) for score in scores] for end in ("low", "high"))
            axes.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
    axes.axhline(chance, color=INK, linestyle="--", linewidth=1.1, label="chance, top-1")
    if chance_top5 is not None and curves[1][1]:
        axes.axhline(chance_top5, color=FAINT_INK, linestyle=":", linewidth=1.3, label="chance, top-5")
    axes.set(xscale="log", xlabel="trials averaged into a query", ylabel="right picture found (%)")
    numbers = [point.repeats for point in points]
    axes.set_xticks(numbers, [str(number) for number in numbers])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=0)
    in_percent(axes.yaxis)
    grid(axes)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
