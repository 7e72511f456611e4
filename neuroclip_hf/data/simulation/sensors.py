"""Where sensors are, and how the field of a source looks to them."""

from dataclasses import dataclass, replace
from functools import lru_cache

import mne
import numpy as np

from neuroclip_hf.data.things_eeg2 import FACTS
from neuroclip_hf.errors import InputError

EEG, MEG = "eeg", "mag"
_POINTS = 152  # on the whole sphere of which the helmet is a part
_HELMET_RADIUS = 1.2
_RIM = np.deg2rad([-5.0, -35.0])  # how far below the head's middle the helmet reaches, in front and at the back


@dataclass(frozen=True, eq=False)
class Sensors:
    """A set of sensors around one head.

    Args:
        names (`tuple` of `str`): of the sensors.
        places (`numpy.ndarray`): (sensors, 3) in radii of the head, from its centre; x to the right, y to the front.
        kind (`str`): "eeg", or "mag" for radial magnetometers.
        unit (`str`): "V" or "T".
        scale (`float`): what one step of the simulation's amplitudes is in `unit`: a microvolt, or 20 femtotesla
            (ours: evoked fields then reach about 100 fT, and the background 160).
        back (`tuple` of `str`): the sensors over which the signal-to-noise ratio is defined.
        reference (`numpy.ndarray` of shape (1, 3), *optional*): the electrode that is subtracted from all others.
    """

    names: tuple[str, ...]
    places: np.ndarray
    kind: str
    unit: str
    scale: float
    back: tuple[str, ...]
    reference: np.ndarray | None = None

    def rows(self, names: tuple[str, ...]) -> list[int]:
        """Places of `names` in the list of sensors.

        Raises:
            InputError: for a name that is none.
        """
        unknown = [name for name in names if name not in self.names]
        if unknown:
            raise InputError(
                f"channels {', '.join(map(str, unknown))} do not exist: there are {', '.join(self.names)}."
            )
        return [self.names.index(name) for name in names]

    def pick(self, names: tuple[str, ...]) -> "Sensors":
        """Some of the sensors, in the order of `names`."""
        return replace(self, names=tuple(names), places=self.places[self.rows(names)])

    def moved(self, shift: np.ndarray) -> "Sensors":
        """The same sensors on a head that sits otherwise by `shift` (3,), in radii."""
        reference = None if self.reference is None else self.reference + shift
        return replace(self, places=self.places + shift, reference=reference)

    def fields(self, sources: np.ndarray, spread: float) -> np.ndarray:
        """What the sensors see of sources below the scalp. Ours, not a solution of a volume conductor.

        An electrode sees a bump that is highest above the source, less what the reference sees. A radial magnetometer
        sees a source that lies flat below it as two poles of opposite sign beside it (the derivative of the bump);
        every source can lie in two directions, so it has two columns. A sensor farther from the head sees less, by the
        square of the distance.

        Args:
            sources (`numpy.ndarray`): (sources, 3), points of the scalp above them.
            spread (`float`): of a bump, in radii of the head.

        Returns:
            (sensors, sources), for magnetometers (sensors, 2 x sources); the largest value is about 1.
        """
        if self.kind == EEG:
            bumps = _bumps(self.places, sources, spread)
            return bumps if self.reference is None else bumps - _bumps(self.reference, sources, spread)
        height = np.linalg.norm(self.places, axis=1, keepdims=True)
        steps = (self.places / height)[:, None] - sources / np.linalg.norm(sources, axis=1, keepdims=True)
        bumps = np.exp(-((steps / spread) ** 2).sum(axis=2) / 2)
        sideways = np.cross(sources, [0.0, 0.0, 1.0]) + 1e-9  # a source at the very top has no side
        ways = np.stack([sideways, np.cross(sources, sideways)], axis=1)  # (sources, 2, 3)
        ways /= np.linalg.norm(ways, axis=2, keepdims=True)
        slopes = np.einsum("nsx,sdx->nsd", steps / spread, ways) * bumps[..., None] * np.exp(0.5)
        return (slopes * ((_HELMET_RADIUS / height) ** 2)[..., None]).reshape(len(self.names), -1)


@lru_cache
def eeg_sensors() -> Sensors:
    """The 63 electrodes of THINGS-EEG2, and their reference."""
    places, reference = positions(FACTS.channels), positions((FACTS.reference,))
    return Sensors(FACTS.channels, places, EEG, "V", 1e-6, FACTS.occipital_channels, reference)


@lru_cache
def meg_sensors() -> Sensors:
    """A helmet of about a hundred radial magnetometers on a part of a sphere that reaches lower at the back. Ours.

    They lie evenly. THINGS-MEG's own helmet has 272 axial gradiometers at other places.
    """
    number = np.arange(_POINTS)
    height, turn = 1 - 2 * (number + 0.5) / _POINTS, number * np.pi * (3 - np.sqrt(5))  # the golden angle
    flat = np.sqrt(1 - height**2)
    sphere = np.stack([flat * np.sin(turn), flat * np.cos(turn), height], axis=1)
    front, back = _RIM
    rim = (front + back) / 2 + (front - back) / 2 * sphere[:, 1]
    places = sphere[np.arcsin(height) > rim] * _HELMET_RADIUS
    names = tuple(f"MEG{number:03d}" for number in range(1, len(places) + 1))
    occipital = tuple(name for name, (_, y, z) in zip(names, places, strict=True) if y < -0.45 and z < 0.75)
    return Sensors(names, places, MEG, "T", 2e-14, occipital)


def positions(channels: tuple[str, ...]) -> np.ndarray:
    """Electrode positions (channels, 3) in units of the head's radius."""
    places = _montage()
    centre, radius = (np.array([0.0, -0.015, 0.01]), 0.1)
    return np.array([(places[name] - centre) / radius for name in channels])


def distances(these: np.ndarray, those: np.ndarray) -> np.ndarray:
    """Distances (n, m) between points (n, 3) and (m, 3)."""
    return np.linalg.norm(these[:, None] - those[None], axis=2)


def _bumps(places: np.ndarray, sources: np.ndarray, spread: float) -> np.ndarray:
    return np.exp(-((distances(places, sources) / spread) ** 2) / 2)


@lru_cache
def _montage() -> dict[str, np.ndarray]:
    places: dict[str, np.ndarray] = mne.channels.make_standard_montage(FACTS.montage).get_positions()["ch_pos"]
    return places
