"""`neuroclip demo`: the whole road on simulated recordings, in a few minutes on a laptop."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import typer

from neuroclip_hf.cli.evaluate import report_table
from neuroclip_hf.cli.options import print_result
from neuroclip_hf.files import new_folder, write_json
from neuroclip_hf.logging import get_logger

MARK = "demo.json"
SIMULATION: dict[str, Any] = {
    "concepts": 100,
    "images_per_concept": 4,
    "test_concepts": 50,
    "snr": 0.5,
    "sampling_rate": 250,
}
"""Ours: small enough for a laptop, with more signal than the settings on which methods are compared."""


def demo(
    out: Path = typer.Option(Path("demo"), "--out", help="Folder of the demo; an earlier demo there is replaced."),
    seed: int = typer.Option(0, help="Of the simulation and the training."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON line."),
) -> None:
    """Simulate, prepare, train, evaluate, save, reload in a fresh process, retrieve."""
    started = time.perf_counter()
    with new_folder(out, overwrite=True, mark=MARK) as folder:
        result = _run(folder, out, seed)
        result["seconds"] = round(time.perf_counter() - started, 1)
        result["files"] = {name: str(out / path) for name, path in result["files"].items()}
        write_json(folder / MARK, result)
    if as_json:
        print_result(result, as_json)
        return
    print_result({}, False, report_table(result["report"]))
    typer.echo(_in_words(result))


def _run(folder: Path, out: Path, seed: int) -> dict[str, Any]:
    """All steps, below `folder` (later `out`); the last two in processes that know nothing but the files."""
    from neuroclip_hf.data.simulation.things_eeg2 import simulate_things_eeg2
    from neuroclip_hf.data.sources.things_eeg2 import prepare_things_eeg2
    from neuroclip_hf.data.store import TrialStore

    say = get_logger().info
    say("1/5 simulating recordings and pictures")
    simulate_things_eeg2(folder / "recordings", seed=seed, **SIMULATION)
    say("2/5 preparing the trial store")
    prepare_things_eeg2(folder / "recordings", folder / "store", redistribute_pictures=True)  # a simulation drew them
    say("3/5 training the model, and a control on shuffled pairs")

    from neuroclip_hf.protocols.run import train_run
    from neuroclip_hf.sharing.card import write_card
    from neuroclip_hf.training.settings import load_recipe

    recipe = load_recipe("demo", {"seed": seed})
    run = train_run(recipe, TrialStore(folder / "store"), folder / "run", control=True, finish=write_card)
    say("4/5 evaluating the checkpoint in a fresh process, on concepts never trained on")
    report = _fresh("evaluate", run, "--data", folder / "store")
    write_card(run, str(out / "run"))  # the folder has a temporary name so far
    say("5/5 retrieving from one raw recording in a fresh process")
    recordings, sheet = folder / "recordings", folder / "retrieval.png"
    recording = recordings / "sub-01" / "ses-01" / "raw_eeg_test.npy"
    _fresh("retrieve", run, "--recording", recording, "--gallery", recordings / "test_images", "--sheet", sheet)
    files = {"report": "run/report.json", "checkpoint": "run", "retrieval sheet": "retrieval.png"}
    return {"report": report, "files": files}


def _fresh(*arguments: str | Path) -> dict[str, Any]:
    """Run a verb in a new Python process and return what it prints with --json."""
    command = [sys.executable, "-m", "neuroclip_hf.cli.main", "--verbosity", "warning", *map(str, arguments), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {done.returncode}")
    return json.loads(done.stdout)


def _in_words(result: dict[str, Any]) -> str:
    files = "\n".join(f"  {name}: {path}" for name, path in result["files"].items())
    return (
        "The recordings are SIMULATED, and the vision tower, small-clip, knows simulated pictures alone: these\n"
        "numbers show that the road works, and say nothing about real brains.\n"
        f"{files}\n"
        f"  {result['seconds']:.0f} seconds"
    )
