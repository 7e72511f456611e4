"""What the voxels of a simulated subject answer to pictures, and the noise around it.

Amplitudes are in percent of a voxel's mean signal. All numbers are ours.
"""

import numpy as np

from neuroclip_hf.data.simulation.cortex import AREAS, make_cortex
from neuroclip_hf.data.simulation.pictures import APPEARANCE_SIZE, CODE_SIZE
from neuroclip_hf.data.simulation.randomness import random_of

NOISE_PERCENT = 1.0
"""Root mean square of the noise of a perception trial in every voxel, to which the signal-to-noise ratio refers."""

_NOISE_PARTS = ((0.25, 20.0), (0.4, 5.0))  # parts of its variance that neighbours share, and over how many millimetres
_WAVES = 256  # that make up a smooth field; more of them change little
_MAP_WIDTH = 9.0  # millimetres over which what voxels answer to stays similar
_SHARED, _OWN = 0.85, 0.53  # of what voxels answer to, by amplitude: the same in all people, and one's own
_AVERAGE_PERCENT = 0.8  # that every picture evokes
_DRIFT_PERCENT = 0.3  # of each of two slow waves in a run
_OFFSET_PERCENT = 0.2  # from run to run
_RUN_GAIN, _TRIAL_GAIN = 0.08, 0.2  # deviations of their logarithms
_IMAGINED_APPEARANCE, _IMAGINED_ATTRIBUTES, _IMAGINED_AVERAGE = 0.1, 0.5, 0.3  # of what a picture evokes
_IMAGERY_NOISE = 1.2
_RESOLUTION = 0.001  # of what is stored, in percent


class SubjectBrain:
    """The voxels of one subject, the same in all runs.

    Args:
        seed (`int`): of the simulation.
        subject (`int`): number of the subject.
        voxels (`int`): how many.
        snr (`float`): strength of the part that tells pictures apart; see the settings.
    """

    def __init__(self, seed: int, subject: int, voxels: int, snr: float) -> None:
        self._seed, self._subject = seed, subject
        self.cortex = make_cortex(voxels, random_of(seed, subject, "cortex"))
        random = random_of(seed, subject, "responses")
        strengths = np.array([area.strength for area in AREAS])[self.cortex.homes]
        self._responsiveness = strengths * np.exp(random.normal(0, 0.4, voxels))
        self._average = _AVERAGE_PERCENT * self._responsiveness
        self.weights = self._make_weights(snr, random)
        """(voxels, code size): percent of signal for each number of a picture's code."""
        # The squares of a voxel's row add up to the part of its variance that it shares with others.
        random = random_of(seed, subject, "noise")
        fields = [_waves(self.cortex.places, width, random) * np.sqrt(part) for part, width in _NOISE_PARTS]
        self._noise_fields = np.concatenate(fields, axis=1) * NOISE_PERCENT
        self._own_noise = NOISE_PERCENT * np.sqrt(1 - sum(part for part, _ in _NOISE_PARTS))

    def scan(self, kind: str, run: int, codes: np.ndarray, imagined: bool) -> np.ndarray:
        """The signal of a run, one row a trial, (trials, voxels) in percent.

        A trial is the average response and the part that its code drives, both times the trial's gain, plus noise that
        neighbouring voxels share and noise of their own, plus a slow drift. A run has its own gain and offset in every
        voxel. What is imagined evokes half of the attributes' part, a tenth of the appearance's and more noise.

        Args:
            kind (`str`): what the run is called beside others of its number.
            run (`int`): its number, from 1.
            codes (`numpy.ndarray`): (trials, code size) of the pictures shown or imagined.
            imagined (`bool`): imagined, rather than seen.
        """
        random = random_of(self._seed, self._subject, f"signal of {kind}", run)
        trials, voxels = len(codes), len(self._average)
        driven, average, noise = codes, self._average, 1.0
        if imagined:
            parts = np.where(np.arange(CODE_SIZE) < APPEARANCE_SIZE, _IMAGINED_APPEARANCE, _IMAGINED_ATTRIBUTES)
            driven, average, noise = codes * parts, average * _IMAGINED_AVERAGE, _IMAGERY_NOISE
        gains = np.exp(random.normal(0, _TRIAL_GAIN, (trials, 1)))
        signal = gains * (average + driven @ self.weights.T)
        signal += noise * random.standard_normal((trials, self._noise_fields.shape[1])) @ self._noise_fields.T
        signal += noise * self._own_noise * random.standard_normal((trials, voxels))
        times = (np.arange(trials) + 0.5) / trials
        slow = np.cos(np.pi * np.outer(times, (1, 2)))
        signal += _DRIFT_PERCENT * slow @ random.standard_normal((2, voxels))
        signal *= np.exp(random.normal(0, _RUN_GAIN, voxels))
        signal += random.normal(0, _OFFSET_PERCENT, voxels)
        # A round number keeps its bytes whatever order a library adds in.
        return np.rint(signal / _RESOLUTION) * _RESOLUTION

    def _make_weights(self, snr: float, random: np.random.Generator) -> np.ndarray:
        places, homes = self.cortex.places, self.cortex.homes
        weights = np.zeros((len(places), CODE_SIZE))
        for row, area in enumerate(AREAS):
            inside = homes == row
            # Everybody's maps are the same functions of the place, so they shift with the areas.
            shared_random = np.random.default_rng(np.random.SeedSequence([0xF3, row]))
            maps = _SHARED * _smooth_maps(places[inside], shared_random) + _OWN * _smooth_maps(places[inside], random)
            parts = ((slice(0, APPEARANCE_SIZE), area.appearance), (area.attributes, 1 - area.appearance))
            for numbers, part in parts:
                lengths = np.linalg.norm(maps[:, numbers], axis=1, keepdims=True)
                weights[inside, numbers] = np.sqrt(part) * maps[:, numbers] / lengths
        weights *= self._responsiveness[:, None]
        return weights * (snr * NOISE_PERCENT / np.sqrt((weights**2).sum(axis=1).mean()))


def _smooth_maps(places: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A smooth function of the place for each number of the code, (voxels, code size) of unit variance."""
    return _waves(places, _MAP_WIDTH, random) @ random.standard_normal((2 * _WAVES, CODE_SIZE))


def _waves(places: np.ndarray, width: float, random: np.random.Generator) -> np.ndarray:
    """Sines and cosines over space, (voxels, 2 x waves), each voxel's of unit length.

    Multiplied by random numbers they make a smooth Gaussian field: the correlation between two places falls with their
    distance like a bell of deviation `width` (Rahimi and Recht, NeurIPS 2007).
    """
    angles = places @ random.normal(0, 1 / width, (3, _WAVES))
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1) / np.sqrt(_WAVES)
