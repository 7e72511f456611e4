"""What broken electrodes and sensors record. Ours, after what every laboratory has seen."""

import numpy as np
from scipy import signal

_FLAT = 0.15  # all amplitudes in the sensors' scale (EEG: microvolts)
_NOISE = 120.0
_CEILING = 3000.0
_WALK = 150.0  # standard deviation of a random walk after one second
_POPS_PER_SECOND = 0.1


def spoil(channel: np.ndarray, number: int, rate: int, random: np.random.Generator) -> None:
    """Replace a channel by one that records nothing of use.

    Args:
        channel (`numpy.ndarray`): (samples,), overwritten.
        number (`int`): its remainder by three chooses the fault: nearly flat; very noisy, and now and then at the
            ceiling; drifting by hundreds, with pops.
        rate (`int`): samples per second.
        random (`numpy.random.Generator`): of this channel and recording.
    """
    (_make_flat, _make_noisy, _make_drifting)[number % 3](channel, rate, random)


def _make_flat(channel: np.ndarray, rate: int, random: np.random.Generator) -> None:
    channel[:] = random.normal(0, _FLAT, len(channel))


def _make_noisy(channel: np.ndarray, rate: int, random: np.random.Generator) -> None:
    channel[:] = random.normal(0, _NOISE, len(channel))
    for start in random.integers(0, len(channel), 1 + len(channel) // (20 * rate)):  # about every 20 s
        stop = start + round(random.uniform(0.2, 1.5) * rate)
        channel[start:stop] = _CEILING * random.choice([-1, 1])


def _make_drifting(channel: np.ndarray, rate: int, random: np.random.Generator) -> None:
    # A walk that is pulled back over half a minute: a free one would reach volts in an hour.
    pull = np.exp(-1 / (30 * rate))
    channel[:] = signal.lfilter([1], [1, -pull], random.normal(0, _WALK / np.sqrt(rate), len(channel)))
    settling = np.exp(-np.arange(round(1.5 * rate)) / (0.3 * rate))
    for start in random.integers(0, len(channel), random.poisson(_POPS_PER_SECOND * len(channel) / rate)):
        room = channel[start : start + len(settling)]
        room += random.normal(0, 300) * settling[: len(room)]
