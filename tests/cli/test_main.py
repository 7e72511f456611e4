"""What all verbs share: help without torch, exit codes, messages instead of tracebacks."""

import subprocess
import sys

import pytest
import typer

from neuroclip_hf import __version__
from neuroclip_hf.cli import main as cli
from neuroclip_hf.protocols import run


def test_version(neuroclip):
    assert neuroclip("--version").out == f"{__version__}\n"


def test_help_names_every_verb_and_no_arguments_show_it(neuroclip):
    outcome = neuroclip("--help")
    assert outcome.code == 0
    for verb in ("demo", "simulate", "prepare", "train", "evaluate", "retrieve"):
        assert verb in outcome.out
    bare = neuroclip()
    assert bare.code == 2
    assert "Usage" in bare.out + bare.err
    assert "Error" not in bare.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "trian"),
        (["train"], "recipe"),
        (["train", "demo"], "--data"),
        (["evaluate", "x", "--data", "y", "--averge", "3"], "--averge"),
        (["evaluate", "x", "--data", "y", "--average", "few"], "--average"),
        (["--verbosity", "loud", "train", "demo", "--data", "x", "--out", "y"], "debug, info, warning, error"),
    ],
)
def test_misspelt_words(refused, words, message):
    assert message in refused(*words)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt, 130, "interrupted"),
        (typer.Abort, 130, "interrupted"),
        (FloatingPointError("The loss is nan"), 1, "The loss is nan"),
    ],
)
def test_interruptions_leave_a_message(neuroclip, store_folder, tmp_path, monkeypatch, error, code, message):
    def broken(*_, **__):
        raise error

    monkeypatch.setattr(run, "train_on_store", broken)
    outcome = neuroclip("train", "demo", "--data", store_folder, "--out", tmp_path / "run")
    assert outcome.code == code
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert not list(tmp_path.iterdir())


def test_defects_keep_their_traceback(monkeypatch, store_folder, tmp_path):
    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(run, "train_on_store", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main(["train", "demo", "--data", str(store_folder), "--out", str(tmp_path / "run")])


def test_the_command_ends_the_process_with_its_code():
    command = [sys.executable, "-m", "neuroclip_hf.cli.main", "train", "demoo", "--data", "x", "--out", "y"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "demoo" in done.stderr
