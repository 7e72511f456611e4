"""`neuroclip evaluate`: a run and a store -> RUN/report.json."""

from itertools import groupby
from pathlib import Path
from typing import Any

import typer

from neuroclip_hf import columns
from neuroclip_hf.cli.options import as_list, interval_text, print_result, table


def evaluate(
    run: Path = typer.Argument(..., help="Folder of a run, or of a checkpoint."),
    data: Path = typer.Option(..., "--data", help="The trial store whose test split is opened."),
    average: int | None = typer.Option(
        None,
        help="Trials averaged into a query; all repeats of a picture by default (1 where only concepts are known).",
    ),
    draws: int | None = typer.Option(None, help="Random queries a target, instead of disjoint ones."),
    subjects: str | None = typer.Option(
        None,
        help="Whose test trials, with commas; by default the subject that the run held out, or those that trained.",
    ),
    also: Path | None = typer.Option(
        None,
        help="A store of the same recordings with another whitening (--whitening training-subjects): a second row.",
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an earlier report."),
    as_json: bool = typer.Option(False, "--json", help="Print the report as one JSON line."),
) -> None:
    """Rank the test gallery for every test query, and write report.json, the ranking and README.md into the run."""
    from neuroclip_hf.data.store import TrialStore

    store, other = TrialStore(data), None if also is None else TrialStore(also)

    from neuroclip_hf.protocols.evaluating import evaluate_run
    from neuroclip_hf.sharing.card import refresh_card

    report = evaluate_run(
        run,
        store,
        average=average,
        draws=draws,
        subjects=as_list(subjects, "--subjects") or None,
        also=other,
        overwrite=overwrite,
    )
    refresh_card(run)  # that of a checkpoint from elsewhere is not ours to write
    values = report.to_dict()
    print_result(values, as_json, report_table(values))


def report_table(report: dict[str, Any]) -> Any:
    """A row a subject, one for all, chance and the control; below it what else the report says, in few lines."""
    from rich.console import Group

    return Group(_subjects_table(report), *_lines(report), _tiers_table(report), *_flags(report))


def _subjects_table(report: dict[str, Any]) -> Any:
    keys = ("top1", "top5", "pairwise")
    rows = [
        (name, *(f"{found[key]:.3f}" for key in keys), str(int(found["num_queries"])))
        for name, found in report["subjects"].items()
    ]
    rows.append(("all queries", *(f"{report[key]:.3f}" for key in keys), str(report["num_queries"])))
    intervals = report["intervals"]
    level = f"{100 * intervals['top1']['level']:g} % interval"
    rows.append((level, *(interval_text(intervals[key]) for key in ("top1", "top5")), "", ""))
    rows.append(("chance", f"{report['chance']:.3f}", f"{report['chance_top5']:.3f}", "0.500", ""))
    if report["control_top1"] is not None:
        rows.append(("control (shuffled pairs)", f"{report['control_top1']:.3f}", "", "", ""))
    tested = columns.TESTED_SUBJECTS.get(report["tested_subjects"])
    protocol = report["protocol"] + (f", subjects {tested}" if tested else "")
    title = (
        f"{report['data']} data, {protocol}, gallery of {report['gallery_size']}, "
        f"{report['averaged_repeats']:g} trials a query, tower: {report['tower']}"
    )
    return table(("", "top-1", "top-5", "pairwise", "queries"), rows, title)


def _lines(report: dict[str, Any]) -> list[str]:
    found = report["permutation"]
    ways = "  ".join(f"{n}: {accuracy['top1']:.3f}" for n, accuracy in report["n_way"].items())
    curve = "  ".join(f"{entry['repeats']:g}: {entry['top1']:.3f}" for entry in report["repeats"])
    losses = (report["log_loss"], report["chance_log_loss"])
    return [
        *([] if losses[0] is None else ["log-loss {:.3f}, blind guessing {:.3f}".format(*losses)]),
        f"p = {found['p']:.3g} (top-1, {found['permutations']} permutations of the targets of {found['over']})",
        f"top-1 in random galleries of  {ways}",
        f"top-1 with means of so many trials  {curve}",
        f"whitening: {report['whitening_fit']}; intervals over {report['intervals']['top1']['over']}",
    ]


def _tiers_table(report: dict[str, Any]) -> Any:
    """Tier by tier, its heading with the number of trials that were fitted on."""
    rows: list[tuple[str, ...]] = []
    for tier, some in groupby(report["tiers"], key=lambda row: row["tier"]):
        found = list(some)
        trials = found[0]["num_trials"]
        rows.append((f"{tier}, from {trials} trials" if trials else tier, "", "", ""))
        rows += [_tier_cells(row) for row in found]
    return table(("", "top-1", "interval", "top-5"), rows)


def _tier_cells(row: dict[str, Any]) -> tuple[str, ...]:
    interval = "" if row["interval"] is None else interval_text(row["interval"])
    top5 = "" if row["top5"] is None else f"{row['top5']:.3f}"
    # Only these differ in how the recordings were whitened.
    label = f"{row['method']}, {row['whitening']}" if row["tier"] == "inductive" else row["method"]
    return f"  {label}", f"{row['top1']:.3f}", interval, top5


def _flags(report: dict[str, Any]) -> list[str]:
    return [f"Note: {flag}" for flag in report["flags"]]
