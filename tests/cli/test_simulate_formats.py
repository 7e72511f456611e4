"""`simulate things-eeg2 --format` and `--bad-channels`."""

import json
import subprocess
import sys
import time

import pytest

from neuroclip_hf.cli.simulate import FORMAT_HELP
from neuroclip_hf.data.simulation.formats import FORMATS

SMALL = [
    "--concepts", 3, "--test-concepts", 2, "--images-per-concept", 1, "--train-repeats", 2, "--test-repeats", 2,
    "--sessions", 1, "--image-size", 16, "--rate", 250, "--channels", "O1,Oz",
]  # fmt: skip


def test_the_help_names_every_format():
    assert FORMAT_HELP.endswith(f"{', '.join(list(FORMATS)[:-1])} or {list(FORMATS)[-1]}.")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_can_be_asked_for(neuroclip, tmp_path, name):
    made = neuroclip("simulate", "things-eeg2", "--out", tmp_path / "sim", "--format", name, *SMALL, "--json").result
    assert made["format"] == name
    assert json.loads((tmp_path / "sim" / "simulation.json").read_text())["format"] == name


def test_a_typing_error_is_answered_with_the_list(refused, tmp_path):
    message = refused("simulate", "things-eeg2", "--out", tmp_path / "sim", "--format", "brainvison", *SMALL)
    assert all(name in message for name in ("brainvison", *FORMATS))
    assert not list(tmp_path.iterdir())


def test_bad_channels_are_named(neuroclip, refused, tmp_path):
    words = ("simulate", "things-eeg2", "--out", tmp_path / "sim", *SMALL)
    assert "Pz" in refused(*words, "--bad-channels", "Pz")
    assert neuroclip(*words, "--bad-channels", "Oz", "--json").result["bad_channels"] == ["Oz"]


def test_the_help_lists_the_formats(neuroclip):
    shown = neuroclip("simulate", "things-eeg2", "--help").out
    assert all(name in shown for name in FORMATS)


@pytest.mark.parametrize(("option", "value"), [("--channels", ""), ("--channels", " , "), ("--subjects", "1,,2")])
def test_empty_entries_are_refused(refused, tmp_path, option, value):
    assert option in refused("simulate", "things-eeg2", "--out", tmp_path / "sim", *SMALL[:-2], option, value)


def test_a_scheduler_that_stops_it_leaves_nothing(tmp_path):
    words = ["simulate", "things-eeg2", "--out", str(tmp_path / "sim"), "--concepts", "500"]
    command = [sys.executable, "-m", "neuroclip_hf.cli.main", *words]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 300
        while not any(tmp_path.glob(".sim*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.terminate()
        assert process.wait(300) == 130
    assert not list(tmp_path.iterdir())
