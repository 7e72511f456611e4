"""Every epoch is told once, also after a stop, and a missing library is named."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from neuroclip_hf.errors import InputError
from neuroclip_hf.protocols.run import train_run
from neuroclip_hf.training.settings import change_recipe
from neuroclip_hf.training.tracking import AccelerateTracker, JsonLines, open_tracker

HISTORY = [{"epoch": 1, "loss": 2.0, "validation_top1": 0.1}, {"epoch": 2, "loss": 1.0, "validation_top1": 0.2}]


class Told:
    """What one of Accelerate's trackers is told."""

    def __init__(self):
        self.values, self.settings, self.finished = [], None, False

    def store_init_configuration(self, values):
        self.settings = values

    def log(self, values, step):
        self.values.append((step, values))

    def finish(self):
        self.finished = True


def test_a_line_an_epoch(tmp_path):
    lines = JsonLines(tmp_path / "log" / "training.jsonl")
    for count in (1, 2):
        lines.log(HISTORY[:count])
        read = [json.loads(line) for line in (tmp_path / "log" / "training.jsonl").read_text().splitlines()]
        assert read == HISTORY[:count]


def test_each_epoch_is_told_once_and_those_before_a_stop_again_to_a_new_tracker():
    told = Told()
    tracker = AccelerateTracker(told, {"epochs": 2})
    tracker.log(HISTORY[:1])
    tracker.log(HISTORY)
    tracker.close()
    assert told.values == [(1, {"loss": 2.0, "validation_top1": 0.1}), (2, {"loss": 1.0, "validation_top1": 0.2})]
    assert told.settings == {"epochs": 2}
    assert told.finished


def test_nothing_is_opened_unless_asked_for(tmp_path):
    assert open_tracker("none", "run", tmp_path, {}) is None
    assert not list(tmp_path.iterdir())


def test_a_library_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(InputError, match=r"tracking=trackio needs a library.*pip install trackio"):
        open_tracker("trackio", "run", tmp_path, {})


def test_tensorboard_gets_the_curves_of_a_training(recipe, store, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train_run(change_recipe(recipe, {"tracking": "tensorboard"}), store, tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "tensorboard" / "run")).Reload()
    history = [json.loads(line) for line in (run / "training.jsonl").read_text().splitlines()]
    for name in ("loss", "validation_loss", "validation_top1"):
        assert [one.value for one in events.Scalars(name)] == pytest.approx([entry[name] for entry in history])


def test_what_a_tracker_prints_is_logged_and_leaves_stdout_to_results(capsys, caplog):
    class Talking(Told):
        def store_init_configuration(self, values):
            sys.stdout.write("opened\nfor you\n")

        def log(self, values, step):
            sys.stdout.write(f"logged {step}\n")

        def finish(self):
            sys.stdout.write("finished\n")

    with caplog.at_level("INFO", logger="neuroclip_hf"):
        tracker = AccelerateTracker(Talking(), {})
        tracker.log(HISTORY)
        tracker.close()
    assert capsys.readouterr().out == ""
    assert caplog.messages == ["opened", "for you", "logged 1", "logged 2", "finished"]


def test_trackio_gets_the_curves_of_a_training_and_prints_no_word(tmp_path):
    pytest.importorskip("trackio")
    script = (
        "import sys; from pathlib import Path; from accelerate import PartialState\n"
        "from neuroclip_hf.training.tracking import open_tracker\n"
        "PartialState(); tracker = open_tracker('trackio', 'a-run', Path(sys.argv[1]), {'epochs': 2})\n"
        f"tracker.log({HISTORY!r}); tracker.close()"
    )
    environment = {**os.environ, "TRACKIO_DIR": str(tmp_path / "trackio")}
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    with closing(sqlite3.connect(tmp_path / "trackio" / "neuroclip.db")) as database:
        rows = database.execute("select run_name, step, metrics from metrics order by step").fetchall()
    assert [(name, step, json.loads(values)) for name, step, values in rows] == [
        ("a-run", 1, {"loss": 2.0, "validation_top1": 0.1}),
        ("a-run", 2, {"loss": 1.0, "validation_top1": 0.2}),
    ]


def test_another_tracking_is_refused(recipe):
    with pytest.raises(InputError, match=r"tracking.*'wandb'"):
        change_recipe(recipe, {"tracking": "wandb"})
