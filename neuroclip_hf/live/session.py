"""Reads a stream for as long as it is there and again when it comes back, and answers every event."""

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from neuroclip_hf.errors import InputError
from neuroclip_hf.live.decoding import Answer, RunningDecoder
from neuroclip_hf.live.epoching import Epocher, LeftOut
from neuroclip_hf.live.settings import LiveSettings
from neuroclip_hf.live.source import Block, StreamForm, StreamLost, StreamSource

POLL = 0.1
"""Seconds that a read waits at most (ours): how late Ctrl-C and silence are noticed; samples are not kept waiting."""
RETRY = 1.0
"""Seconds that one of many looks for a stream takes at most (ours)."""


@dataclass(frozen=True)
class Notice:
    """Something that the reader should know, in words: how the stream is, and what was left out."""

    text: str


class LiveSession:
    """Reads a stream and answers its events, whatever becomes of the stream.

    A stream that stops, or is announced anew with another rate or other channels, is looked for until it fits again;
    epochs that were under way are lost, means go on. An epoch with NaN, or without some of its samples, is left out.

    Args:
        source (`StreamSource`): where blocks come from.
        decoder (`RunningDecoder`): what answers.
        settings (`LiveSettings`): how the stream is read.
    """

    def __init__(self, source: StreamSource, decoder: RunningDecoder, settings: LiveSettings) -> None:
        self._source, self._decoder, self._settings = source, decoder, settings
        self.answers = self.left_out = 0
        self._not_finite: list[str] = []
        self._said = ""

    def run(self, seconds: float | None = None) -> Generator[Answer | Notice, None, None]:
        """Read until the stream has been away for `settings.wait` seconds.

        Args:
            seconds (`float`, *optional*): to read at most.

        Yields:
            Answers, and notices about the stream, as they come.

        Raises:
            InputError: if at the beginning there is no stream, or none that fits the checkpoint.
        """
        end = None if seconds is None else time.monotonic() + seconds
        try:
            epocher: Epocher | None = self._first()
            while epocher is not None:
                yield from self._describe(epocher)
                lost = yield from self._read(epocher, end)
                if lost is None:
                    return
                yield from self._lose(epocher, lost)
                epocher = yield from self._find_again(epocher.stream, end)
        finally:
            self._source.close()

    def _first(self) -> Epocher:
        self._decoder.warm_up()  # before the stream is opened, whose samples would wait
        try:
            stream = self._source.connect(self._settings.wait)
        except StreamLost as error:
            raise InputError(f"{error}: start it, or name another (--stream, --markers).") from None
        return Epocher(self._decoder.processor.feature_extractor, stream, self._settings)

    def _describe(self, epocher: Epocher) -> Iterator[Notice]:
        stream = epocher.stream
        events = f"markers of {stream.markers}" if stream.markers else "steps of the stimulus channel"
        yield Notice(
            f"Reading {stream.name}: {len(stream.channel_names)} channels at {stream.sampling_rate:g} Hz; {events}."
        )
        yield from (Notice(f"{note[0].upper()}{note[1:]}.") for note in epocher.plan.notes)

    def _read(self, epocher: Epocher, end: float | None) -> Generator[Answer | Notice, None, str | None]:
        """Read until the stream is lost, which is returned in words; None where it is time to end."""
        latest = time.monotonic()
        while end is None or time.monotonic() < end:
            try:
                block = self._source.read(POLL)
            except StreamLost as error:
                return str(error)
            if len(block.times):
                latest = time.monotonic()
            elif time.monotonic() - latest > self._settings.silence:
                return f"No sample has come from {epocher.stream.name} for {self._settings.silence:g} s"
            yield from self._feed(epocher, block)
        return None

    def _feed(self, epocher: Epocher, block: Block) -> Iterator[Answer | Notice]:
        for found in epocher.feed(block):
            if isinstance(found, LeftOut):
                yield from self._leave_out(found)
                continue
            self.answers += 1
            self._said = ""
            yield self._decoder.add(found, block.arrived)
        yield from self._finite(epocher)

    def _leave_out(self, found: LeftOut) -> Iterator[Notice]:
        """A reason is said once until an epoch is good again: a dead electrode would fill the screen."""
        self.left_out += 1
        if found.reason != self._said:
            self._said = found.reason
            end = "" if found.reason.endswith(("?", ".")) else "."
            yield Notice(f"An epoch of {found.name!r} was left out: {found.reason}{end}")

    def _finite(self, epocher: Epocher) -> Iterator[Notice]:
        now = epocher.not_finite
        if now != self._not_finite:
            begun = [name for name in now if name not in self._not_finite]
            ended = [name for name in self._not_finite if name not in now]
            self._not_finite = list(now)
            if begun:
                yield Notice(f"NaN or infinite values come from {', '.join(begun)}.")
            if ended:
                yield Notice(f"Numbers come again from {', '.join(ended)}.")

    def _lose(self, epocher: Epocher, reason: str) -> Iterator[Notice]:
        under_way = len(epocher.pending)
        epochs = "1 epoch under way is" if under_way == 1 else f"{under_way} epochs under way are"
        lost = f" {epochs} lost." if under_way else ""
        yield Notice(f"{reason}: looking for it for {self._settings.wait:g} s.{lost}")
        self.left_out += under_way
        self._not_finite = []
        self._source.close()

    def _find_again(self, was: StreamForm, end: float | None) -> Generator[Notice, None, Epocher | None]:
        """Look for the stream until it is there, sends, and fits; None where it is not in time."""
        give_up = time.monotonic() + self._settings.wait
        said = ""
        while (left := min(give_up, end or give_up) - time.monotonic()) > 0:
            try:
                stream = self._source.connect(min(RETRY, left))
                epocher = Epocher(self._decoder.processor.feature_extractor, stream, self._settings)
                if self._sends(min(RETRY, left)):
                    yield from (Notice(text) for text in _changes(was, stream))
                    return epocher
            except StreamLost:
                pass
            except InputError as error:
                if str(error) != said:
                    said = str(error)
                    yield Notice(f"It is there, and does not fit the checkpoint: {said}")
                time.sleep(min(POLL, left))
            self._source.close()
        yield Notice(f"{was.name} did not come back.")
        return None

    def _sends(self, timeout: float) -> bool:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if len(self._source.read(POLL).times):
                return True
        return False


def _changes(was: StreamForm, now: StreamForm) -> Iterator[str]:
    yield f"{now.name} is back."
    if now.sampling_rate != was.sampling_rate:
        yield f"Its rate is {now.sampling_rate:g} Hz, and was {was.sampling_rate:g} Hz."
    for names, other, what in (
        (was.channel_names, now.channel_names, "Lost"),
        (now.channel_names, was.channel_names, "New"),
    ):
        gone = [name for name in names if name not in other]
        if gone:
            yield f"{what} channels: {', '.join(gone)}."
