"""A run in the making, so that a training that was stopped goes on where it was.

Beside the run `RUN` stands, until it is whole, the folder `.RUN.unfinished`:

```
job.json      all that the run's bytes depend on
lock          held by the process that works here
output/       the run as far as its trainings are finished
checkpoints/  training/ and control/, see `neuroclip_hf.training.checkpoints`
log/          training.jsonl and control.jsonl, a line for each epoch so far
```
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neuroclip_hf.data.leftovers import sweep, unfinished_folder
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import locked_folder, new_folder, read_json, refuse_existing, write_json
from neuroclip_hf.logging import get_logger
from neuroclip_hf.run_files import CONTROL, RUN_FILE
from neuroclip_hf.training.checkpoints import has_checkpoint

_JOB, _OUTPUT, _CHECKPOINTS, _LOG = "job.json", "output", "checkpoints", "log"
_MOST_DIFFERENCES = 5


class UnfinishedRun:
    """The folder of a run in the making. Use [`unfinished_run`].

    Args:
        folder (`Path`): `.RUN.unfinished`.
        out (`Path`): the run.
    """

    def __init__(self, folder: Path, out: Path) -> None:
        self._folder, self.output, self.out = folder, folder / _OUTPUT, out

    def part(self, shuffled: bool) -> Path:
        """Where a training, or its control on shuffled pairs, is saved; it is there once that is finished."""
        return self.output / CONTROL if shuffled else self.output

    def checkpoints(self, shuffled: bool) -> Path:
        """Where its checkpoints are."""
        return self._folder / _CHECKPOINTS / (CONTROL if shuffled else "training")

    def log(self, shuffled: bool) -> Path:
        """The file that says how it goes."""
        return self._folder / _LOG / f"{CONTROL if shuffled else 'training'}.jsonl"


@contextmanager
def unfinished_run(out: Path, job: dict[str, Any], overwrite: bool) -> Iterator[UnfinishedRun]:
    """Make a run; it appears under `out` only when it is whole.

    What an interrupted process left is gone on with. After an error the checkpoints stay; where none was written,
    nothing stays.

    Args:
        out (`Path`): the run.
        job (`dict`): plain values, all that the run's bytes depend on.
        overwrite (`bool`): replace an existing run, and start an unfinished one afresh. One that was itself begun
            with `overwrite` is gone on with all the same, so that equal commands do equal things.

    Raises:
        InputError: if `out` exists or cannot be written, another process is making it, or an unfinished run of it was
            begun with another `job`.
    """
    refuse_existing(out, overwrite, RUN_FILE)
    if out.is_file():
        raise InputError(f"{out} is a file: the output is a folder, so name another one.")
    folder = unfinished_folder(out)
    with locked_folder(folder, out, (_JOB, _OUTPUT, _CHECKPOINTS, _LOG), "training"):
        sweep(out, overwrite)
        _begin(folder, out, job, overwrite)
        try:
            run = UnfinishedRun(folder, out)
            yield run
            _finish(run, out, overwrite)
        finally:
            _leave(folder)


def _begin(folder: Path, out: Path, job: dict[str, Any], overwrite: bool) -> None:
    known = _known(folder)
    same = known.get("job") == job
    if has_checkpoint(folder / _CHECKPOINTS) and not same and not overwrite:
        raise InputError(
            f"{folder} holds an unfinished run that was begun with other settings: "
            f"{differences(known.get('job'), job)}. Use the same ones to go on, pass --overwrite to start afresh, or "
            "name another output."
        )
    if not same or (overwrite and not known.get("overwrite")):
        for path in (folder / _OUTPUT, folder / _CHECKPOINTS, folder / _LOG):
            shutil.rmtree(path, ignore_errors=True)
        write_json(folder / _JOB, {"job": job, "overwrite": overwrite})
    for left in (*folder.glob(".*"), *(folder / _OUTPUT).glob(".*")):  # of a process that was killed while it wrote
        shutil.rmtree(left, ignore_errors=True)


def _known(folder: Path) -> dict[str, Any]:
    try:
        known = read_json(folder / _JOB)
    except InputError:
        return {}
    return known if isinstance(known, dict) else {}


def differences(known: Any, job: dict[str, Any]) -> str:
    """The settings in which two jobs differ, in words: of the one that is known, and of the one that is wanted."""
    old, new = dict(_entries(known)), dict(_entries(job))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    shown = [f"{name} was {old.get(name)!r} and is {new.get(name)!r}" for name in names[:_MOST_DIFFERENCES]]
    return "; ".join([*shown, *(["..."] if len(names) > _MOST_DIFFERENCES else [])])


def _entries(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Values of nested dictionaries by dotted names."""
    if not isinstance(value, dict):
        yield name, value
        return
    for key, inner in value.items():
        yield from _entries(inner, f"{name}.{key}" if name else key)


def _finish(run: UnfinishedRun, out: Path, overwrite: bool) -> None:
    refuse_existing(out, overwrite, RUN_FILE)  # it may have appeared in the meantime
    path = out.resolve()
    if path.exists():
        with new_folder(out, overwrite, RUN_FILE) as empty:
            empty.rmdir()
            run.output.rename(empty)
    else:
        run.output.rename(path)
    shutil.rmtree(run.output.parent, ignore_errors=True)


def _leave(folder: Path) -> None:
    """Keep checkpoints for another start; a folder without any is removed."""
    if has_checkpoint(folder / _CHECKPOINTS):
        get_logger().warning("%s keeps what was trained: the same command goes on after it.", folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)
