"""From the methods of `accuracy.py` to their rows: all runs by what `neuroclip reproduce` is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accuracy_methods import OURS, Method

from neuroclip_hf import TrialStore
from neuroclip_hf.metrics.significance import bootstrap_interval, compare_paired
from neuroclip_hf.protocols.reproduce.engine import Engine, make_runs
from neuroclip_hf.protocols.reproduce.main import refuse_failures
from neuroclip_hf.protocols.reproduce.plan import make_plan, open_folder, run_folder
from neuroclip_hf.protocols.reproduce.summary import (
    BY_VALIDATION,
    FIXED_EPOCH,
    ReproductionReport,
    seed_averaged,
    summarise,
)
from neuroclip_hf.protocols.reproduce.work import Work


@dataclass(frozen=True)
class Made:
    """A method all of whose runs are made.

    Args:
        method (`Method`): which.
        works (`dict`): what was made on each store.
        reports (`tuple` of `ReproductionReport`): of each store.
    """

    method: Method
    works: Mapping[TrialStore, Work]
    reports: tuple[ReproductionReport, ...]

    def answers(self) -> tuple[dict[str, torch.Tensor], list[str]]:
        """How each query was answered over the seeds, measure by measure, and whose it is."""
        parts = [seed_averaged(work.plan, work.folder, BY_VALIDATION) for work in self.works.values()]
        subjects = [subject for _, mine in parts for subject in mine]
        return {name: torch.cat([found[name] for found, _ in parts]) for name in parts[0][0]}, subjects

    def accuracy(self, selection: str, measure: str) -> dict[str, list[float]]:
        """Of each subject, seed by seed."""
        rows = [
            next(row for row in report.results if row["selection"] == selection and row["tier"] == "inductive")
            for report in self.reports
        ]
        return {name: found[measure]["values"] for row in rows for name, found in row["subjects"].items()}

    def runs(self) -> list[tuple[Path, TrialStore]]:
        """Folder of each run, and the store that it was trained on."""
        return [(run_folder(work.folder, run), store) for store, work in self.works.items() for run in work.plan.runs]


def make_methods(
    methods: Sequence[Method],
    changes: Mapping[str, Any],
    stores: Mapping[Path, TrialStore],
    features: Path,
    seeds: int,
    engine: Engine,
) -> list[Made]:
    """Train and evaluate every method on every store, unless that is done.

    Args:
        methods (sequence of `Method`): what is compared.
        changes (`dict`): settings that all of them share.
        stores (`dict`): folder that reproductions go to -> store.
        features (`Path`): where what the frozen tower says of pictures is kept.
        seeds (`int`): how many.
        engine (`Engine`): who works.
    """
    made = []
    for folder, store in stores.items():
        plans = [make_plan(method.load(changes), store, "intra", seeds) for method in methods]
        works = [Work(plan, folder / method.name, features) for method, plan in zip(methods, plans, strict=True)]
        for work in works:
            open_folder(work.folder, work.plan.identity())
            work.forget_failures()
        make_runs(works, store.path, folder, engine)
        refuse_failures(works)
        made.append(works)
    return [
        Made(method, dict(zip(stores.values(), mine, strict=True)), tuple(summarise(w.plan, w.folder) for w in mine))
        for method, mine in zip(methods, zip(*made, strict=True), strict=True)
    ]


def rows_of(made: Sequence[Made]) -> list[dict[str, Any]]:
    """One row a method, with the difference of `OURS` from it."""
    ours = next(one for one in made if one.method.name == OURS)
    return [_row(one, ours) for one in made]


def difference(ours: Made, values: torch.Tensor, groups: Sequence[str], measure: str = "top1") -> dict[str, float]:
    """Mean over seeds of `ours` less that of another row, on the same queries.

    Args:
        ours (`Made`): the method that is compared.
        values (`torch.Tensor` of shape `(queries,)`): how the other row answered.
        groups (sequence of `str`): the subject of each query.
        measure (`str`): which of [`Made.answers`] `values` are.
    """
    mine, whose = ours.answers()
    if list(whose) != list(groups):
        raise ValueError("the rows were asked different queries.")
    found = compare_paired(mine[measure], values, groups=whose)
    return {name: round(getattr(found, name), 4) for name in ("difference", "low", "high", "p")}


def spread_of(subjects: Mapping[str, Sequence[float]], whose: Sequence[str]) -> dict[str, Any]:
    """Mean over queries for each seed, as differences and intervals are over queries; of those mean and deviation.

    Args:
        subjects (`dict`): accuracy of each subject, seed by seed.
        whose (sequence of `str`): the subject of each query.
    """
    asked = torch.tensor([list(whose).count(name) for name in subjects], dtype=torch.float64)
    values = asked @ torch.tensor(list(subjects.values()), dtype=torch.float64) / asked.sum()
    deviation = round(float(values.std()), 4) if len(values) > 1 else None
    return {"mean": round(float(values.mean()), 4), "std": deviation, "values": [round(v, 4) for v in values.tolist()]}


def _row(one: Made, ours: Made) -> dict[str, Any]:
    recipe, report = next(iter(one.works.values())).plan.recipe, one.reports[0]
    row: dict[str, Any] = {
        "row": one.method.name,
        "recipe": one.method.recipe,
        "tower": report.tower,
        "adapted": recipe.model.prompt is not None or recipe.model.lora is not None,
    }
    answers, groups = one.answers()
    for measure, values in answers.items():
        interval = bootstrap_interval(values, groups=groups)
        ends = {"low": round(interval.low, 4), "high": round(interval.high, 4)}
        row[measure] = spread_of(one.accuracy(BY_VALIDATION, measure), groups) | ends
    minus = {
        measure: None if one is ours else difference(ours, answers[measure], groups, measure)
        for measure in ("top1", "log_loss")
    }
    return row | {
        "top1_fixed_epoch": spread_of(one.accuracy(FIXED_EPOCH, "top1"), groups)["mean"],
        "subjects": {
            name: spread_of({name: values}, groups) for name, values in one.accuracy(BY_VALIDATION, "top1").items()
        },
        f"{OURS}_minus_this": minus["top1"],
        f"log_loss_{OURS}_minus_this": minus["log_loss"],
        "queries": len(groups),
        "gallery_size": report.gallery_size,
        "chance": round(report.chance, 4),
        "chance_log_loss": round(report.chance_log_loss, 4),
        "averaged_repeats": report.averaged_repeats,
        "seeds": len(report.seeds),
        "epochs": recipe.training.epochs,
        "trainable_parameters": report.trainable_parameters,
        "seconds": round(sum(each.seconds for each in one.reports)),
    }
