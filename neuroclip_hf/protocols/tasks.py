"""Runs and a store -> category decoding and matching, run by run and together."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from neuroclip_hf import columns
from neuroclip_hf.checkpoints import read_facts
from neuroclip_hf.data.queries import require_tested_split
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation import Ranking
from neuroclip_hf.evaluation.identification import describe
from neuroclip_hf.evaluation.predictions import (
    KINDS_OF_TRIALS,
    Predictions,
    average_predictions,
    predict_trials,
)
from neuroclip_hf.evaluation.task_report import SINGLE, TaskReport, refuse_known, write_task
from neuroclip_hf.evaluation.tested_run import open_tested_run
from neuroclip_hf.protocols.task_folders import TaskFolder

ALL = "all"


@dataclass(frozen=True)
class Asked:
    """What is asked of every run.

    Args:
        trials (`str`): "test" (perception) or "imagery".
        average (`str`): "all" or a number: predictions of so many trials are averaged, beside single trials; "1" is
            single trials alone.
        subjects (`tuple` of `str`, *optional*): whose trials; by default as `neuroclip evaluate` chooses them.
    """

    trials: str = columns.TEST
    average: str = ALL
    subjects: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        require_tested_split(self.trials)
        if self.average != ALL and not (self.average.isdecimal() and int(self.average) > 0):
            raise InputError(f"--average is {self.average!r}: say {ALL}, or a whole number of at least 1.")


@dataclass(frozen=True)
class Answered:
    """What a run answered.

    Args:
        rankings (`dict`): (direction, single trials or averages) -> its ranking.
        averaged (`dict`): single trials or averages -> trials a query.
        candidates (`str`): in words.
        templates (`list[str]`): of prompts.
        flags (`list[str]`): what a reader must know.
    """

    rankings: dict[tuple[str, str], Ranking]
    averaged: dict[str, float]
    candidates: str
    templates: list[str]
    flags: list[str]


@dataclass(frozen=True)
class _Run:
    """A run that was asked: its facts, its answers, and those of its control."""

    facts: dict[str, Any]
    answered: Answered
    control: Answered | None
    tower: str
    supervision: dict[str, float] | None
    protocol: str
    flags: list[str] = field(default_factory=list)


class Task(ABC):
    """A question that runs answer: `name`, `against` what, and by which `named_protocol`, if any.

    `name` is one of `neuroclip_hf.run_files.TASKS`.
    """

    name: str
    against: str
    named_protocol: str | None = None

    def check(self, store: TrialStore, asked: Asked, seen: Mapping[str, Sequence[str]] | None) -> None:  # noqa: B027
        """Refuse what the task does not allow, before a model is loaded.

        Args:
            store (`TrialStore`): to be evaluated on.
            asked (`Asked`): the settings.
            seen (`dict` or None): what trained_on.json says.

        Raises:
            InputError: naming what is wrong.
        """

    @abstractmethod
    def candidates(self, model: Any, processor: Any, store: TrialStore) -> Any:
        """What queries are compared with, embedded by a model; has `described`."""

    @abstractmethod
    def rank(
        self, predictions: Predictions, candidates: Any, store: TrialStore
    ) -> tuple[dict[str, Ranking], list[str]]:
        """Direction -> ranking, and flags."""

    def more(self, rankings: Sequence[Ranking]) -> dict[str, Any]:
        """What a row of the report says beside the measures; nothing, unless a task has more."""
        return {}

    def reference(self, store: TrialStore, rows: Sequence[dict[str, Any]], protocol: str) -> tuple[Any, list[str]]:
        """A paper's row that may stand beside, and flags."""
        return None, []


def ask_runs(
    task: Task, folder: TaskFolder, store: TrialStore, asked: Asked, *, overwrite: bool = False
) -> TaskReport:
    """Ask runs, write what each of them answered into its folder, and put all together.

    Args:
        task (`Task`): what is asked.
        folder (`TaskFolder`): the runs; where they are those of a reproduction, its folder gets the common report.
        store (`TrialStore`): with the trials.
        asked (`Asked`): the settings.
        overwrite (`bool`): replace earlier answers to the same question.

    Returns:
        The report of all runs together.

    Raises:
        InputError: if a run cannot be loaded, does not fit the store or cannot be asked so, or if runs differ in what
            they rank.
    """
    key = (KINDS_OF_TRIALS[asked.trials], task.against, task.named_protocol)
    for path in [*folder.runs, *([folder.path] if folder.path else [])]:
        refuse_known(path, task.name, key, overwrite)
    _refuse_two_of_one(folder.runs)
    runs = {path: _ask(task, path, store, asked) for path in folder.runs}
    for path, run in runs.items():
        write_task(_report(task, {path: run}, store, asked), path)
    whole = _report(task, runs, store, asked)
    if folder.path is not None:
        write_task(whole, folder.path)
    return whole


