"""Raw recordings -> epochs: events, window, baseline, filter, rate, channels, rejection."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import mne
import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.errors import InputError

CHUNK = 256
"""Epochs cut at once (ours): bounds memory to a few hundred megabytes at THINGS-EEG2's size."""
MODALITIES = {"eeg": ("eeg", "eog", "ecg", "emg", "ecog", "seeg", "dbs"), "meg": ("mag", "grad", "ref_meg")}
"""Channel types that are measured in volts, and in tesla (gradiometers: tesla per metre)."""


@dataclass(frozen=True)
class EpochSettings:
    """How epochs are cut. Everything that the numbers in a store depend on is here, and is saved with a checkpoint.

    Args:
        window (`tuple[float, float]`): seconds around the onset that are kept, the end not included.
        baseline (`tuple[float, float]` or None): seconds whose mean is subtracted from each channel; may begin
            before the window. None subtracts nothing.
        sampling_rate (`float` or None): rate in Hz that epochs are resampled to; None keeps the recording's.
        band (`tuple[float | None, float | None]`): pass band in Hz of a zero-phase FIR filter applied to the
            continuous recording; None leaves that side open.
        reject (`float` or None): an epoch in which a channel's peak-to-peak exceeds this, in volts, is dropped; not
            for MEG.
        channels (`tuple[str, ...]`): names in the order they are kept; empty takes all EEG (or MEG) channels.
    """

    window: tuple[float, float] = (0.0, 1.0)
    baseline: tuple[float, float] | None = (-0.2, 0.0)
    sampling_rate: float | None = None
    band: tuple[float | None, float | None] = (None, None)
    reject: float | None = None
    channels: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.window[0] < self.window[1]:
            raise InputError(f"window {self.window} s is empty: its end must come after its start.")
        if self.baseline is not None and not self.baseline[0] < self.baseline[1]:
            raise InputError(f"baseline {self.baseline} s is empty: its end must come after its start.")
        for name, value in (("sampling_rate", self.sampling_rate), ("reject", self.reject)):
            if value is not None and not 0 < value < np.inf:
                raise InputError(f"{name} is {value}: it must be a number above zero.")
        low, high = self.band
        if (low is not None and low <= 0) or (high is not None and high <= (low or 0)):
            raise InputError(f"band {self.band} Hz: both edges must be above zero and the second above the first.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "EpochSettings":
        """The inverse of [`to_dict`], also after a way through JSON, which has no tuples."""
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**plain)

    def num_timesteps(self, sampling_rate: float) -> int:
        """Samples an epoch keeps at `sampling_rate` (that of the recording) or at the rate asked for."""
        rate = self.sampling_rate or sampling_rate
        return round((self.window[1] - self.window[0]) * rate)


def choose_channels(raw: mne.io.BaseRaw, channels: Sequence[str], path: object) -> list[str]:
    """Names of the channels to keep, in order: those asked for, or all EEG channels (MEG where there is no EEG).

    Raises:
        InputError: for a name that the recording does not have, names of different kinds, or a recording without EEG
            and MEG.
    """
    if channels:
        missing = [name for name in channels if name not in raw.ch_names]
        if missing:
            raise InputError(
                f"{path} has no channel {', '.join(missing)}; it has {_some(raw.ch_names)}. Correct --channels, or "
                "leave the file out."
            )
        if len(set(channels)) != len(channels):
            raise InputError(f"channels {', '.join(channels)}: a name occurs twice, name it once.")
        modality_of(raw, channels, path)
        return list(channels)
    for kinds in ({"eeg": True}, {"meg": True}):
        picks = mne.pick_types(raw.info, **kinds, exclude=())
        if picks.size:
            return [raw.ch_names[index] for index in picks]
    kinds_found = ", ".join(sorted(set(raw.get_channel_types()))) or "none"
    raise InputError(
        f"{path} has no EEG or MEG channel (types of its channels: {kinds_found}): set their types with MNE and save "
        "the file."
    )


def modality_of(raw: mne.io.BaseRaw, channels: Sequence[str], path: object) -> str:
    """Whether channels are in volts ("eeg") or in tesla ("meg").

    Raises:
        InputError: for channels that are neither, or of both kinds.
    """
    kinds = dict(zip(channels, raw.get_channel_types(picks=list(channels)), strict=True))
    found = {}
    for name, kind in kinds.items():
        modality = next((one for one, members in MODALITIES.items() if kind in members), None)
        if modality is None:
            raise InputError(
                f"{path}: channel {name} is of type {kind}, neither EEG nor MEG: leave it out of --channels, or set "
                "its type with MNE and save the file."
            )
        found[modality] = name
    if len(found) > 1:
        raise InputError(
            f"{path}: channels {' and '.join(found.values())} are EEG and MEG: name one kind in --channels."
        )
    return next(iter(found))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:40]) + (f" and {len(names) - 40} more" if len(names) > 40 else "")


