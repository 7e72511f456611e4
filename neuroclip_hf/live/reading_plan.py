"""Which of a stream's channels are read for a checkpoint, and how much of it an epoch takes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import mne
import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.data.channel_names import match_channels
from neuroclip_hf.data.epochs import MODALITIES, EpochSettings
from neuroclip_hf.data.finishing import Span
from neuroclip_hf.data.units import factor
from neuroclip_hf.errors import InputError
from neuroclip_hf.live.settings import LiveSettings
from neuroclip_hf.live.source import StreamForm
from neuroclip_hf.processing.channel_plan import plan_channels
from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor

_MEG = MODALITIES["meg"]


@dataclass(frozen=True)
class ReadingPlan:
    """What is read of a stream for a checkpoint.

    Args:
        names (`tuple[str, ...]`): of the channels; places (`numpy.ndarray`): where they are in a sample.
        scales (`numpy.ndarray`): what each is multiplied by to be in `unit`, "V" or "T".
        stim (`int`, *optional*): place of the channel whose steps are the events, where no stream of markers comes.
        span (`Span`): of an epoch, as it is cut from a recording.
        settings (`EpochSettings`): of the checkpoint.
        history (`int`): samples before the epoch that are filtered with it; 0 without a filter.
        notes (`tuple[str, ...]`): what is done beyond reading, in words.
    """

    names: tuple[str, ...]
    places: NDArray[np.int64]
    scales: NDArray[np.float64]
    unit: str
    stim: int | None
    span: Span
    settings: EpochSettings
    history: int
    notes: tuple[str, ...]

    @classmethod
    def of(cls, form: BrainFeatureExtractor, stream: StreamForm, settings: LiveSettings) -> "ReadingPlan":
        """Plan it.

        Raises:
            InputError: naming what of the stream does not fit the checkpoint, and the remedy.
        """
        if len(form.trial_shape) == 1:
            raise InputError("The checkpoint reads patterns, and streams are of EEG or MEG: name another run.")
        rate, epochs = stream.sampling_rate, replace(form.epoch_settings, sampling_rate=form.sampling_rate)
        _check_rate(rate, epochs, stream)
        data = [
            name
            for name, kind in zip(stream.channel_names, stream.kinds, strict=True)
            if not kind or any(kind in members for members in MODALITIES.values())
        ]
        whose = f"The stream {stream.name}"
        plan = plan_channels(form.channel_names, data, whose=whose, interpolate=settings.interpolate)
        own = set(match_channels(form.channel_names, data, whose).values())
        if settings.interpolate:
            own |= set(data)
        names = tuple(name for name in data if name in own)
        places = np.array([stream.channel_names.index(name) for name in names])
        unit, scales = _scales(stream, names, settings.unit)
        history = _filter_length(rate, epochs) // 2
        notes = [*plan.notes]
        if rate != form.sampling_rate:
            notes.append(f"resampled from {rate:g} to {form.sampling_rate:g} Hz")
        if history:
            notes.append(
                f"filtered ({_band(epochs)}) up to the end of each epoch: a recording is filtered with what comes "
                "later, too"
            )
        span = Span.of(epochs, rate)
        stim = _stim(stream, settings)
        return cls(names, places, scales, unit, stim, span, epochs, history, tuple(notes))


def _check_rate(rate: float, epochs: EpochSettings, stream: StreamForm) -> None:
    wanted = epochs.sampling_rate or 0.0
    if not 0 < rate < np.inf:
        raise InputError(f"The stream {stream.name} has no steady rate ({rate:g} Hz): name one of EEG or MEG.")
    if rate < wanted:
        raise InputError(
            f"The stream {stream.name} has {rate:g} Hz, less than the {wanted:g} Hz of the checkpoint: record faster, "
            "or train at a lower rate."
        )
    if any(edge is not None and edge >= rate / 2 for edge in epochs.band):
        raise InputError(
            f"The stream {stream.name} has {rate:g} Hz, and the checkpoint's filter ({_band(epochs)}) reaches its "
            f"Nyquist frequency, {rate / 2:g} Hz: record faster."
        )


def _scales(stream: StreamForm, names: Sequence[str], unit: str | None) -> tuple[str, NDArray[np.float64]]:
    """The unit that channels are brought to, and what each is multiplied by."""
    places = [stream.channel_names.index(name) for name in names]
    wanted = "T" if all(stream.kinds[place] in _MEG for place in places) else "V"
    scales = []
    for name, place in zip(names, places, strict=True):
        said = unit or stream.units[place]
        if not said:
            raise InputError(
                f"The stream {stream.name} does not say the unit of {name}: say it (unit, --unit), as in uV."
            )
        scale = factor(said, wanted)
        if scale is None:
            raise InputError(f"The stream {stream.name}: {name} is in {said}, not in {wanted}: say its unit (--unit).")
        scales.append(scale)
    return wanted, np.array(scales)


def _stim(stream: StreamForm, settings: LiveSettings) -> int | None:
    if stream.markers:
        return None
    if "stim" not in stream.kinds:
        raise InputError(
            f"Nothing says when events are: the stream {stream.name} has no stimulus channel, and there is no stream "
            "of markers beside it: start one, or name it (--markers)."
        )
    return stream.kinds.index("stim")


def _filter_length(rate: float, epochs: EpochSettings) -> int:
    if epochs.band == (None, None):
        return 0
    return len(mne.filter.create_filter(None, rate, *epochs.band, verbose="ERROR"))


def _band(epochs: EpochSettings) -> str:
    low, high = epochs.band
    return f"{'' if low is None else f'{low:g}'} to {'' if high is None else f'{high:g} '}Hz".strip()
