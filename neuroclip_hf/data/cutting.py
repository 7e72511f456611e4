"""Raw recordings -> epochs, as [`EpochSettings`] say."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import mne
import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.data._threads import map_blocks
from neuroclip_hf.data.epochs import EpochSettings, modality_of
from neuroclip_hf.data.finishing import Span, finish_by_mne, resampling_for
from neuroclip_hf.data.resampling import EpochMap
from neuroclip_hf.errors import InputError

CHUNK = 64
"""Epochs handed on at once (ours): 8 MB at THINGS-EEG2's size, which an allocator gives out again without clearing."""
BLOCK_BYTES = 5_000_000
"""Samples cut at once (ours): few enough to stay in a processor's cache, enough for a matrix product at full speed."""
BLOCKS_READ = 4
"""Blocks whose samples are read from the file at once (ours): 20 MB at most, of which neighbours share most."""


def cut_epochs(
    raw: mne.io.BaseRaw, samples: NDArray[np.int64], settings: EpochSettings, channels: Sequence[str]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Cut epochs around `samples`, a chunk at a time.

    The steps are MNE's: band-pass of the whole recording, epochs, projection, rejection, baseline, FFT resampling,
    crop. Events too near an end of the recording, overlapping a `BAD` annotation, rejected, or without any signal
    (every channel constant: the amplifier was off) are left out. The last three steps are linear in an epoch's
    samples; so MNE does them once, to unit impulses, and epochs are multiplied by the result (ours): the same numbers
    to eleven digits, many times faster.

    Args:
        raw (`mne.io.BaseRaw`): the recording; it is not changed.
        samples (`numpy.ndarray` of shape `(events,)`): onsets in samples from the first stored one.
        settings (`EpochSettings`): how to cut.
        channels (sequence of `str`): from [`neuroclip_hf.data.epochs.choose_channels`].

    Yields:
        Which of `samples` were kept, `(kept,)`, and their epochs in volts (MEG: tesla), `(kept, channels, samples)`.

    Raises:
        InputError: if rate, band or rejection do not suit the recording, or two events stand at one sample.
    """
    _check_settings(raw, settings, channels)
    _refuse_repeated(raw, samples)
    raw = _filtered(raw, settings.band, channels)
    span = Span.of(settings, raw.info["sfreq"])
    picks = np.array([raw.ch_names.index(name) for name in channels])
    cutter = _Cutter(raw, picks, settings, span, _projection(raw, picks), resampling_for(settings, span))
    rows = _usable(raw, samples, span)
    for chunk in (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)):
        good, values = cutter.cut(samples[chunk] + span.first)
        if good.any():
            yield chunk[good], values if good.all() else values[good]


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


def _usable(raw: mne.io.BaseRaw, samples: NDArray[np.int64], span: Span) -> NDArray[np.int64]:
    """Which events lie inside of the recording and outside of every `BAD` annotation."""
    starts = np.asarray(samples) + span.first
    stops = starts + span.count
    usable = (starts >= 0) & (stops <= raw.n_times)
    marks = raw.annotations
    for place in [row for row, text in enumerate(marks.description) if text.lower().startswith("bad")]:
        onset = marks.onset[place] - raw.first_time
        usable &= (stops / span.rate <= onset) | (starts / span.rate >= onset + marks.duration[place])
    return np.flatnonzero(usable)


@dataclass(frozen=True)
class _Cutter:
    """What the epochs of one recording have in common.

    Args:
        raw (`mne.io.BaseRaw`): the recording, filtered; picks (`numpy.ndarray`): its channels.
        settings (`EpochSettings`), span (`Span`): how to cut.
        mixing (`numpy.ndarray` of shape `(channels, channels)` or None): the projection.
        resampling (`EpochMap` or None): baseline, resampling and crop; None leaves them to MNE.
    """

    raw: mne.io.BaseRaw
    picks: NDArray[np.int64]
    settings: EpochSettings
    span: Span
    mixing: NDArray[np.float64] | None
    resampling: EpochMap | None

    def cut(self, starts: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Which epochs that are read from the samples `starts` on are good, and all of them, finished."""
        good = np.empty(len(starts), dtype=bool)
        finished = np.empty((len(starts), len(self.picks), self.settings.num_timesteps(self.span.rate)))
        block = max(1, BLOCK_BYTES // (8 * len(self.picks) * self.span.count))
        for first in range(0, len(starts), BLOCKS_READ * block):
            part = slice(first, first + BLOCKS_READ * block)
            self._cut_part(starts[part], block, good[part], finished[part])
        return good, finished

    def _cut_part(
        self, starts: NDArray[np.int64], block: int, good: NDArray[np.bool_], out: NDArray[np.float64]
    ) -> None:
        pieces, levels = self._read(starts)

        def finish(first: int) -> None:
            rows = slice(first, first + block)
            good[rows] = [self._is_good(piece) for piece in pieces[rows]]
            if self.resampling is None:
                out[rows] = finish_by_mne(np.stack(pieces[rows]), self.settings, self.span)
            else:
                self.resampling.apply(pieces[rows], levels[rows], out[rows])

        blocks = range(0, len(starts), block)
        if self.resampling is None:  # MNE is not made for threads
            for first in blocks:
                finish(first)
        else:
            map_blocks(finish, blocks)

    def _read(self, starts: NDArray[np.int64]) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
        """Epochs `(channels, span.count)` from each of `starts` on, and the levels `(channels,)` taken off each.

        What epochs share is read from the file once, and they are views of it.
        """
        pieces: dict[int, NDArray[np.float64]] = {}
        levels = np.zeros((len(starts), len(self.picks)))
        order = np.argsort(starts)
        gaps = np.flatnonzero(np.diff(starts[order]) > self.span.count) + 1
        for rows in np.split(order, gaps):
            first, last = starts[rows[0]], starts[rows[-1]]
            stretch = self.raw.get_data(self.picks, first, last + self.span.count)
            if self.mixing is not None:
                stretch = self.mixing @ stretch
            if self.resampling is not None:
                level = np.where(np.isfinite(stretch[:, 0]), stretch[:, 0], 0.0)
                levels[rows] = level
                stretch -= level[:, None]
            pieces |= {row: stretch[:, starts[row] - first :][:, : self.span.count] for row in rows}
        return [pieces[row] for row in range(len(starts))], levels

    def _is_good(self, values: NDArray[np.float64]) -> bool:
        """Whether an epoch has a signal and, where asked for, no channel that moves too far (marked bad ones may)."""
        # The first samples say yes of nearly all, at once.
        if not (values[:, :8] != values[:, :1]).any() and not (values != values[:, :1]).any():
            return False
        if self.settings.reject is None:
            return True
        bad = self.raw.info["bads"]
        asked = [place for place, pick in enumerate(self.picks) if self.raw.ch_names[pick] not in bad]
        return not (np.ptp(values[asked], axis=1) > self.settings.reject).any()
