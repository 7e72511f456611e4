"""Which runs a reproduction is made of, and where each of them lies.

```
DIR/reproduction.json        what is reproduced: recipe, protocol, store
DIR/runs/sub-01/seed-0/      a run, as `neuroclip train` and `neuroclip evaluate` leave it
DIR/runs/sub-01/seed-0/last_epoch/  the same training after its last epoch
DIR/report.json              all of them together
```
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neuroclip_hf import columns
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.subjects import SubjectSplit, subject_splits
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation.report import is_evaluated
from neuroclip_hf.files import read_json, refuse_existing, write_json
from neuroclip_hf.protocols.building import to_share
from neuroclip_hf.protocols.reproduce.claims import refuse_while_at_work
from neuroclip_hf.run_files import COST_FILE, LAST_EPOCH, PLAN_FILE, RUNS
from neuroclip_hf.training.sections import OF_THE_MACHINE
from neuroclip_hf.training.settings import Recipe

INTRA, INTER = "intra", "inter"
PROTOCOLS = {INTRA: columns.INTRA_SUBJECT, INTER: columns.LEAVE_ONE_SUBJECT_OUT}
"""The field's words for who trains and who is tested, and ours."""
MOST_SEEDS = 1000


@dataclass(frozen=True)
class PlannedRun:
    """One training of a reproduction.

    Args:
        split (`SubjectSplit`): who trains, and who is tested.
        seed (`int`): of the training.
    """

    split: SubjectSplit
    seed: int

    @property
    def subject(self) -> str:
        """Whose test trials are opened."""
        return self.split.name

    @property
    def name(self) -> str:
        """Of the run among its like; also its path below the folder of runs."""
        return f"{self.subject}/seed-{self.seed}"


@dataclass(frozen=True)
class Plan:
    """All runs of a reproduction.

    Args:
        recipe (`Recipe`): what is trained; its subjects and seed are replaced by those of each run.
        protocol (`str`): "intra" or "inter".
        store (`str`): fingerprint of the trial store.
        runs (`tuple` of `PlannedRun`): in the order in which they are made where nothing else is at work.
    """

    recipe: Recipe
    protocol: str
    store: str
    runs: tuple[PlannedRun, ...]

    @property
    def seeds(self) -> list[int]:
        """Each once, ascending."""
        return sorted({run.seed for run in self.runs})

    @property
    def subjects(self) -> list[str]:
        """Each once, in the store's order."""
        return list(dict.fromkeys(run.subject for run in self.runs))

    def recipe_of(self, run: PlannedRun) -> Recipe:
        """The recipe with the subjects and the seed of a run; fresh weights follow from the seed."""
        training = self.recipe.training
        # What validation would have chosen is reported beside the last epoch, also where the recipe takes that one.
        selection = "loss" if training.selection == "last" else training.selection
        return replace(
            self.recipe,
            data=replace(self.recipe.data, **run.split.settings()),
            training=replace(training, seed=run.seed, selection=selection),
        )

    def identity(self) -> dict[str, Any]:
        """All that must be equal for two commands to go on with the same folder.

        Seeds may be added; so may subjects where each trains alone.
        """
        recipe = to_share(self.recipe).to_dict()
        recipe["training"] = {
            name: value for name, value in recipe["training"].items() if name not in (*OF_THE_MACHINE, "seed")
        }
        others = {} if self.protocol == INTRA else {"subjects": self.subjects}  # who trains depends on all of them
        return {"recipe": recipe, "protocol": self.protocol, "store": self.store, **others}


def make_plan(
    recipe: Recipe, store: TrialStore, protocol: str, seeds: int, subjects: Sequence[str] | None = None
) -> Plan:
    """Plan a reproduction; only tables are looked at.

    Args:
        recipe (`Recipe`): its seed is the first one.
        store (`TrialStore`): holds the trials.
        protocol (`str`): "intra": each subject is trained and tested alone. "inter": each is tested after training on
            all the others (leave one subject out).
        seeds (`int`): how many; the seeds follow each other.
        subjects (sequence of `str`, *optional*): the subjects that there are; all of the store by default.

    Raises:
        InputError: for a protocol, a number of seeds or subjects that cannot be.
    """
    if type(store) is not TrialStore:
        raise InputError(
            f"{store.path} is read otherwise than it lies there, and every run opens it anew: say channels= and "
            "window= in the recipe instead."
        )
    if protocol not in PROTOCOLS:
        raise InputError(f"--protocol is {protocol!r}: choose one of {', '.join(PROTOCOLS)}.")
    if not 1 <= seeds <= MOST_SEEDS:
        raise InputError(f"--seeds is {seeds}: it is how many trainings each subject gets, 1 to {MOST_SEEDS}.")
    for name in ("subjects", "held_out_subject"):
        if getattr(recipe.data, name) is not None:
            raise InputError(f"{name} is set by --protocol, once for each run: leave it out, or say --subjects.")
    splits = subject_splits(store, PROTOCOLS[protocol], subjects)
    first = recipe.training.seed
    runs = [PlannedRun(split, seed) for seed in range(first, first + seeds) for split in splits]
    return Plan(recipe, protocol, store.info.fingerprint, tuple(runs))


