"""Streams of the Lab Streaming Layer itself, sent in this process."""

import itertools
import os
from contextlib import closing
from dataclasses import replace

import mne
import numpy as np
import pytest

from neuroclip_hf.errors import InputError
from neuroclip_hf.live import LiveSession, LiveSettings, StreamLost

try:
    from mne_lsl.lsl import StreamInfo, StreamOutlet, local_clock
    from mne_lsl.player import PlayerLSL
except (ImportError, OSError, RuntimeError) as error:
    pytest.skip(f"needs MNE-LSL and liblsl: {error}", allow_module_level=True)

from neuroclip_hf.live.epoching import LATE
from neuroclip_hf.live.lsl import MOST_MARKERS, LSLSource, _marker_name, _unit

SETTINGS = LiveSettings(silence=1.0, wait=8.0)
_numbers = itertools.count()


@pytest.fixture
def name():
    """Others on this network, and other tests, send streams too."""
    return f"neuroclip-test-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def send(name):
    """Play a recording under the test's name, until the test ends or the player is stopped."""
    players = []

    def start(raw, **options):
        options = {"chunk_size": 4, "annotations_encoding": "string", **options}
        players.append(PlayerLSL(raw, n_repeat=1, name=name, annotations=True, **options).start())
        return players[-1]

    yield start
    for player in players:
        if player._outlet is not None:
            player.stop()


@pytest.fixture
def long(raw):
    """The recording with two seconds of its beginning before it: a reader needs one until it is connected."""
    values = raw.get_data()
    made = mne.io.RawArray(np.concatenate([values[:, :200], values], axis=1), raw.info, verbose="ERROR")
    events = raw.annotations
    return made.set_annotations(mne.Annotations(events.onset + 2.0, 0.0, events.description))


@pytest.fixture
def outlets(name):
    """Streams of samples and of markers that are there until they are closed, and send when they are told."""
    opened = []

    def start(info):
        samples = StreamInfo(name, "EEG", len(info.ch_names), info["sfreq"], "float64", name)
        samples.set_channel_info(info)
        markers = StreamInfo(f"{name}-annotations", "Markers", 1, 0, "string", f"{name}-annotations")
        opened.extend(StreamOutlet(one) for one in (samples, markers))
        return opened[-2:]

    yield start
    for outlet in opened:
        outlet._del()


def test_a_stream_gives_what_its_recording_gives(name, outlets, raw, decoder, offline):
    """All of it is sent at once, so that it does not matter how fast this machine reads."""
    raw = raw.copy().crop(0, LATE - 1)  # the first marker is then still heard, and the first sample still kept
    wanted = offline(raw)
    samples, markers = outlets(raw.info)
    session = LiveSession(LSLSource(name, f"{name}-annotations"), decoder, replace(SETTINGS, silence=60.0))
    running = session.run(seconds=120)
    said = [next(running).text]  # it is connected
    assert samples.wait_for_consumers(60)
    assert markers.wait_for_consumers(60)
    begin = local_clock()
    for onset, text in zip(raw.annotations.onset, raw.annotations.description, strict=True):
        markers.push_sample([str(text)], begin + onset)
    samples.push_chunk(raw.get_data().T, begin + raw.times)
    latest = {}
    for item in running:
        if hasattr(item, "text"):
            said.append(item.text)
            continue
        latest[item.mean.name] = item.mean
        if session.answers == sum(count for _, count, _ in wanted):
            break
    running.close()
    assert session.left_out == 0, said
    assert len(latest) == len(wanted) > 3
    for event, count, matches in wanted:
        mine = latest[event]
        assert mine.trials == count
        assert [m.image_id for m in mine.matches] == [found for found, _, _ in matches]
        np.testing.assert_allclose([m.score for m in mine.matches], [score for _, score, _ in matches], atol=2e-6)


