"""Accuracy by the stretch of the epoch that a model was given."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuroclip_hf.errors import InputError
from neuroclip_hf.figures.scores import Score
from neuroclip_hf.figures.style import FAINT_INK, INK, TOP1, TOP5, grid, in_percent, new_figure, styled


@dataclass(frozen=True)
class Segment:
    """A model that saw one stretch of time.

    Args:
        start, stop (`float`): seconds from the onset of the picture.
        top1 (`Score`): its accuracy.
        top5 (`Score` or None): where known.
    """

    start: float
    stop: float
    top1: Score
    top5: Score | None = None


@styled
def segment_curves(
    sliding: Sequence[Segment],
    growing: Sequence[Segment],
    chance: float,
    chance_top5: float | None = None,
) -> Figure:
    """Top-1 and top-5 against the middle of a sliding window, and against the end of a growing one.

    Args:
        sliding (sequence of `Segment`): windows of one length.
        growing (sequence of `Segment`): windows from one start.
        chance (`float`): top-1 of a random ranking.
        chance_top5 (`float` or None): its top-5.

    Raises:
        InputError: if both are empty.
    """
    parts = [
        ("Sliding windows", "middle of the window (s from the onset)", sliding, True),
        ("Growing windows", "end of the window (s from the onset)", growing, False),
    ]
    parts = [part for part in parts if part[2]]
    if not parts:
        raise InputError("Curves of no segments: give a sliding or a growing window at least.")
    figure = new_figure(0.5 + 2.5 * len(parts))
    axes = figure.subplots(len(parts), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    for here, (title, label, segments, slides) in zip(axes, parts, strict=True):
        ordered = sorted(segments, key=lambda segment: (segment.stop, segment.start))
        _draw_curve(here, ordered, slides, [segment.top1 for segment in ordered], TOP1, "o-", "top-1")
        with_top5 = [segment for segment in ordered if segment.top5]
        if with_top5:
            scores = [segment.top5 for segment in with_top5 if segment.top5]
            _draw_curve(here, with_top5, slides, scores, TOP5, "s-", "top-5")
        here.axhline(chance, color=INK, linestyle="--", linewidth=1.1, label="chance, top-1")
        if with_top5 and chance_top5 is not None:
            here.axhline(chance_top5, color=FAINT_INK, linestyle=":", linewidth=1.3, label="chance, top-5")
        here.set(title=title, xlabel=label, ylabel="found (%)")
        here.tick_params(labelbottom=True)
        in_percent(here.yaxis)
        grid(here)
    axes[0].set_ylim(bottom=0)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _draw_curve(
    axes: Axes,
    segments: Sequence[Segment],
    slides: bool,
    scores: Sequence[Score],
    color: str,
    line: str,
    label: str,
) -> None:
    x = [(one.start + one.stop) / 2 if slides else one.stop for one in segments]
    means = [score.mean for score in scores]
    # Unclipped: of a marker at 0 half would lie below the axes.
    axes.plot(x, means, line, color=color, label=label, markersize=5, linewidth=1.6, clip_on=False)
    if all(score.has_error for score in scores):
        low, high = ([getattr(score, end) for score in scores] for end in ("low", "high"))
        axes.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
