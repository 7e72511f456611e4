"""`neuroclip stream` on a stream that MNE-LSL's player sends in this process."""

import itertools
import json
import os

import mne
import numpy as np
import pytest

from neuroclip_hf.cli.stream import _follow
from neuroclip_hf.data.recordings import NAME, find_recordings, open_recording
from neuroclip_hf.live import Notice
from neuroclip_hf.live.display import TextLines

_numbers = itertools.count()


@pytest.fixture
def player(simulated):
    """A recording of twelve events, after two seconds in which a reader may find it."""
    try:
        from mne_lsl.player import PlayerLSL
    except (ImportError, OSError, RuntimeError) as error:
        pytest.skip(f"needs MNE-LSL and liblsl: {error}")
    recording = open_recording(find_recordings([simulated / "sub-01" / "ses-01" / "raw_eeg_test.npy"])[0], ())
    raw, events = recording.raw.copy().pick("eeg"), recording.events
    values, rate = raw.get_data(), raw.info["sfreq"]
    made = mne.io.RawArray(np.concatenate([values[:, :200], values], axis=1), raw.info, verbose="ERROR")
    made.set_annotations(mne.Annotations(events["sample"] / rate + 2.0, 0.0, list(events[NAME])))
    name = f"neuroclip-verb-{os.getpid()}-{next(_numbers)}"
    player = PlayerLSL(made, chunk_size=5, name=name, annotations=True, annotations_encoding="string").start()
    yield player
    player.stop()


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


def test_an_index_gives_what_its_folder_gives(neuroclip, run_folder, simulated, player, tmp_path):
    gallery, index = simulated / "test_images", tmp_path / "index"
    assert neuroclip("index", run_folder, "--gallery", gallery, "--out", index).code == 0
    read = ("--stream", player.name, "--markers", f"{player.name}-annotations", "--answers", 12, "--json")
    found = []
    for where in (("--gallery", gallery), ("--index", index, "--approximate")):
        outcome = neuroclip("stream", run_folder, *where, *read)
        answers = [line for line in map(json.loads, outcome.out.splitlines()) if line["kind"] == "answer"]
        found.append({(one["event"], *(match["image_id"] for match in one["single"])) for one in answers})
    # The player repeats itself, and the reader begins anywhere: most of twelve answers are of events that both saw.
    assert len(found[0] & found[1]) > 6


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
