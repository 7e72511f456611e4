"""Streams of the Lab Streaming Layer itself, sent by MNE-LSL's player in this process."""

import itertools
import os
from dataclasses import replace

import mne
import numpy as np
import pytest

from neuroclip_hf.errors import InputError
from neuroclip_hf.live import LiveSession, LiveSettings, StreamLost

try:
    from mne_lsl.lsl import StreamInfo, StreamOutlet
    from mne_lsl.player import PlayerLSL
except (ImportError, OSError, RuntimeError) as error:
    pytest.skip(f"needs MNE-LSL and liblsl: {error}", allow_module_level=True)

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


def test_a_player_gives_what_its_recording_gives(name, send, long, decoder, offline):
    # The player stamps an annotation one sample before the sample that it stands at.
    settings = replace(SETTINGS, marker_delay=1 / long.info["sfreq"], wait=2.0)
    send(long)
    session = LiveSession(LSLSource(name, f"{name}-annotations"), decoder, settings)
    answers = [item for item in session.run() if hasattr(item, "mean")]
    assert (len(answers), session.left_out) == (12, 0)
    latest = {answer.mean.name: answer.mean for answer in answers}
    for event, count, matches in offline(long):
        mine = latest[event]
        assert mine.trials == count
        assert [m.image_id for m in mine.matches] == [found for found, _, _ in matches]
        np.testing.assert_allclose([m.score for m in mine.matches], [score for _, score, _ in matches], atol=2e-6)


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
