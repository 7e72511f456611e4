"""`neuroclip reproduce`: a recipe, every subject, several seeds -> one report."""

from pathlib import Path
from typing import Any

import typer

from neuroclip_hf.cli.options import as_job_parameters, as_list, print_result, spread, table


def reproduce(
    recipe: str = typer.Argument(..., help="Name of a recipe, or a .yaml file."),
    overrides: list[str] | None = typer.Argument(None, help="Settings to change, as in epochs=20."),
    data: Path = typer.Option(..., "--data", help="The trial store."),
    protocol: str = typer.Option(
        ..., "--protocol", help="intra: each subject alone; inter: each after training on all the others."
    ),
    seeds: int = typer.Option(3, "--seeds", help="Trainings a subject; the first has the recipe's seed."),
    out: Path = typer.Option(..., "--out", help="Folder of the reproduction: runs/, report.json."),
    subjects: str | None = typer.Option(None, "--subjects", help="With commas; all of the store by default."),
    engine: str = typer.Option("local", "--engine", help="local, or slurm."),
    processes: int = typer.Option(
        1, "--processes", help="Runs that are made at once; local ones as far as memory allows."
    ),
    job: str | None = typer.Option(
        None, "--job", help="Of a submitted job, as in slurm_partition=gpu,gpus_per_node=1,timeout_min=600."
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Remove an earlier reproduction first."),
    as_json: bool = typer.Option(False, "--json", help="Print the report as one JSON line."),
) -> None:
    """Train and evaluate every subject and seed, each from fresh weights; one table with mean and standard deviation.

    Stopped at any point, the same command goes on; with more --seeds it adds to what is there. Several GPUs train one
    run together with torchrun --nproc_per_node 4 -m neuroclip_hf.cli.main reproduce ...
    """
    from neuroclip_hf.data.store import TrialStore
    from neuroclip_hf.training.settings import load_recipe, parse_overrides

    settings = load_recipe(recipe, parse_overrides(overrides or []))
    store = TrialStore(data)

    from neuroclip_hf.protocols.reproduce.engine import Engine
    from neuroclip_hf.protocols.reproduce.main import reproduce as run_all

    report = run_all(
        settings,
        store,
        out,
        protocol=protocol,
        seeds=seeds,
        subjects=as_list(subjects, "--subjects") or None,
        engine=Engine(engine, processes, as_job_parameters(job, "--job")),
        overwrite=overwrite,
    )
    if report is not None:
        values = report.to_dict()
        print_result(values, as_json, reproduction_table(values))


def reproduction_table(report: dict[str, Any]) -> Any:
    """A row a subject and those of their mean, in columns for the two ways to choose the epoch."""
    inductive = [row for row in report["results"] if row["tier"] == "inductive"]
    main = [row for row in inductive if "interval" in row["mean"]["top1"]]
    rows = []
    for subject in main[0]["subjects"]:
        cells = [row["subjects"][subject][name] for row in main for name in _SHOWN]
        rows.append((subject, *map(spread, cells)))
    for whitening in dict.fromkeys(row["whitening"] for row in inductive):
        means = [row["mean"][name] for row in inductive if row["whitening"] == whitening for name in _SHOWN]
        rows.append((f"mean ({whitening})", *map(spread, means)))
        if "interval" in means[0]:
            rows.append(("95 % interval", *(f"{one['low']:.3f} to {one['high']:.3f}" for one in _intervals(means))))
    rows.append(("chance", *(f"{report[name]:.3f}" for _ in main for name in ("chance", "chance_top5"))))
    header = ["", *(f"{name}, {row['selection']}" for row in main for name in ("top-1", "top-5"))]
    title = (
        f"{report['data']} data, {report['recipe']}, {report['subject_protocol']}, {len(report['seeds'])} seeds, "
        f"{report['protocol']}, gallery of {report['gallery_size']}, {report['averaged_repeats']:g} trials a query, "
        f"tower: {report['tower']}"
    )
    return table(header, rows, title)


_SHOWN = ("top1", "top5")


def _intervals(means: list[dict[str, Any]]) -> list[dict[str, float]]:
    return [mean["interval"] for mean in means]
