"""What a simulated brain answers to a picture: components with latency and topography that carry its code."""

from dataclasses import dataclass

import numpy as np

from neuroclip_hf.data.simulation.pictures import APPEARANCE_SIZE, CODE_SIZE
from neuroclip_hf.data.simulation.topography import distances, positions
from neuroclip_hf.data.things_eeg2 import FACTS

RESPONSE_LENGTH = 0.8
"""Seconds after onset for which a response lasts; longer than the interval between pictures, so responses overlap."""

BACKGROUND_MICROVOLTS = 10.0
"""Root mean square of the background activity of a channel, to which the signal-to-noise ratio refers."""

_SPREAD = 0.28  # of a source's field on the scalp, in radii of the head


@dataclass(frozen=True)
class Component:
    """One peak of the response.

    Args:
        latency, width (`float`): of the peak, in seconds.
        average (`float`): amplitude at its centre that every picture evokes, in microvolts.
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
    Component(0.105, 0.018, 3.0, 1.0, ("Oz", "O1", "O2"), _APPEARANCE),
    Component(0.165, 0.026, -4.0, 0.9, ("PO7", "PO8", "Oz", "POz"), _APPEARANCE),
    Component(0.235, 0.036, 2.5, 1.0, ("P7", "P8", "PO7", "PO8", "PO3", "PO4"), _ATTRIBUTES),
    Component(0.37, 0.070, 2.0, 0.8, ("P7", "P8", "P3", "P4", "Pz", "POz"), _ATTRIBUTES),
)


def make_kernel(rate: int, channels: tuple[str, ...], snr: float, random: np.random.Generator) -> np.ndarray:
    """The response of one subject to every number of the code.

    Sources are shared by all people; a subject moves them, mixes them with own ones, and has its own speed. Ours.

    Args:
        rate (`int`): samples per second.
        channels (`tuple` of `str`): EEG channels.
        snr (`float`): strength of the part that tells pictures apart; see the settings.
        random (`numpy.random.Generator`): a fresh generator of the subject.

    Returns:
        (1 + code size, channels, samples) in microvolts. The first row is what every picture evokes.
    """
    shared_random = np.random.default_rng(0xE2)
    speed = random.normal(1, 0.04)
    head = positions(FACTS.channels) + random.normal(0, 0.05, 3)
    times = np.arange(round(RESPONSE_LENGTH * rate)) / rate
    kernel = np.zeros((1 + CODE_SIZE, len(FACTS.channels), len(times)))
    for component in COMPONENTS:
        fields = np.exp(-((distances(head, positions(component.centres)) / _SPREAD) ** 2) / 2)  # (channels, centres)
        kernel[0] += component.average * np.outer(fields.mean(axis=1), _wave(times, component, speed))
        for row in range(component.code.start, component.code.stop):
            shared, own = (source.standard_normal(len(component.centres)) for source in (shared_random, random))
            shift, phase = shared_random.uniform(-0.6, 0.6) * component.width, shared_random.uniform(0, 2 * np.pi)
            wave = _wave(times, component, speed, shift, phase)
            kernel[1 + row] += component.weight * np.outer(fields @ (0.85 * shared + 0.53 * own), wave)
    kernel[1:] *= snr * BACKGROUND_MICROVOLTS / _strength(kernel[1:], times)
    return kernel[:, [FACTS.channels.index(name) for name in channels]]


def _wave(times: np.ndarray, component: Component, speed: float, shift: float = 0.0, phase: float = 0.0) -> np.ndarray:
    distance = (times - (component.latency + shift) * speed) / component.width
    return np.exp(-(distance**2) / 2) * np.cos(1.3 * distance - phase)


def _strength(kernel: np.ndarray, times: np.ndarray) -> float:
    """Root mean square of the response to codes of unit variance, over occipital channels and 0.05 to 0.5 s."""
    rows = [FACTS.channels.index(name) for name in FACTS.occipital_channels]
    window = (times >= 0.05) & (times <= 0.5)
    return float(np.sqrt((kernel[:, rows][:, :, window] ** 2).sum(axis=0).mean()))


def add_responses(
    data: np.ndarray, onsets: np.ndarray, codes: np.ndarray, kernel: np.ndarray, rate: int, random: np.random.Generator
) -> None:
    """Add the responses to all pictures of a recording to `data` (channels, samples), in microvolts and in place.

    From trial to trial the response varies in strength (by a quarter) and time (by 6 ms).

    Args:
        data (`numpy.ndarray`): (channels, samples), changed.
        onsets (`numpy.ndarray`): (events,) in samples.
        codes (`numpy.ndarray`): (events, code size).
        kernel (`numpy.ndarray`): what [`make_kernel`] returns.
        rate (`int`): samples per second.
        random (`numpy.random.Generator`): of the recording.
    """
    gains = np.exp(random.normal(0, 0.25, len(onsets)))
    starts = onsets + np.rint(random.normal(0, 0.006 * rate, len(onsets))).astype(int)
    drive = np.concatenate([np.ones((len(codes), 1)), codes], axis=1) * gains[:, None]
    length = kernel.shape[2]
    batch = max(1, (1 << 22) // kernel[0].size)
    for first in range(0, len(onsets), batch):
        responses = np.tensordot(drive[first : first + batch], kernel, 1)
        for start, response in zip(starts[first : first + batch], responses, strict=True):
            data[:, start : start + length] += response
