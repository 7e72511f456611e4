"""What a folder holds of work that did not end: cells of an ablation, and epochs of a training that was lost."""

from pathlib import Path

from neuroclip_hf.files import read_json
from neuroclip_hf.run_files import CONTROL, LAST_GOOD, PLAN_FILE, REPORT_FILE, RUN_FILE, RUNS, VARIATIONS


def is_ablation(folder: Path) -> bool:
    """Whether an ablation was begun there, finished or not."""
    if not (folder / PLAN_FILE).is_file():
        return False
    plan = read_json(folder / PLAN_FILE)
    return isinstance(plan, dict) and "over" in plan


def cells_flag(folder: Path) -> list[str]:
    """How many trainings of an ablation are missing, as a sentence; none where none is.

    A cell is a subject and a seed of a variation. Those of which no variation has any yet are not known to a folder.
    """
    variations = [path for path in (folder / VARIATIONS).glob("*") if (path / PLAN_FILE).is_file()]
    finished = {
        path: {run.parent.relative_to(path) for run in path.glob(f"{RUNS}/*/seed-*/{REPORT_FILE}")}
        for path in variations
    }
    known = set().union(*finished.values())
    whole, done = len(variations) * max(len(known), 1), sum(map(len, finished.values()))
    if done == whole:
        return []
    least = "At least " if len(known) == 0 else ""
    words = f"{least}{whole - done} of {whole} cells (a subject and a seed of a variation) are unfinished"
    return [f"{words}: the command that began them goes on."]


def last_good_flag(folder: Path) -> list[str]:
    """A sentence where a run is the last good epoch of a training that has since been made without losing numbers."""
    name = folder.resolve().name.removesuffix(f"-{LAST_GOOD}")
    if name == folder.resolve().name:
        return []
    beside = folder.resolve().with_name(name.removesuffix(f"-{CONTROL}"))
    if not (beside / RUN_FILE).is_file():
        return []
    return [f"Left over: {beside.name} has been trained to its end since; this folder can be removed."]