def open_folder(folder: Path, identity: dict[str, Any], overwrite: bool = False) -> None:
    """Make the folder of a reproduction, or go on with what lies there.

    Args:
        folder (`Path`): of the reproduction.
        identity (`dict`): of what is to be made, as [`Plan.identity`] gives it.
        overwrite (`bool`): remove an earlier reproduction first.

    Raises:
        InputError: if it holds something else, or a reproduction of something else, or is to be removed while somebody
            works there.
    """
    if folder.exists():
        refuse_existing(folder, overwrite=True, mark=PLAN_FILE)
        if overwrite:
            refuse_while_at_work(folder)
            shutil.rmtree(folder)
    if (folder / PLAN_FILE).is_file():
        known = read_json(folder / PLAN_FILE)
        if known != identity:
            differing = [name for name in identity if not isinstance(known, dict) or known.get(name) != identity[name]]
            raise InputError(
                f"{folder} holds one with another {' and '.join(differing)}: use the same to go on (seeds "
                f"may be added, and subjects to {INTRA}), pass --overwrite to start afresh, or name another output."
            )
        return
    write_json(folder / PLAN_FILE, identity)


def run_folder(folder: Path, run: PlannedRun) -> Path:
    """Where a run of a reproduction lies."""
    return folder / RUNS / run.name


def is_done(folder: Path, run: PlannedRun) -> bool:
    """Whether a run was trained, evaluated after both of its epochs, and its cost noted, which is the last step.

    Reports of an earlier version do not count: such a run is evaluated again.
    """
    return _is_whole(run_folder(folder, run))


def finished_runs(folder: Path) -> set[tuple[str, int]]:
    """Subject and seed of every run of a reproduction that is done, whoever asked for it."""
    paths = (folder / RUNS).glob("*/seed-*")
    named = [(path, path.name.removeprefix("seed-")) for path in paths]
    return {(path.parent.name, int(seed)) for path, seed in named if seed.isdecimal() and _is_whole(path)}


def finished_folders(folder: Path) -> list[Path]:
    """Checkpoints of the finished runs of a reproduction, each after the epoch that its recipe asks for.

    Raises:
        InputError: if there are none.
    """
    selection = read_json(folder / PLAN_FILE)["recipe"]["training"]["selection"]
    paths = [folder / RUNS / subject / f"seed-{seed}" for subject, seed in sorted(finished_runs(folder))]
    if not paths:
        raise InputError(f"{folder} holds no finished run: give `neuroclip reproduce` again, and let it end.")
    return [path / LAST_EPOCH if selection == "last" else path for path in paths]


def widened(plan: Plan, finished: set[tuple[str, int]], store: TrialStore) -> tuple[Plan, list[str]]:
    """A plan with the finished runs of earlier commands, so that asking for fewer makes no report smaller.

    Subjects that have all seeds of the plan are added where each trains alone, then seeds that all of those have.

    Args:
        plan (`Plan`): of this command.
        finished (`set`): from [`finished_runs`].
        store (`TrialStore`): in whose order subjects stand.

    Returns:
        The plan, and the names of finished runs that it does not have, since some of its subjects lack them.
    """
    splits = {run.subject: run.split for run in plan.runs}
    more = [name for name in store.subjects if all((name, seed) in finished for seed in plan.seeds)]
    if plan.protocol == INTRA:
        splits = {split.name: split for split in subject_splits(store, PROTOCOLS[INTRA], more)} | splits
    splits = {name: splits[name] for name in store.subjects if name in splits}
    common = {seed for _, seed in finished if all((name, seed) in finished for name in splits)}
    runs = [PlannedRun(split, seed) for seed in sorted({*plan.seeds, *common}) for split in splits.values()]
    kept = {(run.subject, run.seed) for run in runs}
    return replace(plan, runs=tuple(runs)), [f"{name}/seed-{seed}" for name, seed in sorted(finished - kept)]


def _is_whole(path: Path) -> bool:
    return (path / COST_FILE).is_file() and is_evaluated(path) and is_evaluated(path / LAST_EPOCH)
