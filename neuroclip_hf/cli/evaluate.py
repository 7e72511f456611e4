"""`neuroclip evaluate`: a run and a store -> RUN/report.json."""

from pathlib import Path
from typing import Any

import typer

from neuroclip_hf import columns
from neuroclip_hf.cli.options import as_list, print_result, table


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
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an earlier report."),
    as_json: bool = typer.Option(False, "--json", help="Print the report as one JSON line."),
) -> None:
    """Rank the test gallery for every test query, and write report.json and README.md into the run."""
    from neuroclip_hf.data.store import TrialStore

    store = TrialStore(data)

    from neuroclip_hf.checkpoints import RUN_FILE
    from neuroclip_hf.protocols.run import evaluate_run
    from neuroclip_hf.sharing.card import write_run_card

    report = evaluate_run(
        run, store, average=average, draws=draws, subjects=as_list(subjects, "--subjects") or None, overwrite=overwrite
    )
    if (run / RUN_FILE).is_file():  # the card of a checkpoint from elsewhere is not ours to write
        write_run_card(run, str(run))
    values = report.to_dict()
    print_result(values, as_json, report_table(values))


def report_table(report: dict[str, Any]) -> Any:
    """A row a subject, one for all, chance and the control."""
    rows = [
        (name, *(f"{found[key]:.3f}" for key in ("top1", "top5", "pairwise")), str(int(found["num_queries"])))
        for name, found in report["subjects"].items()
    ]
    keys = ("top1", "top5", "pairwise")
    rows.append(("all queries", *(f"{report[key]:.3f}" for key in keys), str(report["num_queries"])))
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
