"""EEG perturbation for training (NeuroCLIP, arXiv 2511.09250: "EEG signals are perturbed, then encoded").

The paper does not say how; every kind and strength here is our reading, and 0 switches each off. Smoothing is
NeuroBridge's (Zhang et al., AAAI 2026, arXiv 2511.06836).
"""

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


def perturb(trial: NDArray[np.float32], how: Perturbation, generator: np.random.Generator) -> NDArray[np.float32]:
    """Perturb one trial.

    Args:
        trial (`numpy.ndarray` of shape `(channels, samples)` or `(voxels,)`): any unit; not changed. A pattern of
            voxels is taken as channels of one sample: it has no time to shift or to mask.
        how (`Perturbation`): the strengths.
        generator (`numpy.random.Generator`): decides; the same state gives the same result.

    Returns:
        `numpy.ndarray` of the same shape.
    """
    changed = trial.reshape(len(trial), -1).copy()
    channels, samples = changed.shape
    if how.smoothing:
        smoothed = generator.random(channels) < how.smoothing
        changed[smoothed] = _moving_average(changed[smoothed], how.smoothing_window)
    if how.shift:
        steps = int(generator.integers(-how.shift, how.shift + 1))
        changed = changed[:, np.clip(np.arange(samples) - steps, 0, samples - 1)]
    if how.scaling:
        changed = changed * np.float32(np.exp(generator.uniform(-how.scaling, how.scaling)))
    if how.noise:
        noise = generator.standard_normal(changed.shape, dtype=np.float32)
        changed = changed + np.float32(how.noise * trial.std()) * noise
    if how.time_mask:
        length = int(generator.uniform(0, how.time_mask) * samples)
        start = int(generator.integers(0, samples - length + 1))
        changed[:, start : start + length] = 0
    if how.channel_dropout:
        dropped = generator.random(channels) < how.channel_dropout
        dropped[generator.integers(channels)] = False
        changed[dropped] = 0
    return changed.reshape(trial.shape)


def _moving_average(values: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    """Means of the samples around each one, `(channels, samples)`."""
    samples, reach = values.shape[1], window // 2
    sums = np.cumsum(np.pad(values.astype(np.float64), ((0, 0), (1, 0))), axis=1)
    first = np.clip(np.arange(samples) - reach, 0, samples)
    last = np.clip(np.arange(samples) + reach + 1, 0, samples)
    return ((sums[:, last] - sums[:, first]) / (last - first)).astype(np.float32)
