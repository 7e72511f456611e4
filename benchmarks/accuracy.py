"""How often each method finds the right picture: one table, and one JSON line a row.

    python benchmarks/accuracy.py --out FOLDER [--processes 2]
    python benchmarks/accuracy.py --out FOLDER --search
    python benchmarks/accuracy.py --out FOLDER --on n170 --data RECORDINGS

By default on simulated recordings with the settings of `neuroclip_hf/data/simulation/frozen.py`, and the small CLIP as
the tower: each subject alone, from fresh weights for every seed, the epoch chosen by training concepts that were held
out. `--search` shows how the settings of each row were chosen: see `accuracy_search.py`. `--on n170` compares on
recorded EEG, faces against houses: single test trials, for the most part with the settings of recipe `concepts`, and a
logistic regression on the same trials beside them.

All is made by what `neuroclip reproduce` is made of: stopped at any point, the same command goes on, and several such
commands at once share the work. A difference is top-1, or log-loss (lower is better), of NeuroCLIP less that of the
row: answers are averaged over seeds first, and its interval resamples queries, with the gallery fixed.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from accuracy_methods import COMMON, METHODS, OURS, RECORDED_COMMON, RECORDED_METHODS
from accuracy_recorded import logistic_regression, mean_of_16, prepare_n170
from accuracy_rows import Made, difference, make_methods, rows_of
from accuracy_search import DEVELOPMENT, search
from measuring import choose_device, describe_device
from printing import print_line

from neuroclip_hf import InputError, TrialStore
from neuroclip_hf.cli.options import interval_text, print_result, spread, table
from neuroclip_hf.data.simulation import SimulationSettings, simulate_things_eeg2
from neuroclip_hf.data.simulation.frozen import BENCHMARK, PREPARATION
from neuroclip_hf.data.sources.things_eeg2 import prepare_things_eeg2
from neuroclip_hf.logging import set_verbosity
from neuroclip_hf.protocols.reproduce.engine import Engine
from neuroclip_hf.run_files import IMAGE_FEATURES_FOLDER

SIMULATED, N170 = "simulated", "n170"
STORE, RECORDINGS, RUNS, SEARCH = "store", "recordings", "runs", "search"


def main() -> int:
    arguments = _arguments()
    set_verbosity("warning")
    try:
        return _run(arguments)
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2


def _run(arguments: argparse.Namespace) -> int:
    engine, place = Engine(processes=arguments.processes), describe_device(choose_device())
    folder = arguments.out / arguments.on
    features = folder / IMAGE_FEATURES_FOLDER
    methods, changes = (METHODS, COMMON) if arguments.on == SIMULATED else (RECORDED_METHODS, RECORDED_COMMON)
    if arguments.rows is not None:
        methods = tuple(one for one in methods if one.name in {OURS, *arguments.rows})
    if arguments.search:
        store = TrialStore(arguments.data) if arguments.data else simulated_store(folder / SEARCH, DEVELOPMENT)
        for row in search(methods, changes, store, folder / SEARCH / RUNS, features, engine):
            print_line("accuracy_search", place, {"data": store.info.data} | row)
        return 0
    if arguments.on == N170:
        stores = {folder / RUNS / name: one for name, one in prepare_n170(arguments.data, folder / STORE).items()}
    else:
        stores = {folder / RUNS: TrialStore(arguments.data) if arguments.data else simulated_store(folder, BENCHMARK)}
    data = {"data": next(iter(stores.values())).info.data}
    made = make_methods(methods, changes, stores, features, arguments.seeds, engine)
    rows = rows_of(made)
    if arguments.on == N170:
        rows = _with_recorded_baseline(made, rows)
    print_result({}, False, _tables(rows, made))
    for row in rows:
        print_line("accuracy", place, data | row)
    return 0


def simulated_store(folder: Path, settings: SimulationSettings) -> TrialStore:
    """The store of simulated recordings below `folder`, which is made unless it is there."""
    if not (folder / STORE).is_dir():
        if not (folder / RECORDINGS).is_dir():
            simulate_things_eeg2(folder / RECORDINGS, **settings.to_dict())
        prepare_things_eeg2(folder / RECORDINGS, folder / STORE, **PREPARATION)
    shutil.rmtree(folder / RECORDINGS, ignore_errors=True)
    return TrialStore(folder / STORE)


def _with_recorded_baseline(made: list[Made], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ours = next(one for one in made if one.method.name == OURS)
    hits, facts = logistic_regression(list(ours.works))
    compared = {f"{OURS}_minus_this": difference(ours, hits, ours.answers()[1])}
    shared = {name: rows[0][name] for name in ("queries", "chance", "averaged_repeats")}
    of_runs = [row | {"mean16": mean_of_16(one.runs())} for row, one in zip(rows, made, strict=True)]
    return [*of_runs, {"row": "logistic regression", "adapted": False} | facts | compared | shared]


def _tables(rows: list[dict[str, Any]], made: list[Made]) -> Any:
    """Accuracies, and below them the log-losses of the rows that have one."""
    from rich.console import Group

    report, subjects = made[0].reports[0], sum(len(one.results[0]["subjects"]) for one in made[0].reports)
    title = (
        f"{report.data} data, {subjects} subjects, each alone, {len(report.seeds)} seeds, epoch: validation, "
        f"gallery of {report.gallery_size}, {report.averaged_repeats:g} trials a query, tower: {report.tower}"
    )
    lines = [
        (
            row["row"],
            "adapted" if row["adapted"] else "frozen" if "tower" in row else "none",
            spread(row["top1"]),
            interval_text(row["top1"]) if "low" in row["top1"] else "",
            spread(row["top5"]) if "top5" in row else "",
            _difference(row[f"{OURS}_minus_this"]),
            str(row.get("seconds", "")),
        )
        for row in rows
    ]
    chance = ("chance", "", f"{report.chance:.3f}", "", f"{report.chance_top5:.3f}", "", "")
    minus = f"{OURS} minus this (95 %)"
    losses = [
        (row["row"], spread(row["log_loss"]), _difference(row[f"log_loss_{OURS}_minus_this"]))
        for row in rows
        if "log_loss" in row
    ]
    return Group(
        table(("", "tower", "top-1", "95 %", "top-5", minus, "seconds"), [*lines, chance], title),
        table(
            ("", "log-loss", minus),
            [*losses, ("chance", f"{report.chance_log_loss:.3f}", "")],
            "log-loss, lower is better: of rows with another scale of the logits it also compares these",
        ),
    )


def _difference(found: dict[str, float] | None) -> str:
    return "" if found is None else f"{found['difference']:+.3f} ({interval_text(found, '+')}), p = {found['p']:.3f}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of stores and runs; the same one goes on")
    parser.add_argument("--on", choices=(SIMULATED, N170), default=SIMULATED)
    parser.add_argument("--data", type=Path, help="a store of the frozen settings, or the folder of n170's recordings")
    parser.add_argument("--seeds", type=int, default=3, help="trainings a subject and row")
    parser.add_argument("--processes", type=int, default=1, help="runs that are made at once")
    parser.add_argument("--rows", nargs="+", help="some of the rows, beside NeuroCLIP itself")
    parser.add_argument("--search", action="store_true", help="how settings were chosen, on another simulation")
    arguments = parser.parse_args()
    if arguments.on == N170 and arguments.search:
        parser.error("--search is for simulated recordings: on n170 all rows have the settings of one recipe.")
    if arguments.on == N170 and arguments.data is None:
        real_data = os.environ.get("NEUROCLIP_REAL_DATA")
        if not real_data:
            parser.error("--on n170 needs --data, or NEUROCLIP_REAL_DATA.")
        arguments.data = Path(real_data) / "recordings" / "n170"
    return arguments


if __name__ == "__main__":
    sys.exit(main())
