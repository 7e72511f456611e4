"""Zip archives of strangers: looked through before anything is written, and unpacked without trust."""

import errno
import os
import shutil
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from neuroclip_hf.errors import InputError
from neuroclip_hf.logging import progress

_MOST_FILES = 100_000
_CHUNK = 1 << 20
_REGULAR = (0, stat.S_IFREG, stat.S_IFDIR)  # 0: the archive was made where files have no such types
# What macOS adds to an archive that is made by hand.
_LITTER = ("__MACOSX", ".DS_Store")
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeError)


@dataclass(frozen=True)
class Member:
    """A file of an archive: its path below the folder that is unpacked to, its size in bytes and its CRC-32."""

    path: str
    size: int
    crc: int


def fault_of_archive(path: Path) -> str | None:
    """Why `path` cannot be a zip archive, in words; None if it may be one. Only its end is read."""
    try:
        with zipfile.ZipFile(path):
            return None
    except _UNREADABLE as error:
        with path.open("rb") as file:
            beginning = file.read(20)
        return f"it is no readable zip archive ({error}); it begins with {beginning!r}"


def unpack(archive: Path, folder: Path, largest: int) -> list[Member]:
    """Unpack a zip archive into `folder`, which must be empty.

    An archive whose files all lie in one folder called like `folder` is unpacked without it, so that
    "sub-01/ses-01/x" and "ses-01/x" give the same.

    Args:
        archive (`Path`): the archive.
        folder (`Path`): where its files go.
        largest (`int`): bytes that are too many.

    Returns:
        What was unpacked, sorted by path.

    Raises:
        InputError: if a name is absolute, leaves the folder, comes twice or cannot be a file name everywhere; if a
            member is a link, a device or encrypted; if there are too many files or bytes; if the archive is damaged.
            What was unpacked until then is left to the caller.
        OSError: if the disk is full, or is going to be.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            chosen = _checked(archive, opened, folder.name, largest)
            size = sum(info.file_size for _, info in chosen)
            if shutil.disk_usage(folder).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
            with progress(total=size, unit="B", unit_scale=True, desc=f"unpack {archive.name}") as bar:
                for path, info in chosen:
                    target = folder / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with opened.open(info) as source, target.open("xb") as file:
                        bar.update(_copy(archive, source, file, info))
    except _UNREADABLE as error:
        raise InputError(f"{archive.name} is damaged ({error}): download it again.") from None
    return sorted((Member(path, info.file_size, info.CRC) for path, info in chosen), key=lambda member: member.path)


def _copy(archive: Path, source: IO[bytes], file: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Write what `source` holds, which the library compares with its CRC; no more than it announced."""
    written = 0
    while chunk := source.read(_CHUNK):
        written += len(chunk)
        if written > info.file_size:
            raise InputError(f"{archive.name}: {info.filename!r} holds more than it says: do not trust this archive.")
        file.write(chunk)
    if written != info.file_size:
        raise InputError(f"{archive.name}: {info.filename!r} holds less than it says: download it again.")
    return written


def _checked(archive: Path, opened: zipfile.ZipFile, folder: str, largest: int) -> list[tuple[str, zipfile.ZipInfo]]:
    """The files to unpack, with their paths below the folder."""
    infos = opened.infolist()
    total = sum(info.file_size for info in infos)
    if len(infos) > _MOST_FILES or total > largest:
        raise InputError(
            f"{archive.name} holds {len(infos)} files of {total} bytes, more than {_MOST_FILES} files or {largest} "
            "bytes: it is not the published archive, so it is not unpacked."
        )
    found = []
    for info in infos:
        parts = _safe_parts(archive, info)
        if not info.is_dir() and not any(part in _LITTER for part in parts):
            found.append((parts, info))
    inside = [parts[0] == folder and len(parts) > 1 for parts, _ in found]
    if not found or any(inside) != all(inside):
        raise InputError(f"{archive.name} does not hold just the folder {folder}: it is not the published archive.")
    paths = ["/".join(parts[1:] if inside[0] else parts) for parts, _ in found]
    _refuse_collisions(archive, paths)
    return [(path, info) for path, (_, info) in zip(paths, found, strict=True)]


def _safe_parts(archive: Path, info: zipfile.ZipInfo) -> tuple[str, ...]:
    """The parts of a member's name.

    Raises:
        InputError: if it could end up elsewhere, or is no plain file or folder.
    """
    name = info.orig_filename  # as the archive has it: the library itself cuts names at a zero byte
    parts = name.rstrip("/").split("/")
    forbidden = any(part in ("", ".", "..") or any(sign in part for sign in "\\:\0") for part in parts)
    if forbidden or PurePosixPath(name).is_absolute():
        raise InputError(f"{archive.name}: {name!r} is no path below a folder: do not trust this archive.")
    if stat.S_IFMT(info.external_attr >> 16) not in _REGULAR:
        raise InputError(f"{archive.name}: {name!r} is a link or a device: do not trust this archive.")
    if info.flag_bits & 1:
        raise InputError(f"{archive.name}: {name!r} is encrypted: it is not the published archive.")
    return tuple(parts)


def _refuse_collisions(archive: Path, paths: list[str]) -> None:
    """Raise if two paths are one where capitals do not count, or a file is also a folder."""
    folded = [path.casefold() for path in paths]
    files = set(folded)
    if len(files) != len(folded):
        raise InputError(f"{archive.name} holds a name twice: do not trust this archive.")
    for path in folded:
        if any(str(parent) in files for parent in PurePosixPath(path).parents):
            raise InputError(f"{archive.name}: {path!r} lies below a file: do not trust this archive.")
