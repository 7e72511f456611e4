"""Where electrodes are."""

from functools import lru_cache

import mne
import numpy as np

from neuroclip_hf.data.things_eeg2 import FACTS


@lru_cache
def positions(channels: tuple[str, ...]) -> np.ndarray:
    """Electrode positions (channels, 3) in units of the head's radius."""
    places = mne.channels.make_standard_montage(FACTS.montage).get_positions()["ch_pos"]
    centre, radius = (np.array([0.0, -0.015, 0.01]), 0.1)
    return np.array([(places[name] - centre) / radius for name in channels])


def distances(these: np.ndarray, those: np.ndarray) -> np.ndarray:
    """Distances (n, m) between points (n, 3) and (m, 3)."""
    return np.linalg.norm(these[:, None] - those[None], axis=2)
