"""A recording -> trials as a checkpoint expects them."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.cutting import cut_epochs
from neuroclip_hf.data.epochs import choose_channels
from neuroclip_hf.data.recordings import NAME, Recording, check_signal
from neuroclip_hf.data.whitening import whiten
from neuroclip_hf.errors import InputError
from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor


def trials_of_recording(recording: Recording, trials: BrainFeatureExtractor) -> tuple[list[str], NDArray[np.float32]]:
    """Cut a recording as the checkpoint's training recordings were cut.

    Where those were whitened, this one is with the mean noise covariance of the training sessions, which the
    checkpoint carries.

    Args:
        recording (`Recording`): opened with [`open_recording`].
        trials (`BrainFeatureExtractor`): the checkpoint's.

    Returns:
        Names of the events whose epochs were kept, and the epochs `(kept, channels, samples)` in the checkpoint's
        unit and channel order.

    Raises:
        InputError: if channels or rate do not fit, a channel cannot be used, or no epoch survives.
    """
    raw, path = recording.raw, recording.file.path
    settings = replace(trials.epoch_settings, sampling_rate=trials.sampling_rate)
    missing = [name for name in trials.channel_names if name not in raw.ch_names]
    if missing:
        raise InputError(
            f"{path} lacks the channels {', '.join(missing)} of the checkpoint; it has "
            f"{', '.join(raw.ch_names[:40])}: rename them in the recording, or train on shared channels."
        )
    if raw.info["sfreq"] < (trials.sampling_rate or 0):
        raise InputError(
            f"{path} has {raw.info['sfreq']:g} Hz, less than the {trials.sampling_rate:g} Hz of the checkpoint: "
            "record faster, or train at a lower rate."
        )
    channels = choose_channels(raw, trials.channel_names, path)
    check_signal(recording, channels, "the checkpoint needs them, so mend the recording or train without them")
    events: pd.DataFrame = recording.events
    names, parts = [], []
    for rows, values in cut_epochs(raw, events[columns.SAMPLE].to_numpy(), settings, channels):
        whitened = values if trials.whitening is None else whiten(values, np.asarray(trials.whitening))
        names += [str(name) for name in events[NAME].to_numpy()[rows]]
        parts.append(whitened.astype(np.float32))
    if not parts:
        raise InputError(f"{path}: no epoch survived rejection and the recording's ends: nothing can be retrieved.")
    return names, np.concatenate(parts)