def _ask(task: Task, path: Path, store: TrialStore, asked: Asked) -> _Run:
    run = open_tested_run(path, store, asked.trials, asked.subjects)
    task.check(store, asked, run.seen)
    model = run.model
    answered = _answer(task, model, run.processor, store, asked, run.subjects)
    control = None if run.control is None else _answer(task, *run.control, store, asked, run.subjects)
    names = ("image_weight", "text_weight")
    weights = {name: float(getattr(model.config, name)) for name in names if hasattr(model.config, name)}
    return _Run(
        run.facts,
        answered,
        control,
        model.config.tower,
        weights or None,
        run.protocol,
        run.flags,
    )


def _answer(
    task: Task, model: Any, processor: Any, store: TrialStore, asked: Asked, subjects: Sequence[str] | None
) -> Answered:
    candidates = task.candidates(model, processor, store)
    single = predict_trials(model, processor, store, asked.trials, subjects)
    predictions = {SINGLE: single}
    if asked.average != "1":
        number = None if asked.average == ALL else int(asked.average)
        mean = average_predictions(single, store, number)
        if mean.averaged > 1:  # else these are the single trials
            predictions[f"means of the predictions of {mean.averaged:g} trials"] = mean
    rankings: dict[tuple[str, str], Ranking] = {}
    flags: list[str] = []
    for label, each in predictions.items():
        found, notes = task.rank(each, candidates, store)
        rankings |= {(direction, label): ranking for direction, ranking in found.items()}
        flags += notes
    averaged = {label: each.averaged for label, each in predictions.items()}
    return Answered(rankings, averaged, candidates.described, getattr(candidates, "templates", []), flags)


def _report(task: Task, runs: Mapping[Path, _Run], store: TrialStore, asked: Asked) -> TaskReport:
    first = next(iter(runs.values()))
    for name in ("tower", "supervision"):
        _alike(name, [getattr(run, name) for run in runs.values()])
    _alike("recipe", [run.facts.get("recipe") for run in runs.values()])
    _alike("averaging", [set(run.answered.rankings) for run in runs.values()])
    protocol = max((run.protocol for run in runs.values()), key=columns.PROTOCOLS.index)
    rows = [_row(task, key, list(runs.values())) for key in first.answered.rankings]
    reference, notes = task.reference(store, rows, protocol)
    flags = [flag for run in runs.values() for flag in (*run.flags, *run.answered.flags)]
    if 0 < (controls := sum(run.control is not None for run in runs.values())) < len(runs):
        flags.append(f"{controls} of the {len(runs)} runs have a control, so that none is shown.")
    return TaskReport(
        task=task.name,
        against=task.against,
        candidates=first.answered.candidates,
        templates=first.answered.templates,
        trials=KINDS_OF_TRIALS[asked.trials],
        named_protocol=task.named_protocol,
        data=store.info.data,
        protocol=protocol,
        zero_shot=protocol == columns.NEW_CONCEPTS,
        store=store.info.fingerprint,
        tower=first.tower,
        supervision=first.supervision,
        runs=[_entry(path, run) for path, run in runs.items()],
        rows=rows,
        reference=None if reference is None else asdict(reference),
        flags=list(dict.fromkeys([*flags, *notes])),
    )


def _row(task: Task, key: tuple[str, str], runs: Sequence[_Run]) -> dict[str, Any]:
    direction, label = key
    rankings = [_without_embeds(run.answered.rankings[key]) for run in runs]
    controls = [run.control.rankings[key] for run in runs if run.control is not None]
    averaged = runs[0].answered.averaged[label]
    return {
        "direction": direction,
        "queries": label,
        "averaged_predictions": averaged,
        **describe(rankings, controls if len(controls) == len(runs) else ()),
        **task.more(rankings),
    }


def _without_embeds(ranking: Ranking) -> Ranking:
    return replace(ranking, query_embeds=None, gallery_embeds=None)


def _refuse_two_of_one(paths: Sequence[Path]) -> None:
    """Runs of one subject may differ in their seeds; two models of it are no mean of one method."""
    known: dict[tuple[Any, ...], Path] = {}
    for path in paths:
        facts = read_facts(path)
        if not facts:
            continue
        key = (facts["held_out_subject"], *facts["subjects"], facts["seed"])
        if key in known:
            raise InputError(
                f"{known[key]} and {path} are of the same subjects and the same seed, and make no mean: ask them one "
                "by one; to set regions side by side, name the folder of `neuroclip ablate --over channels`."
            )
        known[key] = path


def _alike(name: str, values: Sequence[Any]) -> None:
    other = next((value for value in values if value != values[0]), None)
    if other is not None:
        raise InputError(f"runs differ in {name} ({values[0]} and {other}): ask them one by one.")


def _entry(path: Path, run: _Run) -> dict[str, Any]:
    subjects: dict[str, None] = defaultdict(None)
    for ranking in run.answered.rankings.values():
        subjects |= dict.fromkeys(ranking.subjects)
    facts = {name: run.facts.get(name) for name in ("recipe", "seed", "selection", "best_epoch")}
    return {"folder": path.name, "subjects": list(subjects), **facts}
