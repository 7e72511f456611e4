"""Activity that no picture evokes: 1/f noise, alpha, drifts, line noise and blinks."""

import numpy as np
from scipy import signal

from neuroclip_hf.data.simulation.evoked import BACKGROUND_AMPLITUDE
from neuroclip_hf.data.simulation.sensors import Sensors, distances, positions

_CHUNK = 1 << 15
_LINE_FREQUENCY = 50.0
_LINE_AMPLITUDE = 0.8
_ALPHA_AMPLITUDE = 5.5
_ALPHA_SUPPRESSION = 0.45  # part of alpha's amplitude that a stream of pictures takes away
_ALPHA_RECOVERY = 0.4  # seconds
_ALPHA_WAXING = 0.4  # standard deviation of the logarithm of its slow changes, which take about two seconds
_STEEPER = (25.0, 120.0)  # in Hz: between them power falls faster than 1/f, as it does on the scalp
_DRIFT = (0.05, 0.3)  # in Hz: below the second corner drifts grow beyond the 1/f activity, down to the first
_FAR, _NEAR = 0.85, 0.15  # of the noise's variance: what far sensors share too, and what only near ones do
_NEAR_SPREAD = 0.3  # over which the latter fades, in radii of the head
_OWN = 0.02  # of a sensor alone
_BLINK_AMPLITUDE = 110.0
_BLINKS_PER_SECOND = 0.08  # people who are asked to blink in the pauses


class Background:
    """The background activity of one subject. All amplitudes are ours, in the sensors' scale (EEG: microvolts).

    Args:
        sensors (`Sensors`): those to simulate.
        rate (`int`): samples per second.
        random (`numpy.random.Generator`): a fresh generator of the subject.
    """

    def __init__(self, sensors: Sensors, rate: int, random: np.random.Generator) -> None:
        self._rate = rate
        self._mixing = _mixing(sensors, random.uniform(0.6, 0.8))
        fields = sensors.fields(positions(("O1", "O2", "POz")), 0.8)
        self._alpha_fields = fields * _ALPHA_AMPLITUDE / np.sqrt(fields.shape[1])
        forehead = positions(("Fp1", "Fp2")).mean(axis=0, keepdims=True)
        self._blink_field = sensors.fields(forehead, 0.45).sum(axis=1) * _BLINK_AMPLITUDE
        self._line = np.abs(random.normal(0, _LINE_AMPLITUDE, len(sensors.names)))
        self._noise = _noise_filter(rate)
        self._alpha = _unit_gain(_resonance(random.uniform(9.3, 11.0), rate), rate)
        self._slow = _unit_gain(_low_pass(0.1, rate), rate)

    def fill(self, data: np.ndarray, random: np.random.Generator, onsets: np.ndarray | None = None) -> None:
        """Write the activity of a recording into `data` (channels, samples).

        It is made in pieces of 32,768 samples whose filters go on where they stopped, so that beside `data` about
        five such pieces are in memory (80 MB with 63 channels).

        Args:
            data (`numpy.ndarray`): (channels, samples), overwritten.
            random (`numpy.random.Generator`): of the recording.
            onsets (`numpy.ndarray`, *optional*): (events,) of pictures, in samples: alpha is weaker after them.
        """
        length = data.shape[1]
        noise = _Filter(self._noise, self._mixing.shape[1], self._rate, random)
        alpha = _Filter(self._alpha, self._alpha_fields.shape[1], self._rate, random)
        slow = _Filter(self._slow, 1, self._rate, random)
        watching = _Watching(onsets, self._rate)
        phase = random.uniform(0, 2 * np.pi)
        for start in range(0, length, _CHUNK):
            piece = data[:, start : start + _CHUNK]
            samples = piece.shape[1]
            np.matmul(self._mixing, noise.next(samples, random), out=piece)
            strength = np.exp(_ALPHA_WAXING * slow.next(samples, random) - _ALPHA_WAXING**2)
            strength *= 1 - _ALPHA_SUPPRESSION * watching.next(samples)
            piece += self._alpha_fields @ (alpha.next(samples, random) * strength)
            if self._rate > 2 * _LINE_FREQUENCY:
                times = np.arange(start, start + samples) / self._rate
                piece += self._line[:, None] * np.sin(2 * np.pi * _LINE_FREQUENCY * times + phase)
        self._add_blinks(data, random)

    def _add_blinks(self, data: np.ndarray, random: np.random.Generator) -> None:
        length = min(round(0.35 * self._rate), data.shape[1])
        course = np.sin(np.pi * np.arange(length) / length) ** 2
        number = random.poisson(_BLINKS_PER_SECOND * data.shape[1] / self._rate)
        for start in random.integers(0, data.shape[1] - length + 1, number):
            data[:, start : start + length] += random.normal(1, 0.15) * np.outer(self._blink_field, course)