def cut_epochs(
    raw: mne.io.BaseRaw, samples: NDArray[np.int64], settings: EpochSettings, channels: Sequence[str]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Cut epochs around `samples`, a chunk at a time.

    The steps are MNE's: band-pass of the whole recording, epochs, baseline, rejection, FFT resampling, crop. Events
    too near an end of the recording, overlapping a `BAD` annotation, rejected, or without any signal (every channel
    constant: the amplifier was off) are left out.

    Args:
        raw (`mne.io.BaseRaw`): the recording; it is not changed.
        samples (`numpy.ndarray` of shape `(events,)`): onsets in samples from the first stored one.
        settings (`EpochSettings`): how to cut.
        channels (sequence of `str`): from [`choose_channels`].

    Yields:
        Which of `samples` were kept, `(kept,)`, and their epochs in volts (MEG: tesla), `(kept, channels, samples)`.

    Raises:
        InputError: if rate, band or rejection do not suit the recording.
    """
    _check_settings(raw, settings, channels)
    raw = _filtered(raw, settings.band, channels)
    start_time, stop_time = _span(settings, raw.info["sfreq"])
    for start in range(0, len(samples), CHUNK):
        events = np.zeros((len(samples[start : start + CHUNK]), 3), dtype=np.int64)
        events[:, 0] = samples[start : start + CHUNK] + raw.first_samp
        events[:, 2] = np.arange(start, start + len(events)) + 1  # the code carries the row through rejection
        epochs = mne.Epochs(
            raw,
            events,
            tmin=start_time,
            tmax=stop_time,
            baseline=settings.baseline,
            picks=list(channels),
            reject=_reject(raw, settings.reject, channels),
            preload=True,
            event_repeated="error",
            on_missing="ignore",
            verbose="ERROR",
        )
        if len(epochs):
            epochs = epochs[np.ptp(epochs.get_data(copy=False), axis=2).any(axis=1)]
        if len(epochs):
            yield epochs.events[:, 2].astype(np.int64) - 1, _resample_and_crop(epochs, settings)


def _check_settings(raw: mne.io.BaseRaw, settings: EpochSettings, channels: Sequence[str]) -> None:
    name, rate = raw.filenames[0] or "the recording", raw.info["sfreq"]
    if settings.sampling_rate is not None and settings.sampling_rate > rate:
        raise InputError(
            f"{name} has {rate:g} Hz, less than the {settings.sampling_rate:g} Hz asked for: lower --rate."
        )
    if any(edge is not None and edge >= rate / 2 for edge in settings.band):
        raise InputError(
            f"{name} has {rate:g} Hz, and the band {settings.band} Hz reaches its Nyquist frequency, {rate / 2:g} Hz: "
            "lower --filter."
        )
    if settings.reject is not None and modality_of(raw, channels, name) == "meg":
        raise InputError(f"{name} is MEG, and --reject {settings.reject:g} is in volts: leave it out.")


def _span(settings: EpochSettings, rate: float) -> tuple[float, float]:
    """First and last time of what is cut: window and baseline, and as many samples more as resampling takes away."""
    edges = [*settings.window, *(settings.baseline or ())]
    start, stop = round(min(edges) * rate), round(max(edges) * rate)
    resampled = settings.sampling_rate or rate
    needed = round((settings.window[0] - start / rate) * resampled) + settings.num_timesteps(rate)
    while round((stop - start + 1) * resampled / rate) < needed:
        stop += 1
    return min(edges), max(max(edges), stop / rate)


def _filtered(raw: mne.io.BaseRaw, band: tuple[float | None, float | None], channels: Sequence[str]) -> mne.io.BaseRaw:
    if band == (None, None):
        return raw
    raw = raw.copy().pick(list(channels)).load_data(verbose="ERROR")
    return raw.filter(*band, picks="all", verbose="ERROR")


def _reject(raw: mne.io.BaseRaw, volts: float | None, channels: Sequence[str]) -> dict[str, float] | None:
    if volts is None:
        return None
    kinds = {raw.get_channel_types(picks=[name])[0] for name in channels}
    return dict.fromkeys(sorted(kinds), volts)


def _resample_and_crop(epochs: mne.Epochs, settings: EpochSettings) -> NDArray[np.float64]:
    if settings.sampling_rate is not None and settings.sampling_rate != epochs.info["sfreq"]:
        epochs = epochs.resample(settings.sampling_rate, verbose="ERROR")
    rate = epochs.info["sfreq"]
    first = round((settings.window[0] - epochs.tmin) * rate)
    return epochs.get_data(copy=False)[..., first : first + settings.num_timesteps(rate)]
