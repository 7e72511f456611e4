"""Numbers of report files -> scores, with words for their error bars."""

import math
from collections.abc import Sequence
from typing import Any

from neuroclip_hf.figures.bars import Difference
from neuroclip_hf.figures.repeats import RepeatPoint
from neuroclip_hf.figures.scores import Accuracies, Score
from neuroclip_hf.figures.segments import Segment

_NORMAL = 1.959963984540054  # 97.5 % of a normal distribution lie below
SLIDING, GROWING = "sliding", "growing"


def number(value: Any) -> float:
    """A finite number.

    Raises:
        ValueError, TypeError: for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    if not math.isfinite(value):
        raise ValueError(f"{value!r} is not finite")
    return float(value)


def score(value: Any, interval: Any = None) -> Score:
    """A number, or `{"mean", "std", "interval"}`: the interval comes before the standard deviation over seeds.

    Args:
        value: what the file says.
        interval: `{"low", "high", "level", "over"}` where it stands elsewhere in the file.
    """
    if isinstance(value, dict):
        interval = interval or value.get("interval")
        mean, deviation = number(value["mean"]), value.get("std")
    else:
        mean, deviation = number(value), None
    if interval:
        level, what = interval.get("level", 0.95), interval.get("over")
        words = f"{100 * number(level):g} % interval" + (f" over {what}" if what else "")
        return Score(mean, number(interval["low"]), number(interval["high"]), words)
    if deviation is not None:
        spread = number(deviation)
        return Score(mean, mean - spread, mean + spread, "one standard deviation over seeds", spread)
    return Score(mean)


def accuracies(label: str, entry: dict[str, Any]) -> Accuracies:
    """`top1` and, where there is one, `top5` of an entry."""
    top5 = entry.get("top5")
    return Accuracies(label, score(entry["top1"]), None if top5 is None else score(top5))


def repeat_points(entries: Sequence[dict[str, Any]]) -> list[RepeatPoint]:
    """Points of a repeats curve; a plain number with its queries gets Wilson's interval (1927)."""
    return [
        RepeatPoint(
            int(number(entry["repeats"])),
            _with_queries(entry["top1"], entry.get("num_queries")),
            None if entry.get("top5") is None else _with_queries(entry["top5"], entry.get("num_queries")),
        )
        for entry in entries
    ]


def _with_queries(value: Any, queries: Any) -> Score:
    if isinstance(value, dict) or not queries:
        return score(value)
    mean, count = number(value), number(queries)
    middle = (mean + _NORMAL**2 / (2 * count)) / (1 + _NORMAL**2 / count)
    half = _NORMAL / (1 + _NORMAL**2 / count) * math.sqrt(mean * (1 - mean) / count + _NORMAL**2 / (4 * count**2))
    words = "Wilson's 95 % interval, as if queries were independent"
    return Score(mean, max(0.0, middle - half), min(1.0, middle + half), words)


def difference(row: dict[str, Any], name: str = "difference") -> Difference | None:
    """How a row of an ablation differs from the first; None where it is the first.

    Args:
        row (`dict`): of the report.
        name (`str`): of the entry, "difference" (of top-1) or "log_loss_difference".
    """
    found = row.get(name)
    if not found:
        return None
    return Difference(str(row["name"]), score(found["difference"], found), number(found["p"]))


def segment(row: dict[str, Any]) -> tuple[str, Segment] | None:
    """The stretch of time that a row of an ablation over segments is of, and its scores.

    Args:
        row (`dict`): its name begins with "sliding" or "growing", and `overrides` has the `window` in seconds.

    Returns:
        "sliding" or "growing", and the segment; None for the recipe itself, whose overrides are empty.
    """
    if not row["overrides"]:
        return None
    start, stop = map(number, row["overrides"]["window"])
    kind, *_ = str(row["name"]).split()
    if kind not in (SLIDING, GROWING):
        raise ValueError(f"{row['name']!r} is neither {SLIDING} nor {GROWING}")
    scores = accuracies(str(row["name"]), row)
    return kind, Segment(start, stop, scores.top1, scores.top5)


def notation(scores: Sequence[Score | None]) -> str:
    """What stands in brackets and behind ± in a table of these scores, as sentences; empty where neither does."""
    known = [one for one in scores if one is not None and one.has_error]
    intervals = sorted({one.spread for one in known if one.deviation is None})
    deviations = sorted({one.spread for one in known if one.deviation is not None})
    words = [
        f"In brackets: {'; '.join(intervals)}." if intervals else "",
        f"±: {'; '.join(deviations)}." if deviations else "",
    ]
    return " ".join(word for word in words if word)


def p_value(value: Any) -> str:
    """A p with three digits; what would be 0.000 is "< 0.001"."""
    p = number(value)
    return f"{p:.3f}" if p >= 0.0005 else "< 0.001"


def spreads(scores: Sequence[Score | None]) -> str:
    """What the error bars of a figure are, as the end of a sentence; empty where there are none."""
    words = sorted({one.spread for one in scores if one is not None and one.spread})
    return f"Error bars: {'; '.join(words)}." if words else ""
