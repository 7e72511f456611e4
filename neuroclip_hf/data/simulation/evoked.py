"""What a simulated brain answers to a picture: components with latency and topography that carry its code."""

from dataclasses import dataclass

import numpy as np

from neuroclip_hf.data.simulation.pictures import APPEARANCE_SIZE, CODE_SIZE
from neuroclip_hf.data.simulation.sensors import Sensors, positions

RESPONSE_LENGTH = 0.8
"""Seconds after onset for which a response lasts; longer than the interval between pictures, so responses overlap."""

BACKGROUND_AMPLITUDE = 8.0
"""Root mean square of a sensor's 1/f activity above 0.3 Hz before the reference is subtracted, to which the
signal-to-noise ratio refers; alpha, drifts, line noise and blinks come on top. Like all amplitudes here in the
sensors' scale (EEG: microvolts)."""

_SPREAD = 0.28  # of the field of a source that carries content, in radii of the head
_AVERAGE_SPREAD = 0.45  # of what every picture evokes: many sources at once


@dataclass(frozen=True)
class Adaptation:
    """How a response depends on what came before it; all of it ours, in the range of what recordings show.

    Every picture tires what answers to pictures at all: of the part that is not tired `use` becomes so, and recovers
    with a time constant of `recovery` seconds. The average response is weaker by `depth` times the tired part,
    relative to endless pictures at the interval of the dataset, for which it is what the components say; so the first
    pictures after a pause evoke more. Beside that, the code's part answers to what is new: from a picture's code a
    trace of the preceding codes, each fading with a time constant of `memory` seconds, is subtracted with the weight
    `suppression`. Catch trials are pictures without content.

    Args:
        use, depth, suppression (`float`): from 0 to 1.
        recovery, memory (`float`): in seconds.
    """

    use: float = 0.4
    recovery: float = 0.8
    depth: float = 0.7
    memory: float = 0.3
    suppression: float = 0.4


ADAPTATION = Adaptation()
TRIAL_GAIN = 0.25
"""Standard deviation of the logarithm of a response's strength from trial to trial."""
TRIAL_JITTER = 0.006
"""Standard deviation of a response's latency from trial to trial, in seconds."""


@dataclass(frozen=True)
class Component:
    """One peak of the response.

    Args:
        latency, width (`float`): of the peak, in seconds.
        average (`float`): amplitude, where it is largest, that every picture evokes.
        weight (`float`): how strongly the code drives it, beside the other components.
        centres (`tuple` of `str`): electrodes above its sources.
        code (`slice`): the part of the picture's code that drives it.
    """

    latency: float
    width: float
    average: float
    weight: float
    centres: tuple[str, ...]
    code: slice


_APPEARANCE, _ATTRIBUTES = slice(0, APPEARANCE_SIZE), slice(APPEARANCE_SIZE, CODE_SIZE)
COMPONENTS = (
    Component(0.105, 0.018, 5.0, 1.0, ("Oz", "O1", "O2"), _APPEARANCE),
    Component(0.165, 0.026, -3.5, 0.9, ("PO7", "PO8", "P7", "P8"), _APPEARANCE),
    Component(0.235, 0.036, 5.0, 1.0, ("P7", "P8", "PO7", "PO8", "PO3", "PO4"), _ATTRIBUTES),
    Component(0.37, 0.070, 3.5, 0.8, ("P7", "P8", "P3", "P4", "Pz", "POz"), _ATTRIBUTES),
)


