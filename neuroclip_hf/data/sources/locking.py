"""A folder that one process at a time works in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from neuroclip_hf.errors import InputError

LOCK = "lock"
JOB = "job.json"
OURS = (JOB, LOCK, "store", "parts", "scratch")
"""What a preparation leaves in its folder."""


@contextmanager
def locked(folder: Path, out: Path) -> Iterator[None]:
    """Hold the folder for this process alone; the system frees the lock of a process that was killed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file: BinaryIO = (folder / LOCK).open("wb")
    except OSError as error:
        raise InputError(
            f"{out} cannot be written ({error.strerror}): name an output in a folder you may write to."
        ) from None
    strange = [path.name for path in folder.iterdir() if path.name not in OURS and not path.name.startswith(".")]
    if strange:
        file.close()
        (folder / LOCK).unlink()
        raise InputError(f"{folder} holds {strange[0]}, which no preparation leaves there: move the folder away.")
    with file:
        try:
            _lock(file)
        except OSError:
            raise InputError(f"{out} is being made by another process: wait for it, or name another output.") from None
        yield


def _lock(file: BinaryIO) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: there nobody guards against two processes
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
