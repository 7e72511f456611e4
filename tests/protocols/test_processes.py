"""Training as it is launched: several processes write one run, and a killed process is no loss."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow
ENVIRONMENT = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
LAUNCHER = ("torch.distributed.run", "--nproc_per_node=2", "--standalone", "-m")


@pytest.fixture
def command(store_folder, tiny_words):
    """A command line that trains into `out`, alone or started by a launcher."""

    def make(out, *settings, launcher=()):
        words = ["train", "demo", *tiny_words, *settings, "--data", str(store_folder), "--out", str(out), "--json"]
        return [sys.executable, "-m", *launcher, "neuroclip_hf.cli.main", *words]

    return make


def run(command):
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def test_two_processes_write_one_run(command, tmp_path):
    settings = ("encoder_settings.dropout=0", "batch_size=33")
    run(command(tmp_path / "1", *settings))
    printed = run(command(tmp_path / "2", *settings, launcher=LAUNCHER)).stdout
    assert json.loads(printed)["run"] == str(tmp_path / "2")  # by one process alone
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in "12")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_two_processes_make_one_reproduction(store_folder, tiny_words, tmp_path):
    words = ["reproduce", "demo", *tiny_words, "epochs=1", "--data", str(store_folder), "--protocol", "intra"]
    words += ["--seeds", "1", "--subjects", "1", "--out", str(tmp_path / "out"), "--json"]
    command = [sys.executable, "-m", *LAUNCHER, "neuroclip_hf.cli.main", *words]
    done = run(command)
    assert "Warning" not in done.stderr
    assert done.stderr.count("Run 1 of 1: demo, sub-01/seed-0") == 1
    report = json.loads(done.stdout)  # by one process alone
    assert report == json.loads((tmp_path / "out" / "report.json").read_text())
    assert [one["processes"] for one in report["runs"]] == [2]
    written = (tmp_path / "out" / "report.json").stat().st_mtime_ns
    assert json.loads(run(command).stdout)["results"] == report["results"]  # nothing is made twice
    assert (tmp_path / "out" / "runs" / "sub-01" / "seed-0" / "report.json").stat().st_mtime_ns < written
    refused = subprocess.run([*command, "--processes", "2"], env=ENVIRONMENT, capture_output=True, text=True)
    assert "--engine local --processes 2 within a launcher of 2 processes" in refused.stderr


def test_two_commands_share_a_reproduction(store_folder, tiny_words, tmp_path):
    words = ["reproduce", "demo", *tiny_words, "epochs=3", "--data", str(store_folder), "--protocol", "intra"]
    words += ["--seeds", "2", "--out", str(tmp_path / "out"), "--json"]
    command = [sys.executable, "-m", "neuroclip_hf.cli.main", *words]
    both = [subprocess.Popen(command, env=ENVIRONMENT, stdout=-1, stderr=-1, text=True) for _ in range(2)]
    said = [one.communicate(timeout=200) for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    first, second = (json.loads(out) for out, _ in said)
    assert first["results"] == second["results"]
    assert sum(err.count("Run ") for _, err in said) == 4  # each once, by one of them
    assert all("Run " in err for _, err in said)


@pytest.mark.parametrize("launcher", [(), LAUNCHER], ids=["one process", "two processes"])
def test_a_command_that_is_killed_goes_on(command, tmp_path, launcher):
    settings = ("epochs=25", "checkpoint_minutes=0", "batch_size=15")
    run(command(tmp_path / "undisturbed", *settings, launcher=launcher))
    words = command(tmp_path / "run", *settings, launcher=launcher)
    process = subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    checkpoints = tmp_path / ".run.unfinished" / "checkpoints" / "training"
    while not any(step_of(path) >= 20 for path in checkpoints.glob("step-*")):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.005)
    os.kill(worker(process.pid) if launcher else process.pid, signal.SIGKILL)
    assert process.wait(timeout=90) != 0  # the launcher stops the other one
    assert not (tmp_path / "run").exists()
    assert "Going on after step" in run(words).stderr
    for name in ("model.safetensors", "training.jsonl", "config.json", "trained_on.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "undisturbed"]


def step_of(path):
    return int(path.name.removeprefix("step-"))


def worker(launcher):
    """The second process of a launcher."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children")
    if not children.exists():
        pytest.skip("processes are looked up in /proc")
    return max(map(int, children.read_text().split()))


def test_a_process_that_fails_ends_the_run(command, tmp_path):
    """One process has no store: nobody waits for it for ever, and nothing is left."""
    broken = tmp_path / "broken.py"
    broken.write_text(
        "import os, sys\n"
        "from neuroclip_hf.cli.main import main\n"
        "if os.environ['RANK'] == '1':\n"
        "    sys.argv[sys.argv.index('--data') + 1] = 'nowhere'\n"
        "sys.exit(main())\n"
    )
    words = command(tmp_path / "run", launcher=LAUNCHER)
    start = words.index("neuroclip_hf.cli.main")
    words[start - 1 : start + 1] = [str(broken)]
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "nowhere" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["broken.py"]
