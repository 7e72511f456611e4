"""Blocks of a stream -> epochs around its markers, in a checkpoint's form; nothing after an epoch is looked at."""

from dataclasses import dataclass

import mne
import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.errors import InputError
from neuroclip_hf.live.reading_plan import ReadingPlan
from neuroclip_hf.live.ring import RingBuffer
from neuroclip_hf.live.settings import LiveSettings
from neuroclip_hf.live.source import Block, Marker, StreamForm
from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor
from neuroclip_hf.processing.inputs import read_trials

LATE = 5.0
"""Seconds by which a marker may come later than its epoch's last sample (ours)."""
NO_SIGNAL = "no channel changes: is the amplifier off?"


@dataclass(frozen=True)
class LiveTrial:
    """An epoch in the checkpoint's form: `values` `(channels, samples)`, not standardised, and its event's name."""

    name: str
    values: NDArray[np.float32]


@dataclass(frozen=True)
class LeftOut:
    """An event whose epoch cannot be used, and why, in words."""

    name: str
    reason: str


class Epocher:
    """Cuts the epochs of one connection to a stream.

    Args:
        form (`BrainFeatureExtractor`): of the checkpoint.
        stream (`StreamForm`): what the stream says of itself.
        settings (`LiveSettings`): how it is read.

    `pending` are the events whose epochs are not complete yet; `not_finite` the channels that sent NaN or infinite
    values in the latest block.

    Raises:
        InputError: if the stream does not fit the checkpoint.
    """

    def __init__(self, form: BrainFeatureExtractor, stream: StreamForm, settings: LiveSettings) -> None:
        self.stream = stream
        self.plan = ReadingPlan.of(form, stream, settings)
        self.pending: list[Marker] = []
        self.not_finite: list[str] = []
        self._form, self._settings = form, settings
        span = self.plan.span
        kept = self.plan.history + span.count + round((LATE + settings.jitter) * span.rate)
        self._ring = RingBuffer(len(self.plan.names), kept)
        self._code: float | None = None
        # What MNE loads when it is first used would keep the first answer waiting. 1e-9: below any limit on an epoch.
        noise = np.random.default_rng(0).standard_normal((len(self.plan.names), span.count))
        self._finish("", 1e-9 * noise)

    def feed(self, block: Block) -> list[LiveTrial | LeftOut]:
        """Take in what arrived, and cut the epochs that it completes, in the order of their events."""
        if len(block.times):
            self._take(block)
        delay = self._settings.marker_delay
        markers = block.markers if self.plan.stim is None else self._steps(block, self.plan.stim)
        named = ((self._settings.meaning(one.name), one.time + delay) for one in markers)
        self.pending += [Marker(name, when) for name, when in named if name is not None]
        found, waiting = [], []
        for marker in sorted(self.pending, key=lambda one: one.time):
            cut = self._cut(marker)
            if cut is None:
                waiting.append(marker)
            else:
                found.append(cut)
        self.pending = waiting
        return found

    def _take(self, block: Block) -> None:
        values = block.values[:, self.plan.places] * self.plan.scales
        self._ring.add(values, block.times)
        broken = np.flatnonzero(~np.isfinite(values).all(axis=0))
        self.not_finite = [self.plan.names[place] for place in broken]

    def _steps(self, block: Block, stim: int) -> list[Marker]:
        """Where the stimulus channel rises, as `mne.find_events` finds it; the first sample of all is no event."""
        if not len(block.times):
            return []
        codes = np.abs(np.nan_to_num(block.values[:, stim]))
        before = np.concatenate([[codes[0] if self._code is None else self._code], codes[:-1]])
        self._code = float(codes[-1])
        rises = np.flatnonzero(codes > before)
        return [Marker(str(int(codes[row])), float(block.times[row])) for row in rises]

    def _cut(self, marker: Marker) -> LiveTrial | LeftOut | None:
        """The marker's epoch; None as long as samples of it are to come."""
        span, ring = self.plan.span, self._ring
        if ring.count and marker.time > ring.newest + LATE:
            ahead = marker.time - ring.newest
            return LeftOut(marker.name, f"its marker is {ahead:.3g} s ahead of the samples: their clocks differ")
        place = self._place(marker)
        if place is None:
            return None
        first = place + span.first
        if first < ring.first:
            return LeftOut(marker.name, "its samples were gone, or the stream began later")
        strays = self._strays(first)
        if strays is not None:
            return LeftOut(marker.name, strays)
        history = min(self.plan.history, first - ring.first)
        values = ring.values(first - history, history + span.count)
        if self.plan.history:
            values = mne.filter.filter_data(values, span.rate, *self.plan.settings.band, verbose="ERROR")
            values = values[:, history:]
        return self._finish(marker.name, values)

    def _place(self, marker: Marker) -> int | None:
        """Number of the sample at a marker, once all of its epoch is there.

        Times of single samples jitter; so the marker is placed on the steady line through those of its epoch (ours).
        """
        span, ring = self.plan.span, self._ring
        reach = (span.first + span.count - 1) / span.rate
        if not ring.count or ring.newest < marker.time + reach - self._settings.jitter - 1 / span.rate:
            return None
        near = ring.first + int(np.searchsorted(ring.times(ring.first, ring.count - ring.first), marker.time))
        begin = max(ring.first, near + span.first)
        count = min(span.count, ring.count - begin)
        if count < 1:
            return None
        times = ring.times(begin, count)
        offset = float(np.median(times - np.arange(count) / span.rate))
        place = begin + round((marker.time - offset) * span.rate)
        return place if place + span.first + span.count <= ring.count else None

    def _strays(self, first: int) -> str | None:
        """What is wrong with the times of an epoch's samples, if anything."""
        span = self.plan.span
        times = self._ring.times(first, span.count)
        line = times - np.arange(span.count) / span.rate
        worst = float(np.abs(line - np.median(line)).max())
        if worst <= self._settings.jitter:
            return None
        rate = (span.count - 1) / (times[-1] - times[0]) if times[-1] > times[0] else 0.0
        return (
            f"its samples are {1e3 * worst:.0f} ms off a steady {span.rate:g} Hz (they come at {rate:.4g} Hz): "
            "samples were lost, or the rate is not the announced one"
        )

    def _finish(self, name: str, values: NDArray[np.float64]) -> LiveTrial | LeftOut:
        if not (values != values[:, :1]).any():
            return LeftOut(name, NO_SIGNAL)
        reject = self.plan.settings.reject
        if reject is not None and (np.ptp(values, axis=1) > reject).any():
            return LeftOut(name, f"a channel moves by more than {1e6 * reject:g} uV, the checkpoint's limit")
        try:
            found = read_trials(
                values[None],
                self._form,
                channel_names=self.plan.names,
                sampling_rate=self.plan.span.rate,
                unit=self.plan.unit,
                window_start=self.plan.span.first / self.plan.span.rate,
                interpolate=self._settings.interpolate,
            )
        except InputError as error:
            return LeftOut(name, str(error))
        return LiveTrial(name, found.values[0])
