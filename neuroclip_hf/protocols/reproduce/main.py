"""From a recipe and a store to a report over all subjects and seeds."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

from neuroclip_hf import columns
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.files import write_json
from neuroclip_hf.logging import get_logger
from neuroclip_hf.protocols.reproduce.claims import at_work
from neuroclip_hf.protocols.reproduce.engine import Engine, check_engine, make_runs
from neuroclip_hf.protocols.reproduce.plan import finished_runs, make_plan, open_folder, run_folder, widened
from neuroclip_hf.protocols.reproduce.summary import ReproductionReport, summarise
from neuroclip_hf.protocols.reproduce.work import Work
from neuroclip_hf.run_files import IMAGE_FEATURES_FOLDER, REPORT_FILE
from neuroclip_hf.training.processes import this_process
from neuroclip_hf.training.settings import Recipe


def reproduce(
    recipe: Recipe,
    store: TrialStore,
    out: str | Path,
    *,
    protocol: str,
    seeds: int = 3,
    subjects: Sequence[str] | None = None,
    engine: Engine | None = None,
    overwrite: bool = False,
) -> ReproductionReport | None:
    """Train and evaluate a recipe for every subject and seed, each from fresh weights: one report of all.

    Every run is one of `train_run`, beside which its last epoch is kept: the report has the fixed epoch and the one
    that validation chose. Stopped at any point, `kill -9` included, the same call goes on; so does one with more seeds
    or subjects (in "intra"). Several calls on the same folder, on machines that share it too, share the runs: each
    waits for those that another one makes, and takes them over if that one stops. Runs that an earlier call made are
    in the report as well, see [`widened`].

    Args:
        recipe (`Recipe`): its subjects and seed are replaced by those of each run; its seed is the first one.
        store (`TrialStore`): holds the trials.
        out (path): folder of the reproduction.
        protocol (`str`): "intra" (each subject alone) or "inter" (each after training on all the others).
        seeds (`int`): how many.
        subjects (sequence of `str`, *optional*): all of the store by default.
        engine (`Engine`, *optional*): who works; by default this process.
        overwrite (`bool`): remove an earlier reproduction first.

    Returns:
        The report; `None` on the ranks of a distributed training that do not write it.

    Raises:
        InputError: if it cannot be run so.
        FloatingPointError: if the numbers of some runs were lost; the other runs are finished first.
    """
    folder = Path(out)
    work = Work(make_plan(recipe, store, protocol, seeds, subjects), folder, folder / IMAGE_FEATURES_FOLDER)
    finished = finish_runs([work], store, folder, work.plan.identity(), engine or Engine(), overwrite)
    if finished is None:
        return None
    [whole], flags = finished
    report = summarise(whole.plan, folder, flags)
    write_json(folder / REPORT_FILE, report.to_dict())
    return report


def finish_runs(
    works: Sequence[Work], store: TrialStore, folder: Path, identity: dict[str, Any], engine: Engine, overwrite: bool
) -> tuple[list[Work], list[str]] | None:
    """Make all runs that are left of one or several reproductions; those that share a folder are made once.

    Args:
        works (sequence of `Work`): alike but for the recipe.
        store (`TrialStore`): holds the trials.
        folder (`Path`): of the whole, in or below which that of each work lies.
        identity (`dict`): of the whole, see [`open_folder`].
        engine (`Engine`): who works.
        overwrite (`bool`): remove what was made earlier first.

    Returns:
        The works with the runs of earlier calls, see [`with_finished_runs`], and what a reader must know of them;
        `None` on the ranks of a distributed training that write no report.

    Raises:
        InputError: if they cannot be made so.
        FloatingPointError: if the numbers of some runs were lost; the other runs are finished first.
    """
    process, distinct = this_process(), list({work.folder: work for work in works}.values())
    check_engine(engine)
    if process.is_main_process:
        open_folder(folder, identity, overwrite)
        for work in distinct:
            open_folder(work.folder, work.plan.identity())
            work.forget_failures()
    process.wait_for_everyone()
    with at_work(folder) if process.is_main_process else nullcontext():
        make_runs(distinct, store.path, folder, engine)
    if not process.is_main_process:
        return None
    refuse_failures(distinct)
    found, left_out = with_finished_runs(works, store)
    return found, [*left_out, *flags_of_subjects(store, found[0].plan.subjects)]


def flags_of_subjects(store: TrialStore, subjects: Sequence[str]) -> list[str]:
    """A sentence for each pair of subjects that hold the same recordings: a mean counts them as two persons."""
    table = store.trials
    digests = {name: set(table[columns.DIGEST][table[columns.SUBJECT] == name]) for name in subjects}
    return [
        f"{one} and {other} share recordings of trials ({len(both)}): they are not two persons, and count as two."
        for one, other in combinations(subjects, 2)
        if (both := digests[one] & digests[other])
    ]


def with_finished_runs(works: Sequence[Work], store: TrialStore) -> tuple[list[Work], list[str]]:
    """Work with the runs of earlier calls, as far as they make a whole; and what a reader must know of the others.

    Args:
        works (sequence of `Work`): alike but for the recipe.
        store (`TrialStore`): holds the trials.
    """
    finished = set.intersection(*(finished_runs(work.folder) for work in works))
    found: list[Work] = []
    names: list[str] = []
    for work in works:
        plan, names = widened(work.plan, finished, store)
        found.append(replace(work, plan=plan))
    more = [run.name for run in found[0].plan.runs if run.name not in {run.name for run in works[0].plan.runs}]
    if more:
        get_logger().info("The report also has what was made before: %s.", ", ".join(more))
    left_out = f"Not in this report, since not every subject has these seeds: {', '.join(names)}."
    return found, [left_out] if names else []


def refuse_failures(works: Sequence[Work]) -> None:
    """Raise where runs failed; all others are finished by then.

    Raises:
        FloatingPointError: naming the first one.
    """
    failed = [
        (run_folder(work.folder, run), work.failures()[run.name])
        for work in works
        for run in work.plan.runs
        if run.name in work.failures()
    ]
    if failed:
        path, why = failed[0]
        asked = sum(len(work.plan.runs) for work in works)
        raise FloatingPointError(
            f"{len(failed)} of {asked} runs lost numbers, the others are finished. {path}: {why} Settings can be "
            "changed in a new folder only."
        )
