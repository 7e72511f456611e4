"""`neuroclip stream` on a stream that MNE-LSL's player sends in this process."""

import itertools
import json
import os
import threading
from contextlib import contextmanager

import mne
import numpy as np
import pytest

from neuroclip_hf.cli.stream import _follow
from neuroclip_hf.data.recordings import NAME, find_recordings, open_recording
from neuroclip_hf.live import Notice
from neuroclip_hf.live.display import TextLines

_numbers = itertools.count()


@pytest.fixture
def lsl():
    """The Lab Streaming Layer, and its player."""
    try:
        import mne_lsl.lsl
        import mne_lsl.player
    except (ImportError, OSError, RuntimeError) as error:
        pytest.skip(f"needs MNE-LSL and liblsl: {error}")
    return mne_lsl


@pytest.fixture
def name():
    """Others on this network, and other tests, send streams too."""
    return f"neuroclip-verb-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def raw(simulated):
    """Twelve events in six seconds."""
    recording = open_recording(find_recordings([simulated / "sub-01" / "ses-01" / "raw_eeg_test.npy"])[0], ())
    raw, events = recording.raw.copy().pick("eeg"), recording.events
    return raw.set_annotations(mne.Annotations(events["sample"] / raw.info["sfreq"], 0.0, list(events[NAME])))


@pytest.fixture
def player(lsl, name, raw):
    """The recording, after two seconds in which a reader may find it."""
    values, events = raw.get_data(), raw.annotations
    made = mne.io.RawArray(np.concatenate([values[:, :200], values], axis=1), raw.info, verbose="ERROR")
    made.set_annotations(mne.Annotations(events.onset + 2.0, 0.0, events.description))
    options = {"chunk_size": 5, "annotations": True, "annotations_encoding": "string"}
    player = lsl.player.PlayerLSL(made, name=name, **options).start()
    yield player
    player.stop()


@pytest.fixture
def sent(lsl, name, raw):
    """While a context lasts, send the first whole events again and again, all of them at once; says how many."""
    raw = raw.crop(0, 4.0)  # what comes at once has to fit what a session keeps
    info = lsl.lsl.StreamInfo(name, "EEG", len(raw.ch_names), raw.info["sfreq"], "float64", name)
    info.set_channel_info(raw.info)
    markers = lsl.lsl.StreamInfo(f"{name}-annotations", "Markers", 1, 0, "string", f"{name}-annotations")
    events = zip(raw.annotations.onset, raw.annotations.description, strict=True)
    whole = [(onset, str(text)) for onset, text in events if onset + 0.7 < raw.times[-1]]

    def send(outlets, stop):
        begin = lsl.lsl.local_clock()
        while not stop.wait(0.5):
            for onset, text in whole:
                outlets[1].push_sample([text], begin + onset)
            outlets[0].push_chunk(raw.get_data().T, begin + raw.times)
            begin += 5.0

    @contextmanager
    def sending():
        outlets, stop = [lsl.lsl.StreamOutlet(one) for one in (info, markers)], threading.Event()
        thread = threading.Thread(target=send, args=(outlets, stop))
        thread.start()
        yield len(whole)
        stop.set()
        thread.join()
        for outlet in outlets:
            outlet._del()

    return sending


def test_answers_as_lines_of_json(neuroclip, run_folder, simulated, player):
    outcome = neuroclip(
        *("stream", run_folder, "--gallery", simulated / "test_images", "--stream", player.name),
        *("--markers", f"{player.name}-annotations", "--answers", 2, "--top-k", 2, "--json", "--marker-delay", 0.01),
    )
    assert outcome.code == 0, outcome.err
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    assert [line["kind"] for line in lines if line["kind"] != "notice"] == ["answer", "answer", "end"]
    assert [len(line["mean"]) for line in lines if line["kind"] == "answer"] == [2, 2]
    assert (lines[-1]["answers"], lines[-1]["events"], lines[-1]["tier"]) == (2, 2, "inductive")
    assert lines[0]["text"].startswith(f"Reading {player.name}: 5 channels at 100 Hz")


def test_an_index_gives_what_its_folder_gives(neuroclip, run_folder, simulated, name, sent, tmp_path):
    gallery, index = simulated / "test_images", tmp_path / "index"
    assert neuroclip("index", run_folder, "--gallery", gallery, "--out", index).code == 0
    found = []
    for where in (("--gallery", gallery), ("--index", index, "--approximate")):
        with sent() as count:
            read = ("--stream", name, "--markers", f"{name}-annotations", "--answers", 2 * count)
            outcome = neuroclip("stream", run_folder, *where, *read, "--seconds", 60, "--json")
        assert outcome.code == 0, outcome.out + outcome.err
        answers = [line for line in map(json.loads, outcome.out.splitlines()) if line["kind"] == "answer"]
        found.append({(one["event"], *(match["image_id"] for match in one["single"])) for one in answers})
        assert len(answers) == 2 * count
    assert found[0] == found[1]
    assert len(found[0]) > 3


def test_a_stream_that_does_not_fit_is_refused_before_the_gallery_is_embedded(
    neuroclip, run_folder, simulated, player, monkeypatch
):
    from neuroclip_hf import galleries

    def embedded(*_):
        raise AssertionError("the gallery was embedded")

    monkeypatch.setattr(galleries, "embed_gallery", embedded)
    words = ("stream", run_folder, "--gallery", simulated / "test_images", "--stream", player.name)
    outcome = neuroclip(*words, "--markers", f"{player.name}-annotations", "--unit", "fT")
    assert (outcome.code, outcome.out) == (2, "")
    # Its line is the last, and perhaps not the only one: a liblsl that cannot be quietened speaks of streams it lost.
    assert outcome.err.splitlines()[-1].startswith(f"Error: The stream {player.name}: ")
    assert "is in fT, not in V" in outcome.err


def test_what_is_refused(refused, run_folder, simulated):
    pytest.importorskip("mne_lsl")
    words = ("stream", run_folder, "--gallery", simulated / "test_images")
    message = refused(*words, "--stream", "neuroclip-nobody", "--wait", 0.2)
    assert "No stream called neuroclip-nobody was found in 0.2 s" in message
    assert "--answers 0: give more than none" in refused(*words, "--answers", 0)
    nobody = ("--stream", "neuroclip-nobody", "--wait", 30)  # what is wrong is said without looking for a stream
    assert "nothing to choose from" in refused("stream", run_folder, *nobody)
    assert "is no index" in refused("stream", run_folder, "--index", simulated, *nobody)
    assert "holds no picture" in refused("stream", run_folder, "--gallery", run_folder, *nobody)
    assert "holds no config.json" in refused("stream", simulated, *words[2:], *nobody)
    assert "--calibrate nowhere does not exist" in refused(*words, *nobody, "--calibrate", "nowhere")
    assert "jitter is -1.0" in refused(*words, "--jitter", -1)


def test_without_mne_lsl_the_extra_is_named(refused, run_folder, simulated, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mne_lsl.lsl", None)
    message = refused("stream", run_folder, "--gallery", simulated / "test_images")
    assert "pip install 'neuroclip-hf[live]'" in message


def test_ctrl_c_is_how_one_ends_it(capsys):
    closed = []

    class Session:
        answers = 0

        def run(self, seconds):
            try:
                yield Notice("Reading cap.")
                raise KeyboardInterrupt
            finally:
                closed.append(seconds)

    _follow(Session(), TextLines(), 9.0, None)
    assert capsys.readouterr().out == "Reading cap.\n"
    assert closed == [9.0]
