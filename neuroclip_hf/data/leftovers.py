"""What a process that was killed outright leaves beside a store or a run: folders whose names begin with a dot.

`.STORE.unfinished` keeps what `prepare things-eeg2` had finished, `.RUN.unfinished` the checkpoints of `train`; the
same command goes on after it.
`.STORE.*.tmp` is a store half written in one go, `.STORE.*.old` one that was about to be replaced; nothing goes on
from those.
"""

import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neuroclip_hf.files import temporary_folders
from neuroclip_hf.logging import get_logger

QUIET_SECONDS = 600
"""So long nothing has changed in a folder that nobody works on any more (ours)."""
PARTS = "parts"
"""The folder in an unfinished store that has a record a finished part."""


@dataclass(frozen=True)
class Leftover:
    """A folder that a killed process left, or that another one is working in.

    Args:
        path (`str`): the folder.
        finished_parts (`int` or None): that the same command goes on after; None for what nothing goes on from.
    """

    path: str
    finished_parts: int | None = None

    def __str__(self) -> str:
        if self.finished_parts is None:
            return f"{self.path}: of a process that was killed, or is at work; remove it if none is"
        return f"{self.path}: {self.finished_parts} finished parts; the command that began it goes on after them"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def unfinished_folder(store: Path) -> Path:
    """Where a store that is made in parts is kept until it is whole."""
    path = store.resolve()
    return path.parent / f".{path.name}.unfinished"


def find_leftovers(store: Path) -> list[Leftover]:
    """Everything of the kind beside a store."""
    unfinished = unfinished_folder(store)
    parts = len(list((unfinished / PARTS).glob("*.json")))
    found = [Leftover(str(unfinished), parts)] if unfinished.is_dir() else []
    return found + [Leftover(str(path)) for path in temporary_folders(store)]


def sweep(store: Path, overwrite: bool) -> None:
    """Name the temporary folders beside a store; where it may be overwritten, remove those that nobody works on."""
    for path in temporary_folders(store):
        if overwrite and time.time() - _last_change(path) > QUIET_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
            get_logger().info("%s, which a killed process had left, was removed.", path)
        else:
            get_logger().warning(
                "%s was left by a process that was killed, unless one is at work there: remove it, or pass "
                "--overwrite once nothing has changed in it for %d minutes.",
                path,
                QUIET_SECONDS // 60,
            )


def _last_change(folder: Path) -> float:
    return max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
