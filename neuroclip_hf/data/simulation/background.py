"""Activity that no picture evokes: 1/f noise, alpha, drifts, line noise and blinks."""

import numpy as np
from scipy import signal

from neuroclip_hf.data.simulation.evoked import BACKGROUND_MICROVOLTS
from neuroclip_hf.data.simulation.topography import distances, positions

_CHUNK = 1 << 15
_LINE_FREQUENCY = 50.0
_ALPHA_MICROVOLTS = 4.0
_DRIFT_MICROVOLTS = 15.0
_BLINK_MICROVOLTS = 120.0
_BLINKS_PER_SECOND = 0.2


class Background:
    """The background activity of one subject.

    Args:
        channels (`tuple` of `str`): EEG channels.
        rate (`int`): samples per second.
        random (`numpy.random.Generator`): a fresh generator of the subject.
    """

    def __init__(self, channels: tuple[str, ...], rate: int, random: np.random.Generator) -> None:
        self._rate = rate
        head = positions(channels)
        spread = random.uniform(0.3, 0.45)
        covariance = np.exp(-distances(head, head) / spread) + 0.05 * np.eye(len(head))
        self._mixing = np.linalg.cholesky(covariance / np.diag(covariance)[0])
        back = positions(("O1", "O2", "POz"))
        self._alpha_fields = np.exp(-((distances(head, back) / 0.6) ** 2) / 2) * _ALPHA_MICROVOLTS / np.sqrt(3)
        forehead = positions(("Fp1", "Fp2")).mean(axis=0, keepdims=True)
        self._blink_field = np.exp(-((distances(head, forehead)[:, 0] / 0.45) ** 2) / 2) * _BLINK_MICROVOLTS
        self._line = np.abs(random.normal(0, 0.8, len(head)))
        self._pink = _unit_gain(_pink_filter(rate), rate)
        self._alpha = _unit_gain(_resonance(random.uniform(9.3, 11.0), rate), rate)
        self._drift = _unit_gain(_low_pass(0.05, rate), rate)

    def fill(self, data: np.ndarray, random: np.random.Generator) -> None:
        """Write the activity of a recording into `data` (channels, samples), in microvolts.

        It is made in pieces of 32,768 samples whose filters go on where they stopped, so that beside `data` about
        five such pieces are in memory (80 MB with 63 channels).
        """
        channels, length = data.shape
        filters = [
            _Filter(self._pink, channels, self._rate, random),
            _Filter(self._alpha, 3, self._rate, random),
            _Filter(self._drift, channels, self._rate, random),
        ]
        phase = random.uniform(0, 2 * np.pi)
        for start in range(0, length, _CHUNK):
            piece = data[:, start : start + _CHUNK]
            pink, alpha, drift = (one.next(piece.shape[1], random) for one in filters)
            pink *= BACKGROUND_MICROVOLTS
            drift *= _DRIFT_MICROVOLTS
            pink += drift
            np.matmul(self._mixing, pink, out=piece)
            piece += self._alpha_fields @ alpha
            if self._rate > 2 * _LINE_FREQUENCY:
                times = np.arange(start, start + piece.shape[1]) / self._rate
                piece += self._line[:, None] * np.sin(2 * np.pi * _LINE_FREQUENCY * times + phase)
        self._add_blinks(data, random)

    def _add_blinks(self, data: np.ndarray, random: np.random.Generator) -> None:
        length = min(round(0.35 * self._rate), data.shape[1])
        course = np.sin(np.pi * np.arange(length) / length) ** 2
        number = random.poisson(_BLINKS_PER_SECOND * data.shape[1] / self._rate)
        for start in random.integers(0, data.shape[1] - length + 1, number):
            data[:, start : start + length] += random.normal(1, 0.15) * np.outer(self._blink_field, course)


class _Filter:
    """White noise through a filter, piece by piece."""

    def __init__(self, sections: np.ndarray, rows: int, rate: int, random: np.random.Generator) -> None:
        self._sections, self._rows = sections, rows
        self._state = np.zeros((len(sections), rows, 2))
        self.next(10 * rate, random)  # a filter that starts at rest would be quiet at first

    def next(self, length: int, random: np.random.Generator) -> np.ndarray:
        """The next (rows, length) samples."""
        noise = random.standard_normal((self._rows, length))
        filtered, self._state = signal.sosfilt(self._sections, noise, axis=1, zi=self._state)
        return np.asarray(filtered)


def _pink_filter(rate: int) -> np.ndarray:
    """Power as 1/f from 0.3 Hz up: poles two octaves apart, a zero in the middle of every two."""
    poles = 0.3 * 4.0 ** np.arange(int(np.log(rate / 2 / 0.3) / np.log(4)) + 1)
    zeros = np.minimum(poles * 2, 0.49 * rate)
    steps = [np.exp(-2 * np.pi * np.minimum(corner, 0.49 * rate) / rate) for corner in (poles, zeros)]
    return np.array([[1, -zero, 0, 1, -pole, 0] for pole, zero in zip(*steps, strict=True)])


def _low_pass(corner: float, rate: int) -> np.ndarray:
    return np.array([[1, 0, 0, 1, -np.exp(-2 * np.pi * corner / rate), 0]])


def _resonance(frequency: float, rate: int) -> np.ndarray:
    radius = np.exp(-2 * np.pi * 0.6 / rate)
    return np.array([[1, 0, 0, 1, -2 * radius * np.cos(2 * np.pi * frequency / rate), radius**2]])


def _unit_gain(sections: np.ndarray, rate: int) -> np.ndarray:
    """The filter scaled such that white noise of unit variance keeps it."""
    impulse = np.zeros(60 * rate)
    impulse[0] = 1
    sections = sections.copy()
    sections[0, :3] /= np.sqrt((signal.sosfilt(sections, impulse) ** 2).sum())
    return sections
