"""What is done to an epoch after it was read: baseline, resampling and crop, as MNE does them."""

from dataclasses import dataclass
from functools import lru_cache

import mne
import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.resampling import EpochMap
from neuroclip_hf.errors import InputError

LARGEST_MAP = 8_000_000
"""Numbers in a resampling matrix (ours): 64 MB. Longer epochs are resampled one by one."""
IMPULSES = 4_000_000
"""Numbers in the unit impulses that are resampled at once (ours): 32 MB."""
TOGETHER = 64
"""Epochs that are finished at once (ours)."""


@dataclass(frozen=True)
class Span:
    """What is read of the recording for an epoch, at its own rate: more than the window where the steps need it.

    Args:
        first (`int`): the first sample, counted from the onset; count (`int`): how many there are.
        start (`float`): the first time in seconds, before it was rounded to a sample; rate (`float`): in Hz.
    """

    first: int
    count: int
    start: float
    rate: float

    @classmethod
    def of(cls, settings: EpochSettings, rate: float) -> "Span":
        """Window and baseline, and as many samples more as resampling takes away."""
        edges = [*settings.window, *(settings.baseline or ())]
        first, last = round(min(edges) * rate), round(max(edges) * rate)
        resampled = settings.sampling_rate or rate
        needed = round((settings.window[0] - first / rate) * resampled) + settings.num_timesteps(rate)
        while round((last - first + 1) * resampled / rate) < needed:
            last += 1
        return cls(first, last - first + 1, min(edges), rate)


def resampling_for(settings: EpochSettings, span: Span) -> EpochMap | None:
    """Baseline, resampling and crop as one map; None where MNE resamples nothing or too many samples for a matrix."""
    rate = settings.sampling_rate
    if rate is None or rate == span.rate or span.count * settings.num_timesteps(span.rate) > LARGEST_MAP:
        return None
    return _resampling_map(EpochSettings(settings.window, settings.baseline, rate), span)


@lru_cache(maxsize=4)  # the files of a dataset are cut alike
def _resampling_map(settings: EpochSettings, span: Span) -> EpochMap:
    """What MNE makes of each unit impulse."""
    step = max(1, IMPULSES // span.count)
    starts = range(0, span.count, step)
    impulses = (np.eye(min(step, span.count - start), span.count, start)[:, None] for start in starts)
    weights = np.concatenate([finish_by_mne(several, settings, span)[:, 0] for several in impulses])
    times = (span.first + np.arange(span.count)) / span.rate - settings.window[0]
    return EpochMap(weights, times * (settings.sampling_rate or span.rate))


def finish_by_mne(values: NDArray[np.float64], settings: EpochSettings, span: Span) -> NDArray[np.float64]:
    """Baseline, resampling and crop of `(epochs, channels, span.count)`."""
    info = mne.create_info(values.shape[1], span.rate, "eeg", verbose="ERROR")
    epochs = mne.EpochsArray(values, info, tmin=span.start, baseline=settings.baseline, proj=False, verbose="ERROR")
    if settings.sampling_rate is not None and settings.sampling_rate != span.rate:
        epochs = epochs.resample(settings.sampling_rate, verbose="ERROR")
    # A window that starts between two samples may start half of one before the first.
    first = max(0, round((settings.window[0] - epochs.tmin) * epochs.info["sfreq"]))
    return epochs.get_data(copy=False)[..., first : first + settings.num_timesteps(span.rate)]


def covers(window: tuple[float, float], start: float, samples: int, rate: float) -> bool:
    """Whether `samples` samples from the time `start` on reach over all of a window of seconds, to half a sample."""
    return start <= window[0] + 0.5 / rate and window[1] <= start + (samples - 0.5) / rate


def finish_epochs(
    values: NDArray[np.floating], start: float, rate: float, settings: EpochSettings
) -> NDArray[np.float64]:
    """Baseline, resampling and crop of epochs that were cut already: what [`cut_epochs`] does after reading them.

    Of epochs that are longer than what is read of a recording, no more than that is looked at; so the same epochs come
    out, whoever cut them.

    Args:
        values (`numpy.ndarray` of shape `(trials, channels, samples)`): the epochs.
        start (`float`): seconds from the onset to the first sample.
        rate (`float`): Hz.
        settings (`EpochSettings`): window, baseline (inside of the epochs) and rate.

    Returns:
        `(trials, channels, settings.num_timesteps(rate))`, in the unit of `values`.

    Raises:
        InputError: for epochs slower than they shall be, or that do not reach over window and baseline.
    """
    wanted = settings.sampling_rate or rate
    if wanted > rate:
        raise InputError(f"The trials have {rate:g} Hz, less than the {wanted:g} Hz of the checkpoint: record faster.")
    span = Span.of(settings, rate)
    skipped = span.first - round(start * rate)
    count = min(span.count, values.shape[-1] - skipped)
    needed = round((settings.window[0] - span.first / rate) * wanted) + settings.num_timesteps(rate)
    if skipped < 0 or round(count * wanted / rate) < needed:
        edges = [*settings.window, *(settings.baseline or ())]
        raise InputError(
            f"The trials reach from {start:g} to {start + values.shape[-1] / rate:g} s ({values.shape[-1]} samples at "
            f"{rate:g} Hz), and {min(edges):g} to {max(edges):g} s are needed: cut them longer."
        )
    span = Span(span.first, count, span.start, rate)
    resampling = resampling_for(settings, span)
    finished = np.empty((*values.shape[:2], settings.num_timesteps(rate)))
    for first in range(0, len(values), TOGETHER):
        some = values[first : first + TOGETHER, :, skipped : skipped + count].astype(np.float64)
        if resampling is None:
            finished[first : first + TOGETHER] = finish_by_mne(some, settings, span)
        else:
            levels = some[..., 0].copy()
            resampling.apply(list(some - levels[..., None]), levels, finished[first : first + TOGETHER])
    return finished
