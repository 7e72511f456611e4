"""EEG perturbation for training (NeuroCLIP, arXiv 2511.09250: "EEG signals are perturbed, then encoded").

The paper does not say how; every kind and strength here is our reading, and 0 switches each off. Smoothing is
NeuroBridge's (Zhang et al., AAAI 2026, arXiv 2511.06836).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.errors import InputError


@dataclass(frozen=True)
class Perturbation:
    """Strengths of the perturbation of one trial.

    Args:
        noise (`float`): standard deviation of Gaussian noise, in standard deviations of the trial.
        shift (`int`): largest shift in samples, either way; the edge value fills in.
        channel_dropout (`float`): probability that a channel is set to zero; at least one channel stays.
        time_mask (`float`): largest fraction of the trial that one window of zeros covers.
        scaling (`float`): amplitudes are multiplied by `exp(u)`, u uniform in +- this.
        smoothing (`float`): probability that a channel is replaced by its moving average.
        smoothing_window (`int`): samples of that average, an even number being taken as the next odd one; at the ends
            of the trial it is over those that there are.
    """

    noise: float = 0.0
    shift: int = 0
    channel_dropout: float = 0.0
    time_mask: float = 0.0
    scaling: float = 0.0
    smoothing: float = 0.0
    smoothing_window: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing <= 1:
            raise InputError(f"perturbation smoothing is {self.smoothing}: it is a probability, from 0 to 1.")
        for field in fields(self):
            value = getattr(self, field.name)
            if not value >= 0 or (field.name in ("channel_dropout", "time_mask") and value >= 1):
                raise InputError(f"perturbation {field.name} is {value}: it must be zero or more, and a part below 1.")


def perturb(
    trials: NDArray[np.float32],
    how: Perturbation,
    generators: Sequence[np.random.Generator],
    centre: NDArray[np.float32],
) -> None:
    """Perturb trials in place.

    Args:
        trials (`numpy.ndarray` of shape `(trials, channels, samples)` or `(trials, voxels)`): any unit; changed. A
            pattern of voxels is taken as channels of one sample: it has no time to shift or to mask.
        how (`Perturbation`): the strengths.
        generators (sequence of `numpy.random.Generator`): one a trial, which decides for it alone; the same state
            gives the same result, whatever else is perturbed with it.
        centre (`numpy.ndarray` of shape `(channels, 1)`, `(voxels,)` or `()`): what zero is, in the unit of `trials`.
    """
    if centre.any():
        trials -= centre
    values = trials.reshape(len(trials), trials.shape[1], -1)  # a view: a batch lies in one piece
    scratch = np.empty(values.shape[1:], dtype=np.float32)
    for trial, generator in zip(values, generators, strict=True):
        _perturb_one(trial, how, generator, scratch)
    if centre.any():
        trials += centre


def _perturb_one(
    trial: NDArray[np.float32], how: Perturbation, generator: np.random.Generator, scratch: NDArray[np.float32]
) -> None:
    """`(channels, samples)`; trial by trial, as one fits a processor's cache and a batch does not."""
    channels, samples = trial.shape
    level = np.float32(how.noise * trial.std()) if how.noise else None
    if how.smoothing:
        smoothed = generator.random(channels) < how.smoothing
        trial[smoothed] = _moving_average(trial[smoothed], how.smoothing_window)
    if how.shift:
        _shift(trial, int(generator.integers(-how.shift, how.shift + 1)))
    if how.scaling:
        trial *= np.float32(np.exp(generator.uniform(-how.scaling, how.scaling)))
    if level is not None:
        generator.standard_normal(out=scratch, dtype=np.float32)
        scratch *= level
        trial += scratch
    if how.time_mask:
        length = int(generator.uniform(0, how.time_mask) * samples)
        start = int(generator.integers(0, samples - length + 1))
        trial[:, start : start + length] = 0
    if how.channel_dropout:
        dropped = np.asarray(generator.random(channels) < how.channel_dropout)
        dropped[generator.integers(channels)] = False
        trial[dropped] = 0


def _shift(trial: NDArray[np.float32], steps: int) -> None:
    """Later by so many samples, or earlier; a shift beyond the trial leaves its edge value alone."""
    steps = max(1 - trial.shape[1], min(steps, trial.shape[1] - 1))
    if steps > 0:
        trial[:, steps:] = trial[:, :-steps]
        trial[:, :steps] = trial[:, steps : steps + 1]
    elif steps < 0:
        trial[:, :steps] = trial[:, -steps:]
        trial[:, steps:] = trial[:, steps - 1 : steps]


def _moving_average(values: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    """Means of the samples around each one, `(channels, samples)`."""
    (channels, samples), reach = values.shape, window // 2
    width = 2 * reach + 1
    sums = np.zeros((channels, samples + width))
    sums[:, reach + 1 : reach + 1 + samples] = values
    np.cumsum(sums, axis=1, out=sums)
    around = np.clip(np.arange(samples) + reach + 1, 0, samples) - np.clip(np.arange(samples) - reach, 0, samples)
    return ((sums[:, width:] - sums[:, :samples]) / around).astype(np.float32)
