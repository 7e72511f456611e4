"""Raw recordings -> epochs: events, window, baseline, filter, rate, channels, rejection."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

import mne
import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.errors import InputError

CHUNK = 64
"""Epochs handed on at once (ours): 8 MB at THINGS-EEG2's size, which an allocator gives out again without clearing."""
BLOCK_BYTES = 6_000_000
"""Samples cut at once (ours): few enough to stay in a processor's cache, enough for a matrix product at full speed."""
LARGEST_MAP = 8_000_000
"""Numbers in a resampling matrix (ours): 64 MB. Longer epochs are resampled one by one."""
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

    The steps are MNE's: band-pass of the whole recording, epochs, projection, rejection, baseline, FFT resampling,
    crop. Events too near an end of the recording, overlapping a `BAD` annotation, rejected, or without any signal
    (every channel constant: the amplifier was off) are left out. The last three steps are linear in an epoch's
    samples; so MNE does them once, to unit impulses, and epochs are multiplied by the result (ours): the same numbers
    to rounding, many times faster.

    Args:
        raw (`mne.io.BaseRaw`): the recording; it is not changed.
        samples (`numpy.ndarray` of shape `(events,)`): onsets in samples from the first stored one.
        settings (`EpochSettings`): how to cut.
        channels (sequence of `str`): from [`choose_channels`].

    Yields:
        Which of `samples` were kept, `(kept,)`, and their epochs in volts (MEG: tesla), `(kept, channels, samples)`.

    Raises:
        InputError: if rate, band or rejection do not suit the recording, or two events stand at one sample.
    """
    _check_settings(raw, settings, channels)
    _refuse_repeated(raw, samples)
    raw = _filtered(raw, settings.band, channels)
    span = _Span.of(settings, raw.info["sfreq"])
    picks = np.array([raw.ch_names.index(name) for name in channels])
    mixing = _projection(raw, picks)
    rows = _usable(raw, samples, span)
    block = max(1, BLOCK_BYTES // (8 * len(picks) * span.count))
    for chunk in (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)):
        kept, parts = [], []
        for part in (chunk[start : start + block] for start in range(0, len(chunk), block)):
            values = _read(raw, picks, samples[part] + span.first, span.count)
            values = values if mixing is None else mixing @ values
            good = _is_good(raw, picks, values, settings.reject)
            kept.append(part[good])
            parts.append(_finish(values if good.all() else values[good], settings, span))
        if sum(map(len, kept)):
            yield np.concatenate(kept), np.concatenate(parts)


@dataclass(frozen=True)
class _Span:
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
    def of(cls, settings: EpochSettings, rate: float) -> "_Span":
        """Window and baseline, and as many samples more as resampling takes away."""
        edges = [*settings.window, *(settings.baseline or ())]
        first, last = round(min(edges) * rate), round(max(edges) * rate)
        resampled = settings.sampling_rate or rate
        needed = round((settings.window[0] - first / rate) * resampled) + settings.num_timesteps(rate)
        while round((last - first + 1) * resampled / rate) < needed:
            last += 1
        return cls(first, last - first + 1, min(edges), rate)


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


def _refuse_repeated(raw: mne.io.BaseRaw, samples: NDArray[np.int64]) -> None:
    found, counts = np.unique(samples, return_counts=True)
    if (counts > 1).any():
        name = raw.filenames[0] or "the recording"
        raise InputError(f"{name}: two events stand at sample {found[counts > 1][0]}: leave one of them out.")


def _filtered(raw: mne.io.BaseRaw, band: tuple[float | None, float | None], channels: Sequence[str]) -> mne.io.BaseRaw:
    if band == (None, None):
        return raw
    raw = raw.copy().pick(list(channels)).load_data(verbose="ERROR")
    return raw.filter(*band, picks="all", verbose="ERROR")


def _projection(raw: mne.io.BaseRaw, picks: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """What MNE does to the channels of an epoch by the recording's projectors, as a matrix; None where it has none."""
    if not raw.info["projs"]:
        return None
    identity = np.eye(len(picks))[None]
    return mne.EpochsArray(identity, mne.pick_info(raw.info, picks), verbose="ERROR").get_data(copy=True)[0]


