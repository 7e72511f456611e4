"""A measure with what is known of its spread."""

from dataclasses import dataclass

NO_BREAK = "\N{NO-BREAK SPACE}"
LOG_LOSS = "log-loss"
"""As readers see it: the one measure that is no fraction, never shown in percent, and lower is better."""


@dataclass(frozen=True)
class Score:
    """An accuracy in [0, 1], a log-loss or a difference, and the ends of its error bar where it has one.

    Args:
        mean (`float`): the measure.
        low, high (`float` or None): its ends.
        spread (`str`): what the error bar is, in words: "95 % interval over queries".
        deviation (`float` or None): the standard deviation that the error bar is; None where it is an interval.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    spread: str = ""
    deviation: float | None = None

    @property
    def has_error(self) -> bool:
        """Whether an error bar can be drawn."""
        return self.low is not None and self.high is not None

    @property
    def top(self) -> float:
        """The highest point of what is drawn."""
        return self.mean if self.high is None else max(self.mean, self.high)

    @property
    def error(self) -> tuple[float, float]:
        """Lengths of the error bar below and above the mean; zeros where there is none."""
        if self.low is None or self.high is None:
            return 0.0, 0.0
        return max(0.0, self.mean - self.low), max(0.0, self.high - self.mean)

    def __str__(self) -> str:
        """An interval stands in brackets, a standard deviation behind ±; the words keep together on one line."""
        if self.deviation is not None:
            return f"{self.mean:.3f} ± {self.deviation:.3f}".replace(" ", NO_BREAK)
        if self.low is None or self.high is None:
            return f"{self.mean:.3f}"
        return f"{self.mean:.3f} " + f"({self.low:.3f} to {self.high:.3f})".replace(" ", NO_BREAK)


@dataclass(frozen=True)
class Accuracies:
    """Top-1 and top-5 of one thing: a method, a part left out, a subject.

    Args:
        label (`str`): its name.
        top1 (`Score`): top-1 accuracy.
        top5 (`Score` or None): top-5 accuracy, where known.
    """

    label: str
    top1: Score
    top5: Score | None = None
