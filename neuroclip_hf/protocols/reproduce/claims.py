"""Who works where, so that several commands, on one machine or on several that share a disk, can share the work.

A claim is a lock of the system beside which a note says who holds it. The system frees the lock of a process that
died, whatever its note still says.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from neuroclip_hf.errors import InputError
from neuroclip_hf.files import write_text
from neuroclip_hf.run_files import LOCKS

_LOCK, _NOTE = ".lock", ".holder"
_SOMEBODY = "another process"


@contextmanager
def claim(path: Path) -> Iterator[bool]:
    """Hold a claim if nobody else does; whether this process has it.

    Args:
        path (`Path`): of the claim, without a suffix.

    Raises:
        InputError: if the disk cannot lock files.
    """
    lock, note = _lock(path), _with(path, _NOTE)
    if not _acquired(lock, path):
        yield False
        return
    try:
        write_text(note, f"process {os.getpid()} on {socket.gethostname()}")
        yield True
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def holder_of(path: Path) -> str | None:
    """Who holds a claim, in words; None if nobody does."""
    lock = _lock(path)
    if _acquired(lock, path):
        lock.release()
        return None
    try:
        return _with(path, _NOTE).read_text(encoding="utf-8")
    except OSError:  # between the lock and its note
        return _SOMEBODY


@contextmanager
def at_work(folder: Path) -> Iterator[None]:
    """Say that a command works in a folder, also while it makes no run itself."""
    path = folder / LOCKS / f"command-{socket.gethostname()}-{os.getpid()}"
    with claim(path):
        yield
    _with(path, _LOCK).unlink(missing_ok=True)


def refuse_while_at_work(folder: Path) -> None:
    """Refuse to remove a folder in which somebody works.

    Raises:
        InputError: naming who does.
    """
    for path in folder.rglob(f"{LOCKS}/*{_LOCK}"):
        holder = holder_of(path.with_name(path.name.removesuffix(_LOCK)))
        if holder is not None:
            raise InputError(f"{folder} is being worked in by {holder}: stop it first, or name another output.")


def _lock(path: Path) -> FileLock:
    return FileLock(_with(path, _LOCK))


def _with(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)  # names of runs hold points


def _acquired(lock: FileLock, path: Path) -> bool:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        return False
    except OSError as error:
        raise InputError(
            f"{path.parent} cannot be locked ({error.strerror or error}), so that several commands could not share "
            "the work: name an output on a disk that locks files."
        ) from None
    return True