def make_kernel(sensors: Sensors, rate: int, snr: float, random: np.random.Generator) -> np.ndarray:
    """The response of one subject to every number of the code.

    Sources are shared by all people; a subject moves them, mixes them with own ones, and has its own speed. Ours.

    Args:
        sensors (`Sensors`): all sensors of a kind.
        rate (`int`): samples per second.
        snr (`float`): strength of the part that tells pictures apart; see the settings.
        random (`numpy.random.Generator`): a fresh generator of the subject.

    Returns:
        (1 + code size, sensors, samples) from the onset. The first row is what every picture evokes.
    """
    shared_random = np.random.default_rng(0xE2)
    speed = random.normal(1, 0.04)
    head = sensors.moved(random.normal(0, 0.05, 3))
    times = np.arange(round(RESPONSE_LENGTH * rate)) / rate
    kernel = np.zeros((1 + CODE_SIZE, len(sensors.names), len(times)))
    for component in COMPONENTS:
        fields = head.fields(positions(component.centres), _SPREAD)
        together = head.fields(positions(component.centres), _AVERAGE_SPREAD).sum(axis=1)
        together /= np.abs(together).max()
        kernel[0] += component.average * np.outer(together, _wave(times, component, speed))
        for row in range(component.code.start, component.code.stop):
            shared, own = (source.standard_normal(fields.shape[1]) for source in (shared_random, random))
            shift, phase = shared_random.uniform(-0.6, 0.6) * component.width, shared_random.uniform(0, 2 * np.pi)
            wave = _wave(times, component, speed, shift, phase)
            kernel[1 + row] += component.weight * np.outer(fields @ (0.85 * shared + 0.53 * own), wave)
    kernel[1:] *= snr * BACKGROUND_AMPLITUDE / _strength(kernel[1:, sensors.rows(sensors.back)], times)
    return kernel


def _wave(times: np.ndarray, component: Component, speed: float, shift: float = 0.0, phase: float = 0.0) -> np.ndarray:
    distance = (times - (component.latency + shift) * speed) / component.width
    return np.exp(-(distance**2) / 2) * np.cos(1.3 * distance - phase)


def _strength(kernel: np.ndarray, times: np.ndarray) -> float:
    """Root mean square of the response to codes of unit variance, over (code, sensors, samples) from 0.05 to 0.5 s."""
    window = (times >= 0.05) & (times <= 0.5)
    return float(np.sqrt((kernel[:, :, window] ** 2).sum(axis=0).mean()))


def adapted_drive(times: np.ndarray, codes: np.ndarray, interval: float, how: Adaptation = ADAPTATION) -> np.ndarray:
    """What drives the response to every picture of a recording, once it has adapted to those before.

    Args:
        times (`numpy.ndarray`): (events,) onsets in seconds, ascending.
        codes (`numpy.ndarray`): (events, code size); a picture without content has a code of zeros.
        interval (`float`): in seconds, between pictures that evoke the kernel's average.
        how (`Adaptation`): the constants.

    Returns:
        (events, 1 + code size): the factor of the average response, and the code that is left.
    """
    drive = np.concatenate([np.ones((len(codes), 1)), codes], axis=1)
    fading = np.exp(-interval / how.recovery)
    steady = how.use * fading / (1 - (1 - how.use) * fading)
    tired, trace = 0.0, np.zeros(codes.shape[1])
    for event, gap in enumerate(np.diff(times, prepend=times[:1])):
        if event:
            tired = (tired + how.use * (1 - tired)) * np.exp(-gap / how.recovery)
            trace = (trace + codes[event - 1]) * np.exp(-gap / how.memory)
        drive[event, 0] = (1 - how.depth * tired) / (1 - how.depth * steady)
        drive[event, 1:] -= how.suppression * trace
    return drive


def add_responses(
    data: np.ndarray, onsets: np.ndarray, drive: np.ndarray, kernel: np.ndarray, rate: int, random: np.random.Generator
) -> None:
    """Add the responses to all pictures of a recording to `data` (channels, samples), in place.

    From trial to trial the response varies in strength (`TRIAL_GAIN`) and time (`TRIAL_JITTER`).

    Args:
        data (`numpy.ndarray`): (channels, samples), changed; what would reach beyond it is left out.
        onsets (`numpy.ndarray`): (events,) in samples.
        drive (`numpy.ndarray`): (events, 1 + code size), what [`adapted_drive`] returns.
        kernel (`numpy.ndarray`): (1 + code size, channels, samples), rows of what [`make_kernel`] returns.
        rate (`int`): samples per second.
        random (`numpy.random.Generator`): of the recording.
    """
    gains = np.exp(random.normal(0, TRIAL_GAIN, len(onsets)))
    starts = onsets + np.rint(random.normal(0, TRIAL_JITTER * rate, len(onsets))).astype(int)
    drive = drive * gains[:, None]
    length = kernel.shape[2]
    batch = max(1, (1 << 22) // kernel[0].size)
    for first in range(0, len(onsets), batch):
        responses = np.tensordot(drive[first : first + batch], kernel, 1)
        for start, response in zip(starts[first : first + batch], responses, strict=True):
            room = data[:, max(0, start) : start + length]
            early = max(0, -start)
            room += response[:, early : early + room.shape[1]]
