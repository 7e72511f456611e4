"""`neuroclip ablate`: a recipe in several variations -> one table."""

from pathlib import Path
from typing import Any

import typer

from neuroclip_hf.cli.options import (
    AsJson,
    Data,
    EngineName,
    Job,
    Overrides,
    Processes,
    RecipeName,
    Seeds,
    Subjects,
    make_and_print,
    open_recipe_and_store,
    spread,
    table,
)


def ablate(
    recipe: RecipeName,
    data: Data,
    overrides: Overrides = None,
    over: str = typer.Option(
        ...,
        "--over",
        help="What is varied: parts, segments (of the epoch), channels (scalp regions, or regions of interest), "
        "encoders, prompts, layers.",
    ),
    protocol: str = typer.Option("intra", "--protocol", help="intra, or inter; as for `reproduce`."),
    seeds: Seeds = 3,
    out: Path = typer.Option(..., "--out", help="Folder of the ablation: variations/, report.json."),
    subjects: Subjects = None,
    engine: EngineName = "local",
    processes: Processes = 1,
    job: Job = None,
    overwrite: bool = typer.Option(False, "--overwrite", help="Remove an earlier ablation first."),
    as_json: AsJson = False,
) -> None:
    """Train and test a recipe in several variations, and compare each with the recipe on the same queries.

    Stopped at any point, the same command goes on.
    """
    settings, store = open_recipe_and_store(recipe, overrides, data)

    from neuroclip_hf.protocols.ablate.main import ablate as make_all

    make_and_print(
        make_all,
        ablation_table,
        settings,
        store,
        out,
        over=over,
        protocol=protocol,
        seeds=seeds,
        subjects=subjects,
        engine=engine,
        processes=processes,
        job=job,
        overwrite=overwrite,
        as_json=as_json,
    )


def ablation_table(report: dict[str, Any]) -> Any:
    """A row a variation, the recipe itself first."""
    from rich.console import Group

    rows = [
        (
            row["name"],
            spread(row["top1"]),
            spread(row["top5"]),
            _difference(row["difference"]),
            f"{row['seconds']:.0f}",
        )
        for row in report["rows"]
    ]
    rows.append(("chance", f"{report['chance']:.3f}", f"{report['chance_top5']:.3f}", "", ""))
    seeds = len(report["seeds"])
    title = (
        f"{report['data']} data, {report['recipe']} over {report['over']}, {report['subject_protocol']}, "
        f"{seeds} seed{'s' * (seeds > 1)}, epoch: {report['selection']}, gallery of {report['gallery_size']}, tower: "
        f"{report['tower']}"
    )
    made = table(("", "top-1", "top-5", "top-1 minus the first (95 %)", "seconds"), rows, title)
    return Group(made, _log_loss_table(report), *(f"Note: {flag}" for flag in report["flags"]))


def _log_loss_table(report: dict[str, Any]) -> Any:
    """A table of its own: beside the accuracies it would not fit a terminal."""
    rows = [
        (row["name"], spread(row["log_loss"]), _difference(row["log_loss_difference"]))
        for row in report["rows"]
        if row["log_loss"] is not None
    ]
    if not rows:
        return ""
    rows.append(("blind guessing", f"{report['chance_log_loss']:.3f}", ""))
    title = "log-loss of the right picture at each model's own scale: lower is better"
    return table(("", "log-loss", "log-loss minus the first (95 %)"), rows, title)


def _difference(found: dict[str, float] | None) -> str:
    if found is None:
        return ""
    return f"{found['difference']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f}), p = {found['p']:.3f}"
