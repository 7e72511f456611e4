"""Trials of any origin -> the form in which a checkpoint reads them: channels, unit, rate, window, whitening."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.finishing import covers, finish_epochs
from neuroclip_hf.data.recordings import FLAT, MARKED_BAD, NOT_FINITE
from neuroclip_hf.data.units import factor
from neuroclip_hf.data.whitening import whiten
from neuroclip_hf.errors import InputError
from neuroclip_hf.processing.channel_plan import plan_channels

if TYPE_CHECKING:
    from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor

VOLTS_BEGIN = 1e-9
"""Noise above this is measured in volts, below in tesla (ours): EEG has microvolts, MEG less than a nanotesla."""
SPREADS = (1e-3, 1e3)
"""How many times the spread of training trials that of others may be (ours): a wrong unit is a thousand or more."""
WHITENED = "sd"
OWN, TRAINING = "own", "training"
"""Whose noise covariance a processor whitens with: that of the trials it was calibrated on, or of the training."""


@dataclass(frozen=True)
class GivenTrials:
    """Trials, and what their numbers mean.

    Args:
        values (`numpy.ndarray` of shape `(trials, channels, samples)` or `(trials, voxels)`): the numbers.
        channel_names (sequence of `str`, *optional*): `None` where they are the checkpoint's, in its order.
        sampling_rate (`float`, *optional*): Hz; `None` where it is the checkpoint's.
        unit (`str`, *optional*): "V", "uV", ..., "sd" for whitened trials; `None` where it is the checkpoint's, and
            nothing is left to convert or to whiten.
        window_start (`float`, *optional*): seconds from the onset to the first sample; `None` where it is the
            checkpoint's.
        bad_channels (sequence of `str`): names of channels that were marked bad.
    """

    values: NDArray[np.floating]
    channel_names: Sequence[str] | None = None
    sampling_rate: float | None = None
    unit: str | None = None
    window_start: float | None = None
    bad_channels: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, value in (("sampling_rate", self.sampling_rate), ("window_start", self.window_start)):
            number = isinstance(value, int | float | np.number) and not isinstance(value, bool) and np.isfinite(value)
            if value is not None and not (number and (name == "window_start" or value > 0)):
                unit = "seconds" if name == "window_start" else "Hz, above zero"
                raise InputError(f"{name} is {value!r}: give it as a number, in {unit}.")


def bring_into_form(
    given: GivenTrials, form: "BrainFeatureExtractor", *, interpolate: bool = False, whitened: bool = True
) -> tuple[NDArray[np.floating], list[str]]:
    """Bring trials into the form of a checkpoint's training trials, before they were standardised.

    In this order: channels by name, missing ones interpolated where asked; unit; baseline, rate and window as those of
    the checkpoint's recordings; whitening with the mean noise covariance of the training sessions.

    Args:
        given (`GivenTrials`): the trials.
        form (`BrainFeatureExtractor`): of the checkpoint.
        interpolate (`bool`): interpolate electrodes that are missing, or whose signal cannot be used.
        whitened (`bool`): whiten, where the checkpoint's trials were.

    Returns:
        `(trials, channels, samples)` or `(trials, voxels)` in the checkpoint's unit, and what was done, in words.

    Raises:
        InputError: naming what does not fit and cannot be mended.
    """
    values, notes = _channels(given, form, interpolate)
    if not np.isfinite(values).all():
        raise InputError("The trials hold NaN or infinite values: leave those trials or channels out.")
    scale, whitening = unit_steps(given.unit, form)
    if scale != 1.0:
        values = values * scale
        notes.append(f"converted from {given.unit} by a factor of {scale:g}")
    if len(form.trial_shape) == 2:
        values, said = _in_time(values, given, form)
        notes += said
    if values.shape[1:] != form.trial_shape:
        wanted = " x ".join(map(str, form.trial_shape))
        raise InputError(
            f"The trials have shape {values.shape}; the checkpoint takes (batch, "
            f"{'channels, samples' if len(form.trial_shape) > 1 else 'voxels'}) of {wanted}."
        )
    if whitening is not None and whitened:
        values = whiten(values, whitening)
        notes.append(whitening_note(form))
    if given.unit is not None and whitened:
        check_spread(values, form, "The trials")
    return values, notes


def unit_steps(unit: str | None, form: "BrainFeatureExtractor") -> tuple[float, NDArray[np.float64] | None]:
    """What trials in a unit are multiplied by, and by which matrix they are whitened then, if by any.

    Raises:
        InputError: for a unit that does not lead to the checkpoint's.
    """
    if unit is None:
        return 1.0, None
    scale = factor(unit, form.unit)
    if scale is not None:
        return scale, None
    if form.unit != WHITENED:
        raise InputError(f"unit is {unit}, and the checkpoint reads {form.unit}: give trials in {form.unit}.")
    if form.whitening is None:
        raise InputError(
            f"unit is {unit}, and the checkpoint reads whitened trials (sd) and carries no noise covariance to whiten "
            "others with: give trials in sd."
        )
    whitening = np.asarray(form.whitening)
    measured = "V" if 1 / np.median(np.diagonal(whitening)) > VOLTS_BEGIN else "T"
    scale = factor(unit, measured)
    if scale is None:
        raise InputError(f"unit is {unit}, and the checkpoint's recordings were in {measured}: give trials in that.")
    return scale, whitening


def whitening_note(form: "BrainFeatureExtractor") -> str:
    """What trials were whitened with, in words."""
    own = form.calibration is not None and form.calibration.get("whitening") == OWN
    return f"whitened with the noise covariance {'of the calibration' if own else 'of the training sessions'}"


def check_spread(values: NDArray[np.floating], form: "BrainFeatureExtractor", whose: str) -> None:
    """Refuse trials whose spread is far from that of the training trials: they are in another unit than was said.

    Args:
        values (`numpy.ndarray`): in the checkpoint's form, not standardised.
        form (`BrainFeatureExtractor`): of the checkpoint.
        whose (`str`): for messages.
    """
    if values.ndim == 3:
        spread = float(np.median(values.std(axis=-1)) / np.asarray(form.std))
    else:
        spread = float(np.median(np.abs(values - np.asarray(form.mean)) / np.asarray(form.std)))
    if not SPREADS[0] <= spread <= SPREADS[1]:
        raise InputError(
            f"{whose}: the values are {spread:.2g} times as large as those of the training trials: "
            + ("they hardly change." if spread == 0 else "say the unit that they are in, or scale them to it.")
        )


def window_of(form: "BrainFeatureExtractor") -> EpochSettings:
    """How a checkpoint's trials lie in time: window, rate, and the baseline where recordings were cut."""
    rate = form.sampling_rate or 1.0
    end = form.window_start + (form.num_timesteps or 0) / rate
    baseline = None if form.epochs is None else form.epoch_settings.baseline
    return EpochSettings(window=(form.window_start, end), baseline=baseline, sampling_rate=rate)


