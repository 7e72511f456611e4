"""What the verbs of tasks share: asking, and tables of what was found."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuroclip_hf.cli.options import as_list, interval_text, print_result, table

if TYPE_CHECKING:
    from neuroclip_hf.protocols.tasks import Task

Runs = Annotated[
    list[Path],
    typer.Argument(
        help="Runs, which make one table; or reproductions, or ablations, with a table for each of theirs."
    ),
]
Data = Annotated[Path, typer.Option("--data", help="The trial store whose test or imagery trials are opened.")]
Trials = Annotated[str, typer.Option("--trials", help="test: what was seen; imagery: what was imagined.")]
Average = Annotated[
    str,
    typer.Option(
        "--average",
        help="all, or a number: predictions of so many trials are averaged, beside single trials; 1: those alone.",
    ),
]
Subjects = Annotated[str | None, typer.Option("--subjects", help="Whose trials, with commas; as for evaluate.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier answer to the same question.")]
Json = Annotated[bool, typer.Option("--json", help="Print the report as one JSON line.")]


def ask(
    task: "Task",
    runs: Sequence[Path],
    data: Path,
    trials: str,
    average: str,
    subjects: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Ask runs, and print what they answered: a report, or one for each reproduction where there are several."""
    from neuroclip_hf.data.store import TrialStore
    from neuroclip_hf.protocols.task_folders import task_folders
    from neuroclip_hf.protocols.tasks import Asked, ask_runs
    from neuroclip_hf.sharing.card import refresh_card

    store = TrialStore(data)
    asked = Asked(trials, average, as_list(subjects, "--subjects") or None)
    found = {}
    for folder in task_folders(runs):
        found[folder.name] = ask_runs(task, folder, store, asked, overwrite=overwrite).to_dict()
        for path in folder.runs if folder.path is None else [folder.path]:
            refresh_card(path)
    if as_json:
        print(json.dumps(next(iter(found.values())) if len(found) == 1 else {"reports": found}, allow_nan=False))
        return
    for name, report in found.items():
        print_result(report, False, task_table(report, name if len(found) > 1 else ""))


def task_table(report: dict[str, Any], name: str = "") -> Any:
    """A table for each direction and way to average, and what else a reader must know."""
    from rich.console import Group

    parts = [part for row in report["rows"] for part in (_row_table(report, row, name), *_lines(row))]
    weights = report["supervision"]
    trained = f"; trained with {', '.join(f'{key} {value:g}' for key, value in weights.items())}" if weights else ""
    candidates = f"candidates: {report['candidates']}; tower: {report['tower']}{trained}"
    return Group(*parts, candidates, *(f"Note: {flag}" for flag in report["flags"]))


def _row_table(report: dict[str, Any], row: dict[str, Any], name: str) -> Any:
    rows = [(who, *_measures(found), str(found["num_queries"])) for who, found in row["subjects"].items()]
    rows.append(("mean of subjects", *_measures(row), str(row["num_queries"])))
    intervals = row["intervals"]
    level = f"{100 * intervals['top1']['level']:g} % interval"
    rows.append((level, *(interval_text(intervals[each]) for each in _SHOWN), ""))
    rows.append(("chance", *_measures(row["chance"]), ""))
    if row["control"] is not None:
        rows.append(("control (shuffled pairs)", *_measures(row["control"]), ""))
    if report["reference"] is not None:
        other = report["reference"]
        rows.append(
            (f"{other['name']} ({other['described']})", f"{other['top1']:.4f}", f"{other['top5']:.4f}", "", "", "")
        )
    shared = "zero-shot" if report["zero_shot"] else "not zero-shot"
    title = (
        f"{name + ': ' if name else ''}{report['data']} data, {report['trials']}, {row['direction']}, "
        f"{row['queries']}, {row['gallery_size']} candidates, {report['protocol']} ({shared})"
    )
    return table(("", "top-1", "top-5", "pairwise", "mean rank", "queries"), rows, title)


def _lines(row: dict[str, Any]) -> list[str]:
    ways = "  ".join(f"{n}: {accuracy['top1']:.3f}" for n, accuracy in row["n_way"].items())
    found = row["permutation"]
    pairwise = found["pairwise"]
    more = "" if pairwise is None else f"; pairwise p = {pairwise['p']:.3g}"
    lines = [
        f"p = {found['top1']['p']:.3g} (top-1, {found['top1']['permutations']} permutations of the targets of "
        f"{found['top1']['over']}){more}; intervals over {row['intervals']['top1']['over']}",
        f"top-1 among so many random candidates  {ways}",
    ]
    if "confusion" in row:
        lines.append(f"classes most often taken for another: {_confused(row['confusion'])}")
    return lines


def _confused(confusion: dict[str, Any], most: int = 3) -> str:
    """The pairs of classes that were confused most often, first those with most queries."""
    names = [one["name"] for one in confusion["classes"]]
    pairs = [
        (count, shown, found)
        for shown, row in zip(names, confusion["counts"], strict=True)
        for found, count in zip(names, row, strict=True)
        if count and shown != found
    ]
    words = [f"{shown} for {found} ({count})" for count, shown, found in sorted(pairs, key=lambda one: -one[0])[:most]]
    return ", ".join(words) or "none"


def _measures(found: dict[str, Any]) -> tuple[str, ...]:
    return tuple(f"{found[name]:.3f}" if name != "mean_rank" else f"{found[name]:.2f}" for name in _SHOWN)


_SHOWN = ("top1", "top5", "pairwise", "mean_rank")