def _usable(raw: mne.io.BaseRaw, samples: NDArray[np.int64], span: _Span) -> NDArray[np.int64]:
    """Which events lie inside of the recording and outside of every `BAD` annotation."""
    starts = np.asarray(samples) + span.first
    stops = starts + span.count
    usable = (starts >= 0) & (stops <= raw.n_times)
    marks = raw.annotations
    for place in [row for row, text in enumerate(marks.description) if text.lower().startswith("bad")]:
        onset = marks.onset[place] - raw.first_time
        usable &= (stops / span.rate <= onset) | (starts / span.rate >= onset + marks.duration[place])
    return np.flatnonzero(usable)


def _read(raw: mne.io.BaseRaw, picks: NDArray[np.int64], starts: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Samples `(epochs, channels, count)` from each of `starts`; what epochs share is read from the file once."""
    values = np.empty((len(starts), len(picks), count))
    order = np.argsort(starts)
    gaps = np.flatnonzero(np.diff(starts[order]) > count) + 1
    for rows in np.split(order, gaps):
        first = starts[rows[0]]
        stretch = raw.get_data(picks, first, starts[rows[-1]] + count)
        for row in rows:
            values[row] = stretch[:, starts[row] - first : starts[row] - first + count]
    return values


def _is_good(
    raw: mne.io.BaseRaw, picks: NDArray[np.int64], values: NDArray[np.float64], reject: float | None
) -> NDArray[np.bool_]:
    """Which epochs have a signal and, where asked for, no channel that moves too far (marked bad ones may)."""
    good = (values[..., :8] != values[..., :1]).any(axis=(1, 2))  # says yes of nearly all, at once
    for row in np.flatnonzero(~good):
        good[row] = (values[row] != values[row][:, :1]).any()
    if reject is not None:
        asked = [place for place, pick in enumerate(picks) if raw.ch_names[pick] not in raw.info["bads"]]
        good &= ~(np.ptp(values[:, asked], axis=2) > reject).any(axis=1)
    return good


def _finish(values: NDArray[np.float64], settings: EpochSettings, span: _Span) -> NDArray[np.float64]:
    """Baseline, resampling and crop of `(epochs, channels, span.count)`."""
    window, baseline, rate = tuple(settings.window), settings.baseline, settings.sampling_rate
    timesteps = settings.num_timesteps(span.rate)
    if rate is None or rate == span.rate or span.count * timesteps > LARGEST_MAP:
        return _finish_by_mne(values, span, window[0], timesteps, baseline, rate)
    weights = _resampling_matrix(span, window[0], timesteps, baseline and tuple(baseline), rate)
    return (values.reshape(-1, span.count) @ weights).reshape(*values.shape[:2], timesteps)


@lru_cache(maxsize=4)  # the files of a dataset are cut alike
def _resampling_matrix(
    span: _Span, window_start: float, timesteps: int, baseline: tuple[float, float] | None, rate: float
) -> NDArray[np.float64]:
    """Baseline, resampling and crop as a matrix (span.count, timesteps): what MNE makes of each unit impulse."""
    weights = np.empty((span.count, timesteps))
    for start in range(0, span.count, CHUNK):
        impulses = np.eye(min(CHUNK, span.count - start), span.count, start)[None]
        weights[start : start + CHUNK] = _finish_by_mne(impulses, span, window_start, timesteps, baseline, rate)[0]
    weights.flags.writeable = False  # it is shared
    return weights


def _finish_by_mne(
    values: NDArray[np.float64],
    span: _Span,
    window_start: float,
    timesteps: int,
    baseline: tuple[float, float] | None,
    rate: float | None,
) -> NDArray[np.float64]:
    if not len(values):
        return np.empty((*values.shape[:2], timesteps))
    info = mne.create_info(values.shape[1], span.rate, "eeg", verbose="ERROR")
    epochs = mne.EpochsArray(values, info, tmin=span.start, baseline=baseline, proj=False, verbose="ERROR")
    if rate is not None and rate != span.rate:
        epochs = epochs.resample(rate, verbose="ERROR")
    first = round((window_start - epochs.tmin) * epochs.info["sfreq"])
    return epochs.get_data(copy=False)[..., first : first + timesteps]