class _Watching:
    """How much pictures hold alpha down, from 0 (none was shown for long) to nearly 1 (many), piece by piece."""

    def __init__(self, onsets: np.ndarray | None, rate: int) -> None:
        self._onsets = np.zeros(0, dtype=np.int64) if onsets is None else onsets
        self._start = 0
        # Alpha goes down within a tenth of a second of an onset and comes back more slowly.
        corners = np.exp(-1 / (rate * np.array([_ALPHA_RECOVERY, 0.1])))
        self._sections = np.array([[1, 0, 0, 1, -corner, 0] for corner in corners])
        self._sections[1, 0] = 1 - corners[1]
        self._state = np.zeros((2, 1, 2))

    def next(self, length: int) -> np.ndarray:
        """The next (1, length) samples."""
        shown = np.zeros((1, length))
        mine = self._onsets[(self._onsets >= self._start) & (self._onsets < self._start + length)]
        shown[0, mine - self._start] = 1
        self._start += length
        trace, self._state = signal.sosfilt(self._sections, shown, axis=1, zi=self._state)
        return np.asarray(1 - np.exp(-1.5 * trace))


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


def _mixing(sensors: Sensors, spread: float) -> np.ndarray:
    """What turns independent noise into that of the sensors, of unit variance before the reference is subtracted.

    Returns:
        (sensors, sources of noise): as many as there are sensors, and one more where there is a reference.
    """
    places = sensors.places if sensors.reference is None else np.concatenate([sensors.places, sensors.reference])
    apart = distances(places, places)
    far, near = np.exp(-((apart / spread) ** 2) / 2), np.exp(-apart / _NEAR_SPREAD)
    covariance = _FAR * far + _NEAR * near + _OWN * np.eye(len(places))
    mixing = np.linalg.cholesky(covariance / np.diag(covariance)[0])
    return mixing if sensors.reference is None else mixing[:-1] - mixing[-1]


def _noise_filter(rate: int) -> np.ndarray:
    """1/f activity of the amplitude that the signal-to-noise ratio refers to, and slow drifts on top of it.

    Power falls as 1/f from 0.3 Hz up, and faster from 25 Hz: poles two octaves apart, a zero in the middle of every
    two, and one pole and zero more.
    """
    poles = 0.3 * 4.0 ** np.arange(int(np.log(rate / 2 / 0.3) / np.log(4)) + 1)
    corners = np.append(poles, _STEEPER[0]), np.append(poles * 2, _STEEPER[1])
    sections = _unit_gain(_sections(*corners, rate), rate)
    sections[0, :3] *= BACKGROUND_AMPLITUDE
    return np.concatenate([_sections(np.array(_DRIFT[:1]), np.array(_DRIFT[1:]), rate), sections])


def _sections(poles: np.ndarray, zeros: np.ndarray, rate: int) -> np.ndarray:
    """First-order low-pass steps; two of them make one section, so that samples are gone through half as often."""
    steps = [np.exp(-2 * np.pi * np.minimum(corner, 0.49 * rate) / rate) for corner in (zeros, poles)]
    pairs = [np.append(step, np.zeros(len(step) % 2)).reshape(-1, 2) for step in steps]
    sides = [np.stack([np.ones(len(pair)), -pair.sum(axis=1), pair.prod(axis=1)], axis=1) for pair in pairs]
    return np.concatenate(sides, axis=1)


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
