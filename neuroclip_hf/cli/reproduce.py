"""`neuroclip reproduce`: a recipe, every subject, several seeds -> one report."""

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
    interval_text,
    make_and_print,
    open_recipe_and_store,
    spread,
    table,
)


def reproduce(
    recipe: RecipeName,
    data: Data,
    overrides: Overrides = None,
    protocol: str = typer.Option(
        ..., "--protocol", help="intra: each subject alone; inter: each after training on all the others."
    ),
    seeds: Seeds = 3,
    out: Path = typer.Option(..., "--out", help="Folder of the reproduction: runs/, report.json."),
    subjects: Subjects = None,
    engine: EngineName = "local",
    processes: Processes = 1,
    job: Job = None,
    overwrite: bool = typer.Option(False, "--overwrite", help="Remove an earlier reproduction first."),
    as_json: AsJson = False,
) -> None:
    """Train and evaluate every subject and seed, each from fresh weights; one table with mean and standard deviation.

    Stopped at any point, the same command goes on; with more --seeds it adds to what is there. Given again while it
    works, here or on a machine that shares the disk, it shares the runs. Several GPUs train one run together with
    torchrun --nproc_per_node 4 -m neuroclip_hf.cli.main reproduce ..., with the local engine and one process.
    """
    settings, store = open_recipe_and_store(recipe, overrides, data)

    from neuroclip_hf.protocols.reproduce.main import reproduce as make_all
    from neuroclip_hf.sharing.card import refresh_card

    make_and_print(
        make_all,
        reproduction_table,
        settings,
        store,
        out,
        protocol=protocol,
        seeds=seeds,
        subjects=subjects,
        engine=engine,
        processes=processes,
        job=job,
        overwrite=overwrite,
        as_json=as_json,
    )
    refresh_card(out)


def reproduction_table(report: dict[str, Any]) -> Any:
    """For each whitening a row a subject and those of their mean, in columns for the two ways to choose the epoch."""
    from rich.console import Group

    inductive = [row for row in report["results"] if row["tier"] == "inductive"]
    whitenings = list(dict.fromkeys(row["whitening"] for row in inductive))
    rows = []
    for whitening in whitenings:
        mine = [row for row in inductive if row["whitening"] == whitening]
        if len(whitenings) > 1:
            rows.append((f"{whitening}:", *[""] * len(mine) * len(_SHOWN)))
        rows += _rows(mine)
    both = [row for row in inductive if row["whitening"] == whitenings[0]]
    rows.append(("chance", *(f"{report[name]:.3f}" for _ in both for name in ("chance", "chance_top5"))))
    header = ["", *(f"{name}, {row['selection']}" for row in both for name in ("top-1", "top-5"))]
    several = len(report["seeds"]) > 1
    seeds = f"seed{'s' * several} {', '.join(map(str, report['seeds']))}"
    title = (
        f"{report['data']} data, {report['recipe']}, {report['subject_protocol']}, {seeds}, {report['protocol']}, "
        f"gallery of {report['gallery_size']}, {report['averaged_repeats']:g} trials a query, tower: {report['tower']}"
    )
    whitening = "" if len(whitenings) > 1 else f"whitening: {whitenings[0]}; "
    over = both[0]["mean"]["top1"]["interval"]["over"]
    spreads = "± is the standard deviation over seeds" if several else "one seed, hence no ±"
    notes = [f"{whitening}{spreads}; intervals over {over}", *_log_losses(inductive, report)]
    return Group(table(header, rows, title), *notes, *(f"Note: {flag}" for flag in report["flags"]))


def _rows(both: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Each subject, their mean and its interval, with both ways to choose the epoch."""
    means = [row["mean"][name] for row in both for name in _SHOWN]
    level = f"{100 * means[0]['interval']['level']:g} % interval"
    return [
        *(
            (subject, *(spread(row["subjects"][subject][name]) for row in both for name in _SHOWN))
            for subject in both[0]["subjects"]
        ),
        ("mean", *map(spread, means)),
        (level, *(interval_text(mean["interval"]) for mean in means)),
    ]


def _log_losses(rows: list[dict[str, Any]], report: dict[str, Any]) -> list[str]:
    several = len({row["whitening"] for row in rows}) > 1
    found = [
        f"{spread(row['mean']['log_loss'])} ({row['selection']}{', ' + row['whitening'] if several else ''})"
        for row in rows
        if "log_loss" in row["mean"]
    ]
    return [f"log-loss, mean: {', '.join(found)}; blind guessing {report['chance_log_loss']:.3f}"] if found else []


_SHOWN = ("top1", "top5")
