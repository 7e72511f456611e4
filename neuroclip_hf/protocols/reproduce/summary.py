"""The reports of all runs of a reproduction -> one report."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neuroclip_hf.columns import INDUCTIVE
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation import load_ranking, read_report
from neuroclip_hf.files import read_json
from neuroclip_hf.metrics.significance import bootstrap_interval
from neuroclip_hf.models.registry import solved_for
from neuroclip_hf.protocols.reproduce.plan import Plan, PlannedRun, run_folder
from neuroclip_hf.run_files import COST_FILE, LAST_EPOCH, OTHER_RANKING_FILE, RANKING_FILE, REPORT_SCHEMA

KIND = "reproduction"
FIXED_EPOCH, BY_VALIDATION = "fixed epoch", "validation"
SELECTIONS = {FIXED_EPOCH: LAST_EPOCH, BY_VALIDATION: "."}
"""How the epoch was chosen -> where such a checkpoint lies in a run. Nothing is chosen by the test split."""
SOLVED = "in closed form"
"""In place of both, where there is no epoch to choose."""
_PLACES = {**SELECTIONS, SOLVED: "."}
_MEASURES = ("top1", "top5", "pairwise", "log_loss")
SHARED = (
    "data",
    "tower",
    "protocol",
    "chance",
    "chance_top5",
    "chance_log_loss",
    "gallery",
    "gallery_size",
    "averaged_repeats",
    "target",
    "whitening_fit",
)
"""What all runs of a reproduction must agree on, as their reports say it."""


@dataclass(frozen=True)
class ReproductionReport:
    """What every subject and seed gave. Accuracies are fractions in [0, 1].

    Args:
        recipe (`str`): its name.
        subject_protocol (`str`): "intra" or "inter": who trains and who is tested.
        seeds (`list[int]`): of the trainings.
        store (`str`): fingerprint of the trial store.
        data, tower, protocol, chance, chance_top5, chance_log_loss, gallery, gallery_size, averaged_repeats, target,
            whitening_fit: as in a run's `Report`.
        results (`list[dict]`): a row for each way of choosing the epoch and each tier, inductive ones first, with
            `selection`, `tier`, `method`, `whitening`, `fitted_on` and `num_trials` (unlabelled ones that it used, of
            all subjects together); `subjects`: subject -> measure -> `mean`, `std` over seeds and `values`; `mean`:
            the same of the mean over subjects. Inductive rows also have an `interval` of their mean, `log_loss` where
            every run has it, `n_way` and `repeats`.
        runs (`list[dict]`): subject, seed, folder, seconds, processes that trained together, best epoch, what
            validation held out, and p of the permutation test of each.
        hardware (`list[dict]`), versions (`dict`): what it ran on; each kind of machine once.
        trainable_parameters (`int`): numbers that are trained.
        seconds (`float`): wall time of all runs, one after the other.
        flags (`list[str]`): what a reader must know.
    """

    recipe: str
    subject_protocol: str
    seeds: list[int]
    store: str
    data: str
    tower: str
    protocol: str
    chance: float
    chance_top5: float
    chance_log_loss: float
    gallery: str
    gallery_size: int
    averaged_repeats: float
    target: str
    whitening_fit: str
    results: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    hardware: list[dict[str, Any]]
    versions: dict[str, str]
    trainable_parameters: int
    seconds: float
    flags: list[str]
    kind: str = KIND
    schema: int = REPORT_SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def summarise(plan: Plan, folder: Path, flags: Sequence[str] = ()) -> ReproductionReport:
    """Put the reports of all runs together.

    Args:
        plan (`Plan`): whose runs are made and evaluated.
        folder (`Path`): of the reproduction.
        flags (sequence of `str`): what a reader must know beside the flags of the runs.

    Raises:
        InputError: if runs do not agree on what they ranked.
    """
    runs = {run: run_folder(folder, run) for run in plan.runs}
    rows = [row for selection in selections_of(plan) for row in _rows(plan, folder, selection)]
    reports = [_report_of(path) for path in runs.values()]
    costs = [read_json(path / COST_FILE) for path in runs.values()]
    return ReproductionReport(
        recipe=plan.recipe.name,
        subject_protocol=plan.protocol,
        seeds=plan.seeds,
        store=plan.store,
        **_shared(reports, folder),
        results=sorted(rows, key=lambda row: row["tier"] != INDUCTIVE),
        runs=[_run_entry(run, path, folder) for run, path in runs.items()],
        hardware=_distinct(cost["hardware"] for cost in costs),
        versions=reports[0]["run"]["versions"],
        trainable_parameters=reports[0]["run"]["trainable_parameters"],
        seconds=round(sum(cost["seconds"] for cost in costs), 1),
        flags=list(dict.fromkeys([*flags, *(flag for report in reports for flag in report["flags"])])),
    )


def selections_of(plan: Plan) -> tuple[str, ...]:
    """The ways in which an epoch of these runs was chosen; one for encoders that are solved for."""
    return (SOLVED,) if solved_for(plan.recipe.model.encoder) else tuple(SELECTIONS)


def _report_of(path: Path) -> dict[str, Any]:
    report = read_report(path)
    if report is None:
        raise InputError(f"{path} was not evaluated: run the same command again.")
    return report


def _shared(reports: Sequence[dict[str, Any]], folder: Path) -> dict[str, Any]:
    for name in SHARED:
        found = _distinct(report[name] for report in reports)
        if len(found) > 1:
            raise InputError(f"runs below {folder} differ in {name} ({found[0]} and {found[1]}): pass --overwrite.")
    return {name: reports[0][name] for name in SHARED}


def _rows(plan: Plan, folder: Path, selection: str) -> list[dict[str, Any]]:
    """One row a tier and method."""
    reports = {run: _report_of(run_folder(folder, run) / _PLACES[selection]) for run in plan.runs}
    first = next(iter(reports.values()))
    rows: list[dict[str, Any]] = []
    for tier in first["tiers"]:
        names = {name: tier[name] for name in ("tier", "method", "whitening", "fitted_on")}
        mine = {run: found for run, report in reports.items() if (found := _find_tier(report, names)) is not None}
        if len(mine) < len(reports):  # a mean over some of the subjects would mislead
            continue
        first_seed = [found["num_trials"] for run, found in mine.items() if run.seed == plan.seeds[0]]
        row = {"selection": selection, **names, "num_trials": sum(first_seed)}
        if tier["tier"] != INDUCTIVE:
            rows.append(row | _measured(mine))
            continue
        # The first row is that of the report itself, which says the rest of it.
        whole = mine if rows else {run: {**reports[run], **found} for run, found in mine.items()}
        row |= _measured(whole)
        answers, groups = seed_averaged(plan, folder, selection, other_whitening=bool(rows))
        for measure, values in answers.items():
            row["mean"][measure]["interval"] = bootstrap_interval(values, groups=groups)._asdict()
        rows.append(row | {"n_way": _n_way(whole), "repeats": _repeats(whole)})
    return rows


def _find_tier(report: dict[str, Any], names: dict[str, str]) -> dict[str, Any] | None:
    return next((tier for tier in report["tiers"] if all(tier[name] == value for name, value in names.items())), None)


def _measured(values: dict[PlannedRun, dict[str, Any]]) -> dict[str, Any]:
    """`subjects` and `mean` of a row."""
    measures = [name for name in _MEASURES if all(found.get(name) is not None for found in values.values())]
    subjects: dict[str, dict[str, Any]] = {}
    for subject in dict.fromkeys(run.subject for run in values):
        mine = {run.seed: found for run, found in values.items() if run.subject == subject}
        subjects[subject] = {name: _spread([mine[seed][name] for seed in sorted(mine)]) for name in measures}
    means = {name: _over_subjects({run: found[name] for run, found in values.items()}) for name in measures}
    return {"subjects": subjects, "mean": means}


def _over_subjects(values: dict[PlannedRun, float]) -> dict[str, Any]:
    """Mean over subjects for each seed, then mean and standard deviation over seeds."""
    seeds = sorted({run.seed for run in values})
    return _spread([float(np.mean([value for run, value in values.items() if run.seed == seed])) for seed in seeds])


def _spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, and standard deviation over seeds (n - 1; None of a single one)."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": deviation, "values": [float(value) for value in values]}


def seed_averaged(
    plan: Plan, folder: Path, selection: str, *, other_whitening: bool = False
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """How each query was answered, over the seeds, and whose it is.

    The same queries are asked with every seed, so a statistic draws each with all its answers.

    Args:
        plan (`Plan`): whose runs are made and evaluated.
        folder (`Path`): of the reproduction.
        selection (`str`): one of [`selections_of`] its plan.
        other_whitening (`bool`): of the second inductive row, not of the first.

    Returns:
        "top1", "top5" and, where every run has it, "log_loss" -> `torch.Tensor` of shape `(queries,)`,
        float64, subject by subject; and a subject for each query.
    """
    answers: dict[str, list[dict[str, torch.Tensor]]] = {}
    for run in plan.runs:
        place = run_folder(folder, run) / _PLACES[selection]
        ranking = load_ranking(place, OTHER_RANKING_FILE if other_whitening else RANKING_FILE)
        answers.setdefault(run.subject, []).append(ranking.answers())
    first, *others = (one for mine in answers.values() for one in mine)
    measures = [name for name in first if all(name in one for one in others)]
    means = {
        name: [torch.stack([one[name].double() for one in mine]).mean(dim=0) for mine in answers.values()]
        for name in measures
    }
    subjects = [subject for subject, mine in answers.items() for _ in mine[0]["top1"]]
    return {name: torch.cat(parts) for name, parts in means.items()}, subjects


def _n_way(reports: dict[PlannedRun, dict[str, Any]]) -> dict[str, Any]:
    """Accuracy in random galleries of the sizes that all runs have."""
    first, *others = (report["n_way"] for report in reports.values())
    return {
        size: {
            name: _over_subjects({run: report["n_way"][size][name] for run, report in reports.items()})
            for name in measures
        }
        for size, measures in first.items()
        if all(size in other for other in others)
    }


def _repeats(reports: dict[PlannedRun, dict[str, Any]]) -> list[dict[str, Any]]:
    """Accuracy against the number of averaged repeats, where all runs know it."""
    curves = {run: {entry["repeats"]: entry for entry in report["repeats"]} for run, report in reports.items()}
    counts = set.intersection(*(set(curve) for curve in curves.values()))
    return [
        {
            "repeats": count,
            **{
                name: _over_subjects({run: curve[count][name] for run, curve in curves.items()})
                for name in ("top1", "top5")
            },
        }
        for count in sorted(counts)
    ]


def _run_entry(run: PlannedRun, path: Path, folder: Path) -> dict[str, Any]:
    report, cost = _report_of(path), read_json(path / COST_FILE)
    return {
        "subject": run.subject,
        "seed": run.seed,
        "folder": path.relative_to(folder).as_posix(),
        "seconds": cost["seconds"],
        "processes": cost["processes"],
        "best_epoch": report["run"]["best_epoch"],
        "epochs": report["run"]["epochs"],
        "validation": report["run"]["validation"],
        "p": report["permutation"]["p"],
    }


def _distinct(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
