"""What a download left in its folder, so that the next one can tell whether it is still there and unchanged."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuroclip_hf.data.download.archives import Member
from neuroclip_hf.data.download.sources import Source, shown
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json, write_json

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Kept:
    """A file as it was left: path below the download's folder, bytes, CRC-32, time of the last change in ns."""

    path: str
    size: int
    crc: int
    changed: int

    @property
    def member(self) -> Member:
        """What it must hold."""
        return Member(self.path, self.size, self.crc)


def is_same(path: Path, member: Member, changed: int | None = None) -> bool:
    """Whether a file holds what a member of an archive holds.

    A file of the right size that was not touched since `changed` is taken to be the same; any other is read.
    """
    if not path.is_file() or path.stat().st_size != member.size:
        return False
    return path.stat().st_mtime_ns == changed or crc_of(path) == member.crc


def crc_of(path: Path) -> int:
    """The CRC-32 of a file."""
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc


def write_receipt(path: Path, source: Source, kept: Iterable[Kept]) -> None:
    """Write down what came from `source`."""
    files = [[one.path, one.size, one.crc, one.changed] for one in kept]
    write_json(path, {"url": shown(source.url), "terms": source.terms, "files": files})


def read_receipt(path: Path) -> list[Kept]:
    """What was left; nothing if nothing was written down, or not readably."""
    try:
        content: Any = read_json(path)
        return [Kept(str(name), int(size), int(crc), int(changed)) for name, size, crc, changed in content["files"]]
    except (InputError, KeyError, TypeError, ValueError):
        return []
