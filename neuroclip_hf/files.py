"""Outputs that appear whole or not at all, whenever the process is stopped.

Everything is written beside its final name under a temporary one that begins with a dot, and renamed at the end. A
process that is killed outright leaves the dotted folder behind, and nothing under the final name.
"""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroclip_hf.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOCK = "lock"
"""The file in a [`locked_folder`] that its process holds."""
_TOKEN_BYTES = 4


def refuse_existing(path: str | Path, overwrite: bool, mark: str | None = None) -> None:
    """Raise [`InputError`] if `path` exists and may not be replaced.

    Args:
        path (`str` or `Path`): the output.
        overwrite (`bool`): whether an existing one may be replaced.
        mark (`str`, *optional*): a file that every such folder holds; one that has files but not this is somebody's
            own and is never replaced.
    """
    path = Path(path)
    if not overwrite and (path.exists() or path.is_symlink()):
        raise InputError(f"{path} already exists: pass --overwrite to replace it, or name another output.")
    if mark is not None and path.is_dir() and any(path.iterdir()) and not (path / mark).is_file():
        raise InputError(f"{path} holds other files and no {mark}, so it is not replaced: name another output.")


@contextmanager
def new_folder(path: str | Path, overwrite: bool = False, mark: str | None = None) -> Iterator[Path]:
    """Yield an empty folder beside `path` that takes its name when the block ends without an error.

    After an error or Ctrl-C the temporary folder is gone and whatever stood under `path` is as it was.

    Args:
        path (`str` or `Path`): the folder to make; its parents are made too. What a symbolic link points to is
            replaced, the link stays.
        overwrite (`bool`): replace an existing folder; without it an existing one raises [`InputError`].
        mark (`str`, *optional*): replace only a folder that is empty or holds this file, see [`refuse_existing`].
    """
    refuse_existing(path, overwrite, mark)
    path = Path(path).resolve()
    if path.is_file():
        raise InputError(f"{path} is a file: the output is a folder, so name another one.")
    with _folder_beside(path) as temporary:
        yield temporary
        refuse_existing(path, overwrite, mark)  # it may have appeared in the meantime
        _replace_folder(temporary, path)


@contextmanager
def new_file(path: str | Path, overwrite: bool = True) -> Iterator[Path]:
    """Yield a path in a temporary folder beside `path`; what is written there takes its name when the block ends.

    The temporary path keeps the file's name, since many writers choose the format by its suffix. What a symbolic
    link points to is replaced, the link stays.
    """
    refuse_existing(path, overwrite)
    path = Path(path).resolve()
    if path.is_dir():
        raise InputError(f"{path} is a folder: the output is a file, so name one.")
    with _folder_beside(path) as temporary:
        yield temporary / path.name
        refuse_existing(path, overwrite)
        os.replace(temporary / path.name, path)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text with Unix line ends, whole or not at all."""
    with new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all; NaN is refused, since JSON has none."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """What [`write_json`] writes, so that equal values are equal bytes.

    Raises:
        ValueError: for NaN and infinity.
    """
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def write_array(path: Path, values: "NDArray[Any]") -> None:
    """Write a plain .npy file; an error says its number, which `numpy.save` loses, so that a full disk is known."""
    import numpy as np  # not every user of this module needs it

    values = np.ascontiguousarray(values)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(values))
        file.write(values.data)


def read_json(path: str | Path) -> Any:
    """Read JSON.

    Raises:
        InputError: if the file is missing, cannot be read, or is not JSON.
    """
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): it should be a JSON file.") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not readable JSON ({error}): restore it or make it again.") from None


def is_disk_full(error: OSError) -> bool:
    """Whether an error says that the disk, or what a user or a file may take of it, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def locked_folder(folder: Path, out: Path, contents: Collection[str], work: str) -> Iterator[None]:
    """Make a folder in which an output grows, and hold it for this process alone.

    The system frees the lock of a process that was killed, so that the next one can go on with what lies there.

    Args:
        folder (`Path`): is made if it is not there.
        out (`Path`): the output, for messages.
        contents (collection of `str`): names of all that `work` may leave there, beside [`LOCK`] and dotted
            names.
        work (`str`): what makes the output, for a message: "preparation".

    Raises:
        InputError: if another process holds the folder, it cannot be written, or it holds something else.
    """
    from filelock import FileLock, Timeout  # takes a while to load, and most commands lock nothing

    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = {LOCK, *contents}
        strange = [path.name for path in folder.iterdir() if path.name not in known and not path.name.startswith(".")]
        if strange:
            raise InputError(f"{folder} holds {strange[0]}, which no {work} leaves there: move the folder away.")
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"{out} is being made by another process: wait for it, or name another output.") from None
    except OSError as error:
        raise _unwritable(out, error) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """Yield a new folder on the same file system as `path`, so that a rename suffices; it is gone afterwards."""
    temporary = _dotted(path, "tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        yield temporary
    except OSError as error:
        if is_disk_full(error):
            raise InputError(f"{path} cannot be written: the disk is full; free some space.") from None
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def temporary_folders(path: Path) -> list[Path]:
    """Folders beside an output that a process left which was killed while it wrote, or in which one is at work."""
    path = path.resolve()
    name = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{{2 * _TOKEN_BYTES}}}\.(tmp|old)")
    if not path.parent.is_dir():
        return []
    return sorted(one for one in path.parent.iterdir() if name.fullmatch(one.name) and one.is_dir())


def _dotted(path: Path, kind: str) -> Path:
    return path.parent / f".{path.name}.{secrets.token_hex(_TOKEN_BYTES)}.{kind}"


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path} cannot be written ({error.strerror}): name an output in a folder you may write to.")


def _replace_folder(new: Path, path: Path) -> None:
    """Rename `new` to `path`; a folder there is moved away first, and back if anything goes wrong."""
    if not path.exists():
        os.replace(new, path)
        return
    old = _dotted(path, "old")
    try:
        os.replace(path, old)
        os.replace(new, path)
    except BaseException:  # Ctrl-C between the two renames must not hide the old folder either
        if old.exists() and not path.exists():
            os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)
