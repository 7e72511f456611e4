"""A recording as a stream: its blocks, and a source that plays them, loses them and brings others."""

from dataclasses import replace
from time import perf_counter

import mne
import numpy as np
import pytest

from neuroclip_hf.data.recordings import NAME, find_recordings, open_recording
from neuroclip_hf.galleries import as_gallery, embed_gallery, retrieve
from neuroclip_hf.live import Block, LiveSession, LiveSettings, Marker, RunningDecoder, StreamForm, StreamLost

CLOCK = 5000.0  # what the clock of a stream says when it begins
QUICK = LiveSettings(silence=0.05, wait=0.2)


class ScriptedTime:
    """Stands for the module `time` in a session: waiting takes no time, and a busy machine is no silence."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        self.now += 1e-6  # to look takes time, too
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class ScriptedSource:
    """Plays a list: a form is a stream that can be connected to, blocks are read, and what is raised is raised.

    At its end, and before a form, nothing arrives.
    """

    def __init__(self, time, *script):
        self.time = time
        self.script = list(script)
        self.connected = 0

    def connect(self, timeout):
        while self.script and not isinstance(self.script[0], StreamForm):
            self.script.pop(0)
        if not self.script:
            self.time.sleep(timeout)
            raise StreamLost(f"No stream was found in {timeout:g} s")
        self.connected += 1
        return self.script.pop(0)

    def read(self, timeout):
        if not self.script or isinstance(self.script[0], StreamForm):
            self.time.sleep(timeout)
            return Block(np.empty((0, 0)), np.empty(0), perf_counter())
        item = self.script.pop(0)
        if isinstance(item, Exception):
            raise item
        return replace(item, arrived=perf_counter())

    def close(self):
        pass


def form_of(raw, markers="marks", **changes):
    kinds = tuple(raw.get_channel_types())
    form = StreamForm("cap", tuple(raw.ch_names), kinds, ("V",) * len(kinds), raw.info["sfreq"], markers)
    return replace(form, **changes)


def blocks_of(raw, chunk=7, begin=CLOCK):
    """A recording as it would arrive; a marker comes with the samples around it."""
    values, rate = raw.get_data().T, raw.info["sfreq"]
    times = begin + np.arange(len(values)) / rate
    onsets = raw.annotations.onset - raw.first_time
    named = [Marker(str(name), begin + onset) for name, onset in zip(raw.annotations.description, onsets, strict=True)]
    blocks = []
    for first in range(0, len(values), chunk):
        now = times[first : first + chunk]
        came = [one for one in named if first <= round((one.time - begin) * rate) < first + chunk]
        blocks.append(Block(values[first : first + chunk], now, 0.0, came))
    return blocks


def annotated(recording):
    """The recording with its events as annotations, and without its stimulus channel."""
    raw = recording.raw.copy().load_data(verbose="ERROR")
    onsets = recording.events["sample"].to_numpy() / raw.info["sfreq"]
    raw.set_annotations(mne.Annotations(onsets, 0.0, list(recording.events[NAME])))
    return raw.pick("eeg")


@pytest.fixture(scope="session")
def raw(simulated):
    """Twelve events of six pictures in six seconds; not to be changed."""
    path = simulated / "sub-01" / "ses-01" / "raw_eeg_test.npy"
    return annotated(open_recording(find_recordings([path])[0], ()))


@pytest.fixture(scope="session")
def embedded(trained, simulated):
    return embed_gallery(trained.model, trained.processor, as_gallery(simulated / "test_images"))


@pytest.fixture
def decoder(trained, embedded):
    return RunningDecoder(trained.model, trained.processor, embedded, top_k=3)


@pytest.fixture
def offline(trained, embedded):
    """What `retrieve` finds in a recording: event -> its entries and cosines."""

    def run(raw, **settings):
        found = retrieve(trained.model, trained.processor, raw, embedded, top_k=3, **settings)
        return [(one.name, one.trials, [(m.image_id, m.score, m.right) for m in one.matches]) for one in found.queries]

    return run


@pytest.fixture
def play(decoder, monkeypatch):
    """Run a session over a script; what came of it."""
    clock = ScriptedTime()
    monkeypatch.setattr("neuroclip_hf.live.session.time", clock)

    def run(*script, settings=QUICK, **options):
        session = LiveSession(ScriptedSource(clock, *script), decoder, settings)
        items = list(session.run(**options))
        answers = [item for item in items if hasattr(item, "mean")]
        notices = [item.text for item in items if hasattr(item, "text")]
        return session, answers, notices

    return run


def as_found(retrieved):
    return retrieved.name, retrieved.trials, [(m.image_id, m.score, m.right) for m in retrieved.matches]


@pytest.fixture(scope="session")
def scripts():
    """What test files take from here: `form_of`, `blocks_of`, `as_found` and the clock."""
    import types

    return types.SimpleNamespace(form_of=form_of, blocks_of=blocks_of, as_found=as_found, clock=CLOCK, quick=QUICK)
