"""What THINGS-EEG2's users do to a raw recording, plainly and slowly, with MNE, scikit-learn and SciPy.

Written from the published steps, apart from the package, of which it uses nothing. Tests compare with it; a benchmark
takes its time.
"""

from itertools import count
from pathlib import Path

import mne
import numpy as np
from scipy.linalg import fractional_matrix_power
from sklearn.covariance import LedoitWolf
from sklearn.preprocessing import StandardScaler
from sklearn.utils import shuffle

SEED = 20200220
CATCH = 99999
MOST_REPEATS = {"train": 2, "test": 20}
FILES = {"train": "raw_eeg_training.npy", "test": "raw_eeg_test.npy"}


def read(path):
    """A raw file as an `mne.io.Raw`."""
    content = np.load(path, allow_pickle=True).item()
    info = mne.create_info(content["ch_names"], content["sfreq"], content["ch_types"], verbose="ERROR")
    return mne.io.RawArray(content["raw_eeg_data"], info, verbose="ERROR")


def picture_events(raw):
    """Samples and codes of the pictures, in the order of time."""
    events = mne.find_events(raw, "stim", consecutive=True, shortest_event=1, initial_event=True, verbose="ERROR")
    events = events[events[:, 2] != CATCH]
    return events[:, 0], events[:, 2]


def cut(raw, samples, channels, window=(0.0, 1.0), baseline=(-0.2, 0.0), rate=250.0, reject=None):
    """Epochs by MNE alone: the places in `samples` of those it keeps, and their values."""
    recorded = raw.info["sfreq"]
    edges = [*window, *(baseline or ())]
    length = round((window[1] - window[0]) * (rate or recorded))
    for extra in count():  # a resampled epoch may end a sample before the window does
        epochs = mne.Epochs(
            raw,
            np.column_stack([samples + raw.first_samp, np.zeros_like(samples), np.arange(1, len(samples) + 1)]),
            tmin=min(edges),
            tmax=max(edges) if extra == 0 else (round(max(edges) * recorded) + extra) / recorded,
            baseline=baseline,
            picks=list(channels),
            reject=reject,
            preload=True,
            on_missing="ignore",
            verbose="ERROR",
        )
        if len(epochs) == 0:
            return np.zeros(0, int), np.zeros((0, len(channels), length))
        places = epochs.events[:, 2] - 1
        if rate is not None:
            epochs.resample(rate, verbose="ERROR")
        first = max(0, round((window[0] - epochs.tmin) * epochs.info["sfreq"]))
        values = epochs.get_data(copy=True)[:, :, first : first + length]
        if values.shape[2] == length:
            return places, values


def covariance(epoch):
    """The Ledoit-Wolf covariance of one epoch (channels, samples), standardised before and scaled back after."""
    scaler = StandardScaler().fit(epoch.T)
    shrunk = LedoitWolf(store_precision=False).fit(scaler.transform(epoch.T)).covariance_
    return np.diag(scaler.scale_) @ shrunk @ np.diag(scaler.scale_)


def session_covariance(pictures):
    """The mean over repeats, then over pictures, of a list of (repeats, channels, samples)."""
    return np.mean([np.mean([covariance(epoch) for epoch in repeats], axis=0) for repeats in pictures], axis=0)


def whiten(pictures, matrix):
    return [np.array([matrix @ epoch for epoch in repeats]) for repeats in pictures]


def session(folder, channels):
    """Whitened epochs of the session in `folder` and what they are.

    Returns, for "train" and "test", a list with for every code shown, in order, (code, samples of its repeats, epochs
    of its repeats), repeats as the shuffle orders them.
    """
    shown, pictures = {}, {}
    for split, file in FILES.items():
        raw = read(Path(folder) / file)
        samples, codes = picture_events(raw)
        places, values = cut(raw, samples, channels)
        samples, codes = samples[places], codes[places]
        chosen = [
            shuffle(np.flatnonzero(codes == code), random_state=SEED)[: MOST_REPEATS[split]]
            for code in np.unique(codes)
        ]
        shown[split] = [(int(codes[rows[0]]), samples[rows].tolist()) for rows in chosen]
        pictures[split] = [values[rows] for rows in chosen]
    matrix = fractional_matrix_power(session_covariance(pictures["train"]), -0.5)
    whitened = {split: whiten(pictures[split], matrix) for split in FILES}
    return {
        split: [(*row, epochs) for row, epochs in zip(shown[split], whitened[split], strict=True)] for split in FILES
    }
