"""Folders that a user names -> runs that are asked together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neuroclip_hf.errors import InputError
from neuroclip_hf.protocols.reproduce.plan import finished_folders
from neuroclip_hf.run_files import PLAN_FILE, VARIATIONS


@dataclass(frozen=True)
class TaskFolder:
    """Runs that make one report.

    Args:
        name (`str`): for readers.
        path (`Path` or None): the reproduction whose runs they are; None for runs that were named one by one.
        runs (`list[Path]`): the runs.
    """

    name: str
    path: Path | None
    runs: list[Path]


def task_folders(folders: Sequence[str | Path]) -> list[TaskFolder]:
    """Sort folders into what is reported together.

    Args:
        folders (sequence of paths): runs, which make one report; reproductions, each of which makes one; ablations,
            each of whose variations makes one: for regions of interest, `neuroclip ablate --over channels`.

    Raises:
        InputError: for a folder that comes twice, or holds no run.
    """
    runs: list[Path] = []
    found: list[TaskFolder] = []
    for path in map(Path, folders):
        if (path / VARIATIONS).is_dir():
            found += [
                TaskFolder(one.name, one, finished_folders(one)) for one in sorted((path / VARIATIONS).iterdir())
            ]
        elif (path / PLAN_FILE).is_file():
            found.append(TaskFolder(path.name, path, finished_folders(path)))
        else:
            runs.append(path)
    twice = next((path for path in runs if sum(path.resolve() == one.resolve() for one in runs) > 1), None)
    if twice is not None:
        raise InputError(f"{twice} is named twice, and would count twice: name it once.")
    together = [TaskFolder(", ".join(path.name for path in runs), None, runs)] if runs else []
    return [*together, *found]
