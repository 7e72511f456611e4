"""A checkpoint's statistics fitted anew, on unlabelled trials of another subject or session."""

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.data.whitening import NoiseCovariance, whiten, whitening_matrix
from neuroclip_hf.errors import InputError
from neuroclip_hf.processing.moments import moments_in_time
from neuroclip_hf.processing.trial_form import OWN, TRAINING, check_spread

if TYPE_CHECKING:
    from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor

FEWEST_TRIALS = 8
"""Trials that mean and scale are measured on at least (ours)."""
TRIALS_A_CHANNEL = 2
"""Trials that a whitening of one's own takes, for each channel (ours): with fewer, that of the checkpoint is kept."""


def calibrated(
    form: "BrainFeatureExtractor", values: NDArray[np.floating], *, to_whiten: bool, subject: str = ""
) -> "BrainFeatureExtractor":
    """The brain side of a processor with the statistics of these trials in place of the training trials'.

    Fitted are the mean of each channel and one scale (of patterns: both of each voxel), after whitening where the
    checkpoint whitens; and the whitening itself, where there are at least [`TRIALS_A_CHANNEL`] trials a channel. The
    noise covariance is the mean over trials of what [`NoiseCovariance`] makes of each. No label is looked at.

    Args:
        form (`BrainFeatureExtractor`): of the checkpoint; it is not changed.
        values (`numpy.ndarray` of shape `(trials, channels, samples)` or `(trials, voxels)`): single trials in the
            checkpoint's form, see [`bring_into_form`], not whitened where `to_whiten`.
        to_whiten (`bool`): whether they are to be whitened yet.
        subject (`str`): whose they are, as far as that is known.

    Returns:
        A new brain side, whose `calibration` says how many `trials` it was fitted on, whose `whitening` it has ("own",
        "training" or None) and the `subject`.

    Raises:
        InputError: for too few trials, trials in another unit, or a channel that never changes.
    """
    if len(values) < FEWEST_TRIALS:
        raise InputError(f"{len(values)} trials are too few to calibrate on: give at least {FEWEST_TRIALS}.")
    spans = np.ptp(values, axis=(0, *range(2, values.ndim)))
    flat = [name for name, value in zip(form.channel_names, spans, strict=True) if value == 0]
    if flat:
        raise InputError(
            f"{', '.join(flat[:5])}{', ...' if len(flat) > 5 else ''} never change in the {len(values)} trials to "
            "calibrate on: give more trials, or mend the channels."
        )
    known = whiten(values, np.asarray(form.whitening)) if to_whiten else values
    check_spread(known, form, "The trials to calibrate on")  # a whitening of their own would hide a wrong unit
    found = copy.deepcopy(form)
    whitening = None
    if to_whiten:
        whitening = OWN if len(values) >= TRIALS_A_CHANNEL * len(form.channel_names) else TRAINING
        if whitening == OWN:
            found.whitening = _own_whitening(values).tolist()
        values = whiten(values, np.asarray(found.whitening))
    if form.num_timesteps is None:
        mean = values.mean(axis=0, dtype=np.float64)
        std: Any = values.std(axis=0, dtype=np.float64).tolist()
    else:
        mean, std, _ = moments_in_time(values)
    found.mean, found.std = mean.tolist(), std
    found.calibration = {"trials": len(values), "whitening": whitening, "subject": subject or None}
    found.check()
    return found


def _own_whitening(values: NDArray[np.floating]) -> NDArray[np.float64]:
    try:
        return whitening_matrix(NoiseCovariance().add(values, [0] * len(values)).result())
    except ValueError as error:
        raise InputError(
            f"The trials to calibrate on cannot be whitened: {error}; give more, or other trials."
        ) from None
