"""A folder that one preparation at a time works in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neuroclip_hf.files import locked_folder

JOB = "job.json"
OURS = (JOB, "store", "parts", "scratch")
"""What a preparation leaves in its folder, beside the lock."""


@contextmanager
def locked(folder: Path, out: Path) -> Iterator[None]:
    """Hold the folder for this process alone, see [`locked_folder`]."""
    with locked_folder(folder, out, OURS, "preparation"):
        yield
