"""Lab Streaming Layer, through MNE-LSL: a stream of samples, and the stream of markers beside it."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neuroclip_hf.errors import InputError
from neuroclip_hf.live.source import Block, Marker, StreamForm, StreamLost

LOOK = 1.0
"""Seconds in which all streams of a network answer (ours)."""
OPEN = 5.0
"""Seconds that a stream that was found may take to answer (ours)."""
MOST_SAMPLES = 4096
"""Samples taken at once (ours)."""
MOST_MARKERS = 64
"""Markers taken at once (ours). Every read makes room for so many texts; for 4,096 that takes over a millisecond."""
_SIGNALS = ("eeg", "meg", "mag")
_TEXT = "string"
_KINDS = {"meg": "mag", **dict.fromkeys(("trig", "trigger", "triggers", "marker", "markers"), "stim")}
_WORDS = {"volts": "V", "millivolts": "mV", "microvolts": "uV", "nanovolts": "nV", "tesla": "T", "femtotesla": "fT"}
_OF_POWERS = {"V": {0: "V", -3: "mV", -6: "uV", -9: "nV"}, "T": {0: "T", -12: "pT", -15: "fT"}}


class LSLSource:
    """Reads a stream of the Lab Streaming Layer.

    Times are brought to this machine's clock, as the layer does it ("clocksync"). A stream of markers is one without a
    rate: of texts, of numbers, or of a channel for each name (as MNE-LSL's player sends annotations).

    Args:
        stream (`str`, *optional*): name of the stream of samples; without it there must be one only.
        markers (`str`, *optional*): name of the stream of markers; without it there must be one at most, and where
            there is none the stimulus channel of the samples says when events are.

    Raises:
        InputError: if MNE-LSL is not installed, or finds no liblsl.
    """

    def __init__(self, stream: str | None = None, markers: str | None = None) -> None:
        self._lsl = _library()
        self._stream, self._markers = stream, markers
        self._samples: Any = None
        self._events: Any = None
        self._event_names: list[str] = []

    def connect(self, timeout: float) -> StreamForm:
        """Find the streams; see [`StreamSource`]."""
        found, events = self._find(timeout)
        self.close()
        try:
            self._samples = self._open(found)
            info = self._samples.get_sinfo(OPEN)
            form = _form(info, "" if events is None else events.name)
            if events is not None:
                self._events = self._open(events)
                told = self._events.get_sinfo(OPEN)
                self._event_names = told.get_channel_names() or []
        except (RuntimeError, TimeoutError) as error:
            self.close()
            raise StreamLost(f"The stream {found.name} does not answer ({error})") from None
        # A later look is for the same streams, whatever others have begun since.
        self._stream, self._markers = form.name, form.markers or None
        return form

    def read(self, timeout: float) -> Block:
        """What has arrived; see [`StreamSource`]."""
        try:
            values, when = self._samples.pull_sample(timeout)
            arrived = time.perf_counter()
            if when is None:
                return Block(np.empty((0, 0)), np.empty(0), arrived, self._pull_markers())
            more, times = self._samples.pull_chunk(0.0, MOST_SAMPLES)
            markers = self._pull_markers()
        except RuntimeError as error:  # of MNE-LSL: lost, or worse
            raise StreamLost(f"The stream {self._stream} has ended ({error})") from None
        # The arrays are windows on MNE-LSL's own memory, so they are copied before the next call.
        return Block(np.concatenate([values[None], more]), np.concatenate([[when], times]), arrived, markers)

    def close(self) -> None:
        """Let go of the streams."""
        for inlet in (self._samples, self._events):
            if inlet is not None:
                inlet._del()  # it has no public name; a reference kept by an exception would keep the stream open
        self._samples = self._events = None

    def _open(self, info: Any) -> Any:
        inlet = self._lsl.StreamInlet(info, processing_flags=["clocksync"], recover=False)
        inlet.open_stream(OPEN)
        inlet.time_correction(OPEN)  # else the first marker waits for it, and with it the samples of that block
        return inlet

    def _pull_markers(self) -> list[Marker]:
        if self._events is None:
            return []
        found: list[Marker] = []
        taken = MOST_MARKERS
        while taken == MOST_MARKERS:
            rows, times = self._events.pull_chunk(0.0, MOST_MARKERS)
            taken = len(times)
            for row, when in zip(rows, times, strict=True):
                if name := _marker_name(row, self._event_names):
                    found.append(Marker(name, float(when)))
        return found

    def _find(self, timeout: float) -> tuple[Any, Any]:
        """The descriptions of both streams; the second is None where there is none."""
        end = time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            there = self._resolve(left)
            signals = [one for one in there if self._is_signal(one)]
            events = [one for one in there if self._is_marker(one)]
            if len(signals) == 1 and (events or self._markers is None):
                return signals[0], self._choose(events, "markers")
            if len(signals) > 1:
                self._choose(signals, "stream")
            if left <= LOOK:
                raise StreamLost(self._missing(timeout, signals, there))

    def _resolve(self, left: float) -> list[Any]:
        if self._stream is not None and self._markers is not None:
            per = max(0.01, min(LOOK, left) / 2)
            names = (self._stream, self._markers)
            return [one for name in names for one in self._lsl.resolve_streams(per, name=name)]
        return self._lsl.resolve_streams(max(0.01, min(LOOK, left)))

    def _is_signal(self, one: Any) -> bool:
        if self._stream is not None:
            return bool(one.name == self._stream)
        return bool(one.sfreq > 0 and one.dtype != _TEXT and one.stype.lower() in (*_SIGNALS, ""))

    def _is_marker(self, one: Any) -> bool:
        return bool(one.name == self._markers) if self._markers is not None else bool(one.sfreq == 0)

    def _choose(self, found: Sequence[Any], option: str) -> Any:
        if len(found) > 1:
            names = ", ".join(sorted(one.name for one in found))
            raise InputError(f"There are {len(found)} streams that may be meant ({names}): name one (--{option}).")
        return found[0] if found else None

    def _missing(self, timeout: float, signals: Sequence[Any], there: Sequence[Any]) -> str:
        if signals:
            what = f"stream of markers called {self._markers}"
        else:
            what = "stream of EEG or MEG" if self._stream is None else f"stream called {self._stream}"
        others = ", ".join(sorted(one.name for one in there)) or "none at all"
        return f"No {what} was found in {timeout:.3g} s; there are: {others}"


def _library() -> Any:
    """MNE-LSL, with its library as quiet as our own messages want it."""
    try:
        import mne_lsl.lsl
    except ImportError as error:
        raise InputError(f"Streams are read by MNE-LSL ({error}): pip install 'neuroclip-hf[live]'.") from None
    except (OSError, RuntimeError) as error:
        raise InputError(f"MNE-LSL finds no liblsl ({error}): install liblsl, or set MNE_LSL_LIB to it.") from None
    _quieten(mne_lsl.lsl)
    return mne_lsl.lsl


def _quieten(lsl: Any) -> None:
    """Without settings of the user's own, what liblsl tells of each loss on stderr would tear the table apart."""
    folders = (Path(), Path.home() / "lsl_api", Path("/etc/lsl_api"))
    if "LSLAPICFG" in os.environ or any((folder / "lsl_api.cfg").is_file() for folder in folders):
        return
    try:
        lsl.set_config_content("[log]\nlevel = -3\n")
    except (AttributeError, NotImplementedError):  # liblsl before 1.17.7 has no such switch
        return


def _form(info: Any, markers: str) -> StreamForm:
    count = info.n_channels
    names = info.get_channel_names() or [f"{place}" for place in range(count)]
    stated = info.get_channel_types() or [info.stype.lower()] * count
    kinds = [(kind or info.stype).lower() for kind in stated]
    units = info.get_channel_units() or [""] * count
    if len(set(names)) != count:
        raise InputError(f"The stream {info.name} has two channels of one name: rename one.")
    return StreamForm(
        name=info.name,
        channel_names=tuple(names),
        kinds=tuple(_KINDS.get(kind, kind) for kind in kinds),
        units=tuple(_unit(text or "", kind) for text, kind in zip(units, kinds, strict=True)),
        sampling_rate=float(info.sfreq),
        markers=markers,
    )


def _unit(said: str, kind: str) -> str:
    """A unit as streams write it ("microvolts", "uV", MNE-LSL's power of ten) in our words; "" if unknown."""
    text = said.strip()
    known = {name for powers in _OF_POWERS.values() for name in powers.values()} | {"\u00b5V", "\u03bcV"}
    if text in known:
        return text
    try:
        return _OF_POWERS["T" if kind in ("mag", "grad", "meg") else "V"].get(int(text), "")
    except ValueError:
        return _WORDS.get(text.lower() if text.lower().endswith(("s", "a")) else f"{text.lower()}s", "")


def _marker_name(row: Any, names: Sequence[str]) -> str:
    """What a sample of a stream of markers says; "" for nothing."""
    if isinstance(row[0], str):
        return str(row[0])
    values = np.asarray(row)
    if len(values) == 1:
        return f"{values[0]:g}" if values[0] else ""
    places = np.flatnonzero(values)
    return "" if not len(places) else names[places[0]] if names else str(places[0])