def test_a_stream_that_ended_is_found_again_as_it_is_then(name, outlets, raw):
    with closing(LSLSource(name, f"{name}-annotations")) as source:
        for rate in (raw.info["sfreq"], 250.0):
            sending = outlets(raw.copy().resample(rate, verbose="ERROR").info)
            form = source.connect(60.0)
            assert (form.sampling_rate, form.channel_names, form.units) == (rate, tuple(raw.ch_names), ("V",) * 5)
            for outlet in sending:
                outlet._del()


def test_what_the_layer_calls_lost_is_lost(name):
    class Inlet:
        def pull_sample(self, timeout):
            raise RuntimeError("the stream has been lost")

    source = LSLSource(name)
    source._samples = Inlet()
    with pytest.raises(StreamLost, match=r"has ended \(the stream has been lost\)"):
        source.read(0.1)


@pytest.mark.slow
def test_a_player_that_changes_loses_a_channel_sends_nan_and_stops(name, send, long, decoder):
    """One after the other, as on a bad day: each is said, and then the stream is read as before."""
    broken = long.copy()
    broken._data[2] = np.nan
    session = LiveSession(LSLSource(name, f"{name}-annotations"), decoder, SETTINGS)
    script = [
        (long, "Reading"),
        (long.copy().resample(200, verbose="ERROR"), "Its rate is 200 Hz, and was 100 Hz"),
        (long.copy().drop_channels(["O1"]), "channels O1 are missing"),
        (broken, "NaN or infinite values come from O1"),
        (long, "answer"),
    ]
    running, said, player = session.run(seconds=60), [], None
    for recording, words in script:
        if player is not None:
            player.stop()
        player = send(recording, annotations_encoding="one-hot")
        for item in running:
            said.append(getattr(item, "text", "answer"))
            if words in said[-1]:
                break
        else:
            pytest.fail(f"{words!r} was never said: {said}")
    running.close()
    # In the layer's words that it ended, or in ours that nothing comes; one that does not fit is no new loss.
    assert sum(": looking for it for " in text for text in said) == 3, said


def test_there_is_no_such_stream(name):
    with pytest.raises(StreamLost, match=f"No stream called {name} was found in 0.2 s; there are: "):
        LSLSource(name).connect(0.2)


def test_which_stream_is_meant_has_to_be_said(name):
    outlets = [StreamOutlet(StreamInfo(f"{name}-{number}", "EEG", 1, 100, "float32", name)) for number in range(2)]
    with pytest.raises(InputError, match=r"streams that may be meant \(.*name one \(--stream\)"):
        LSLSource().connect(5.0)
    assert len(outlets) == 2


def test_markers_that_wait_are_all_taken(name):
    waiting = [[f"event {number}"] for number in range(2 * MOST_MARKERS + 5)]

    class Inlet:
        def pull_chunk(self, timeout, most):
            taken = [waiting.pop(0) for _ in range(min(most, len(waiting)))]
            return taken, np.arange(len(taken))

    source = LSLSource(name)
    source._events = Inlet()
    assert len(source._pull_markers()) == 2 * MOST_MARKERS + 5
    assert waiting == []


@pytest.mark.parametrize(
    ("said", "kind", "unit"),
    [
        *(("microvolts", "eeg", "uV"), ("Volts", "eeg", "V"), ("volt", "eeg", "V"), ("uV", "eeg", "uV")),
        *(("0", "eeg", "V"), ("-6", "eeg", "uV"), ("-15", "mag", "fT"), ("femtotesla", "mag", "fT")),
        *(("", "eeg", ""), ("none", "eeg", ""), ("-7", "eeg", ""), ("counts", "eeg", "")),
    ],
)
def test_units_as_streams_write_them(said, kind, unit):
    assert _unit(said, kind) == unit


@pytest.mark.parametrize(
    ("row", "names", "said"),
    [
        *((["a.jpg"], [], "a.jpg"), (np.array([7]), [], "7"), (np.array([2.0]), ["code"], "2")),
        *((np.array([0.0, -1.0]), ["a", "b"], "b"), (np.array([0.0, 0.0]), ["a", "b"], ""), (np.array([0]), [], "")),
    ],
)
def test_what_markers_say(row, names, said):
    assert _marker_name(row, names) == said
