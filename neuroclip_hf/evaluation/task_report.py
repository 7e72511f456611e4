"""What tasks beside retrieval found, as categories.json and matching.json, written and read."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json, write_json
from neuroclip_hf.run_files import task_file

SCHEMA = 1
SINGLE = "single trials"


@dataclass(frozen=True)
class TaskReport:
    """What one task found with one or several runs. Accuracies are fractions in [0, 1].

    Args:
        task (`str`): one of `neuroclip_hf.run_files.TASKS`.
        against (`str`): "texts" or "images".
        candidates (`str`): what stands for a class, or what is matched with, in words.
        templates (`list[str]`): of the prompts, as far as there are some.
        trials (`str`): "perception" or "imagery".
        named_protocol (`str` or None): "bravl" where it was asked for.
        data (`str`): "recorded" or "simulated".
        protocol (`str`): what training and test really shared.
        zero_shot (`bool`): whether no class of the test was trained on.
        store (`str`): fingerprint of the store.
        tower (`str`): of the runs.
        supervision (`dict` or None): `image_weight` and `text_weight` of the runs, where they have such.
        runs (`list[dict]`): `folder`, `recipe`, `seed`, `subjects` (tested), `selection`, `best_epoch` of each.
        rows (`list[dict]`): one for each direction and way to average: `direction`, `queries` (in words),
            `averaged_predictions` (trials a query) and what
            [`neuroclip_hf.evaluation.identification.describe`] says. Category decoding also has `confusion`.
        reference (`dict` or None): the row of the paper whose protocol was asked for, where it may stand here.
        flags (`list[str]`): what a reader must know before trusting the numbers.
    """

    task: str
    against: str
    candidates: str
    templates: list[str]
    trials: str
    named_protocol: str | None
    data: str
    protocol: str
    zero_shot: bool
    store: str
    tower: str
    supervision: dict[str, float] | None
    runs: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    reference: dict[str, Any] | None
    flags: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


_KEY = ("trials", "against", "named_protocol")


def refuse_known(folder: Path, task: str, key: tuple[Any, ...], overwrite: bool) -> None:
    """Raise if a folder holds the result of a task already that may not be replaced.

    Args:
        folder (`Path`): of a run or a reproduction.
        task (`str`): one of `neuroclip_hf.run_files.TASKS`.
        key (`tuple`): `trials`, `against` and `named_protocol` of what is asked.
        overwrite (`bool`): whether it may be.

    Raises:
        InputError: naming it, or if its file is damaged.
    """
    if not overwrite and any(_key_of(one) == key for one in read_task(folder, task)):
        path = folder / task_file(task)
        raise InputError(f"{path} says already what {key[0]} against {key[1]} gave: pass --overwrite to ask again.")


def write_task(report: TaskReport, folder: Path) -> Path:
    """Write a result beside those of other questions of the same task; an older one of its question is replaced."""
    mine = report.to_dict()
    others = [one for one in read_task(folder, report.task) if _key_of(one) != _key_of(mine)]
    path = folder / task_file(report.task)
    write_json(path, {"kind": report.task, "schema": SCHEMA, "results": [*others, mine]})
    return path


def read_task(folder: str | Path, task: str) -> list[dict[str, Any]]:
    """Results of a task in a folder; none if it was not asked there.

    Raises:
        InputError: if the file is damaged or of another schema.
    """
    path = Path(folder) / task_file(task)
    if not path.is_file():
        return []
    found = read_json(path)
    results = found.get("results") if isinstance(found, dict) and found.get("schema") == SCHEMA else None
    if not isinstance(results, list) or not all(isinstance(one, dict) and set(_KEY) <= set(one) for one in results):
        raise InputError(f"{path} is no report of this version: remove it, and ask again.")
    return results


def _key_of(result: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(result[name] for name in _KEY)