def _channels(
    given: GivenTrials, form: "BrainFeatureExtractor", interpolate: bool
) -> tuple[NDArray[np.floating], list[str]]:
    values, dimensions = np.asarray(given.values), len(form.trial_shape)
    if values.dtype.kind not in "fiu":
        raise InputError(f"The trials are of type {values.dtype}: give numbers.")
    values = values.astype(np.result_type(values.dtype, np.float32), copy=False)
    values = values[None] if values.ndim == dimensions else values
    if given.channel_names is None:
        return values, []
    names = list(given.channel_names)
    if values.ndim != dimensions + 1 or values.shape[1] != len(names):
        raise InputError(
            f"The trials have shape {values.shape} but {len(names)} channel names: give (batch, "
            f"{'channels, samples' if dimensions > 1 else 'voxels'}) and a name for each channel."
        )
    electrodes = dimensions == 2
    unusable = _unusable(values, names) if electrodes and given.unit is not None else {}
    unusable |= dict.fromkeys(given.bad_channels, MARKED_BAD)
    plan = plan_channels(
        form.channel_names,
        names,
        whose="The trials",
        electrodes=electrodes,
        unusable=unusable,
        interpolate=interpolate,
    )
    place_of = {name: place for place, name in reversed(list(enumerate(names)))}
    return plan.apply(values[:, [place_of[name] for name in plan.sources]]), list(plan.notes)


def _unusable(values: NDArray[np.floating], names: Sequence[str]) -> dict[str, str]:
    lowest, highest = values.min(axis=(0, 2)), values.max(axis=(0, 2))
    finite = np.isfinite(lowest) & np.isfinite(highest)
    wrong = {NOT_FINITE: ~finite, FLAT: finite & (lowest == highest)}
    return {name: text for text, mask in wrong.items() for name, yes in zip(names, mask, strict=True) if yes}


def _in_time(
    values: NDArray[np.floating], given: GivenTrials, form: "BrainFeatureExtractor"
) -> tuple[NDArray[np.floating], list[str]]:
    """Baseline, rate and window; nothing is done to trials that say nothing of their times."""
    own = form.sampling_rate
    if own is None or (given.sampling_rate is None and given.window_start is None):
        return values, []
    rate, samples = given.sampling_rate or own, values.shape[-1]
    settings = window_of(form)
    start = given.window_start
    if start is None:
        if rate == own and samples == form.num_timesteps:
            return values, []
        if abs(samples / rate - settings.num_timesteps(own) / own) > 1 / own and rate >= own:
            raise InputError(
                f"The trials have {samples} samples at {rate:g} Hz, {samples / rate:g} s, and the checkpoint reads "
                f"{settings.window[0]:g} to {settings.window[1]:g} s: say window_start, the time of the first sample."
            )
        start = form.window_start
    notes = []
    baseline = settings.baseline
    if baseline is not None and not covers(baseline, start, samples, rate):
        settings = replace(settings, baseline=None)
        notes.append(
            f"the baseline of the training trials, {baseline[0]:g} to {baseline[1]:g} s, lies outside of the trials: "
            "taken as they are"
        )
    finished = finish_epochs(values, start, rate, settings)
    if rate != own:
        notes.append(f"resampled from {rate:g} to {own:g} Hz")
    return finished, notes
