"""A recording -> trials as a checkpoint expects them."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.cutting import cut_epochs
from neuroclip_hf.data.epochs import MODALITIES, choose_channels
from neuroclip_hf.data.recordings import NAME, Recording, check_signal, unusable_channels
from neuroclip_hf.data.whitening import whiten
from neuroclip_hf.errors import InputError
from neuroclip_hf.processing.channel_plan import ChannelPlan, plan_channels
from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor
from neuroclip_hf.processing.trial_form import check_spread, whitening_note


def trials_of_recording(
    recording: Recording, form: BrainFeatureExtractor, *, interpolate: bool = False, whitened: bool = True
) -> tuple[list[str], NDArray[np.floating], list[str]]:
    """Cut a recording as the checkpoint's training recordings were cut.

    Where those were whitened, this one is with the mean noise covariance of the training sessions, which the
    checkpoint carries.

    Args:
        recording (`Recording`): opened with [`open_recording`].
        form (`BrainFeatureExtractor`): the checkpoint's.
        interpolate (`bool`): interpolate electrodes that are missing, marked bad, flat or not finite, as MNE does.
        whitened (`bool`): whiten, where the checkpoint's trials were.

    Returns:
        Names of the events whose epochs were kept, the epochs `(kept, channels, samples)` in the checkpoint's unit and
        channel order, and what was done beside cutting, in words.

    Raises:
        InputError: if channels, unit or rate do not fit, a channel cannot be used, or no epoch survives.
    """
    raw, path = recording.raw, recording.file.path
    settings = replace(form.epoch_settings, sampling_rate=form.sampling_rate)
    if raw.info["sfreq"] < (form.sampling_rate or 0):
        raise InputError(
            f"{path} has {raw.info['sfreq']:g} Hz, less than the {form.sampling_rate:g} Hz of the checkpoint: "
            "record faster, or train at a lower rate."
        )
    plan = _plan(recording, form, interpolate)
    channels = choose_channels(raw, plan.sources, path)
    if not interpolate:
        check_signal(recording, channels, "the checkpoint needs them, so mend the recording or train without them")
    matrix = None if form.whitening is None or not whitened else np.asarray(form.whitening)
    events: pd.DataFrame = recording.events
    names, parts = [], []
    for rows, values in cut_epochs(raw, events[columns.SAMPLE].to_numpy(), settings, channels):
        mended = plan.apply(values)
        names += [str(name) for name in events[NAME].to_numpy()[rows]]
        parts.append((mended if matrix is None else whiten(mended, matrix)).astype(np.float32 if whitened else float))
    if not parts:
        raise InputError(f"{path}: no epoch survived rejection and the recording's ends: nothing can be retrieved.")
    found, notes = np.concatenate(parts), list(plan.notes)
    if raw.info["sfreq"] != form.sampling_rate:
        notes.append(f"resampled from {raw.info['sfreq']:g} to {form.sampling_rate:g} Hz")
    if matrix is not None:
        notes.append(whitening_note(form))
    if whitened:
        check_spread(found, form, str(path))
    return names, found, notes


def _plan(recording: Recording, form: BrainFeatureExtractor, interpolate: bool) -> ChannelPlan:
    """Where the checkpoint's channels are; all electrodes are looked at only where some are to be interpolated."""
    raw, path = recording.raw, recording.file.path
    found = raw.ch_names
    if not interpolate:
        return plan_channels(form.channel_names, found, whose=str(path))
    kinds = dict(zip(found, raw.get_channel_types(), strict=True))
    electrodes = [name for name in found if kinds[name] == "eeg"]
    if not electrodes:
        raise InputError(f"{path} has no EEG channel, and interpolate is for electrodes: leave it out.")
    named = [name for name in found if name in form.channel_names and kinds[name] in MODALITIES["eeg"]]
    pool = [name for name in found if name in electrodes or name in named]
    unusable = unusable_channels(recording, pool)
    return plan_channels(form.channel_names, pool, whose=str(path), unusable=unusable, interpolate=True)
