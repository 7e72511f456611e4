"""Checkpoints of a training that is under way: they appear whole or not at all, and are checked before they are used.

```
step-000001200/
  tensors.safetensors   what is trained, the optimiser's state, the best epoch so far; nothing of a frozen tower
  state.json            numbers and text
  checksums.json        SHA-256 of the two
```
"""

import copy
import json
import shutil
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from neuroclip_hf.errors import InputError
from neuroclip_hf.files import new_folder, write_json
from neuroclip_hf.logging import get_logger

_TENSORS, _STATE, _CHECKSUMS = "tensors.safetensors", "state.json", "checksums.json"
_KEPT = 2


@dataclass(frozen=True)
class Snapshot:
    """What a training has come to.

    Args:
        step (`int`): steps done.
        tensors (`dict` from `str` to `torch.Tensor`): by name.
        state (`dict`): plain values, as JSON holds them.
    """

    step: int
    tensors: dict[str, torch.Tensor]
    state: dict[str, Any]

    def copied(self) -> "Snapshot":
        """The same on the CPU, which a training that goes on does not change."""
        tensors = {name: value.detach().cpu().clone() for name, value in self.tensors.items()}
        return Snapshot(self.step, tensors, copy.deepcopy(self.state))


def write_checkpoint(folder: Path, snapshot: Snapshot) -> Path:
    """Write a checkpoint into `folder`, and remove all but the last two.

    It is written under a name that begins with a dot and renamed, so that a process that is killed leaves none in
    part. Nothing is pickled.
    """
    path = folder / f"step-{snapshot.step:09d}"
    with new_folder(path, overwrite=True) as unfinished:
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in snapshot.tensors.items()}
        save_file(tensors, unfinished / _TENSORS)
        write_json(unfinished / _STATE, snapshot.state)
        write_json(unfinished / _CHECKSUMS, {name: _sha256(unfinished / name) for name in (_TENSORS, _STATE)})
    for old in _checkpoints(folder)[_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def remove_later_checkpoints(folder: Path, step: int) -> None:
    """Remove the checkpoints that were written after a step: what they hold may be lost already."""
    for path in _checkpoints(folder):
        if _step(path) > step:
            shutil.rmtree(path, ignore_errors=True)


class _DamagedError(Exception):
    """A checkpoint is not what was written."""


def read_newest_checkpoint(folder: Path) -> Snapshot | None:
    """Read the newest checkpoint that is whole; None if there is none.

    One that is not what was written is removed with a warning, and the one before it used. What a process that was
    killed left of one is removed too: nobody else may be writing here.

    Raises:
        InputError: if a checkpoint is there and cannot be read; nothing is removed then.
    """
    if not folder.is_dir():
        return None
    for left in folder.glob(".step-*"):
        shutil.rmtree(left, ignore_errors=True)
    for path in _checkpoints(folder):
        try:
            return _read(path)
        except _DamagedError as error:
            get_logger().warning("%s is damaged and not used (%s).", path, error)
            shutil.rmtree(path)
        except OSError as error:
            raise InputError(
                f"{path} cannot be read ({error.strerror or error}), and nothing says that it is damaged: mend the "
                "disk or the access to it and start again, or remove the checkpoint to go on after the one before it."
            ) from None
    return None


def has_checkpoint(folder: Path) -> bool:
    """Whether a checkpoint lies below `folder`, damaged or not."""
    return any(folder.rglob(f"step-*/{_CHECKSUMS}"))


def _checkpoints(folder: Path) -> list[Path]:
    """Newest first."""
    return sorted(folder.glob("step-*"), key=lambda path: path.name, reverse=True)


def _step(path: Path) -> int:
    return int(path.name.partition("-")[2])


def _read(path: Path) -> Snapshot:
    try:
        checksums = json.loads((path / _CHECKSUMS).read_bytes())
        found = {name: _sha256(path / name) for name in (_TENSORS, _STATE)}
    except (FileNotFoundError, ValueError, RecursionError) as error:
        raise _DamagedError(error) from None
    if checksums != found:
        raise _DamagedError("its files are not what their checksums say")
    try:
        state, tensors = json.loads((path / _STATE).read_bytes()), load_file(path / _TENSORS)
    except (ValueError, RecursionError, SafetensorError) as error:  # whoever wrote those checksums
        raise _DamagedError(error) from None
    if not isinstance(state, dict):
        raise _DamagedError(f"{_STATE} holds no state")
    return Snapshot(_step(path), tensors, state)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
