"""A folder of downloaded files: what is there already is looked at first, what is missing is fetched and put there.

Beside the files lies `.downloads`: files that are still coming, archives until they are unpacked, a receipt of every
finished download, and locks, so that several processes may share the folder.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from neuroclip_hf.data.download.archives import Member, unpack
from neuroclip_hf.data.download.receipts import Kept, crc_of, is_same, read_receipt, write_receipt
from neuroclip_hf.data.download.sources import Source
from neuroclip_hf.data.download.transfer import Patience, fault_of_file, fetch
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import is_disk_full
from neuroclip_hf.logging import get_logger

KEPT, DOWNLOADED, RESUMED = "kept", "downloaded", "resumed"
_STATE_FOLDER = ".downloads"


@dataclass(frozen=True)
class Downloaded:
    """What became of one file.

    Args:
        path (`str`): the file or folder below the download's folder.
        state (`str`): "kept" if it was there already, "resumed" if a part of it was, otherwise "downloaded".
        files, size (`int`): how many files it is, and of how many bytes together.
    """

    path: str
    state: str
    files: int
    size: int


def download(
    sources: Sequence[Source], to: str | Path, *, overwrite: bool = False, patience: Patience | None = None
) -> list[Downloaded]:
    """Bring `sources` into a folder. The same call after an interruption goes on where it was.

    The terms of use are logged before anything is fetched. What is complete stays: files are compared with the
    receipt (by size, and by their CRC-32 if they were touched since). A file appears under its final name only when
    it has passed all checks, a new folder only with everything in it.

    Args:
        sources (`Sequence[Source]`): what to bring.
        to (`str` or `Path`): the folder; it may hold other things, which are not touched.
        overwrite (`bool`): whether files that are there but differ from the published ones are replaced.
        patience (`Patience`, *optional*): how long to try.

    Raises:
        InputError: if the disk is too small, something there differs or was not put there by a download and may not
            be replaced, or a source cannot be had; see also [`fetch`] and [`unpack`].
    """
    places = [_Place(source, Path(to)) for source in sources]
    try:
        (Path(to) / _STATE_FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{to} cannot be written ({error.strerror}): name a folder you may write to.") from None
    outstanding = [place.source for place in places if not place.is_complete(overwrite)]
    for terms in dict.fromkeys(source.terms for source in outstanding):
        get_logger().warning(terms)
    _check_disk(Path(to), outstanding)
    return [_bring(place, overwrite, patience or Patience()) for place in places]


class _Place:
    """Where the files of one source lie."""

    def __init__(self, source: Source, to: Path) -> None:
        self.source = source
        self.to = to
        self.target = to / source.target
        state = to / _STATE_FOLDER
        self.arriving = state / source.name
        self.unpacked = state / f"{source.name}.unpacked" / source.target
        self.receipt = state / f"{source.name}.receipt.json"
        self.lock = FileLock(state / f"{source.name}.lock")

    def kept(self) -> list[Kept]:
        """What earlier downloads left."""
        return read_receipt(self.receipt)

    def is_complete(self, overwrite: bool) -> bool:
        """Whether nothing is missing.

        Raises:
            InputError: if something differs, or is not known to be ours, and may not be replaced.
        """
        kept = self.kept()
        if not kept and self.target.exists():
            if self.source.sha256 and self.target.is_file() and fault_of_file(self.target, self.source) is None:
                return True  # somebody else brought it
            is_empty = self.target.is_dir() and not any(self.target.iterdir())
            if not overwrite and not is_empty:
                raise InputError(
                    f"{self.target} exists, and no download put it there: move it away, name another folder, or pass "
                    "--overwrite to replace what differs in it."
                )
        present = [one for one in kept if (self.to / one.path).exists()]
        changed = [one for one in present if not is_same(self.to / one.path, one.member, one.changed)]
        if changed and not overwrite:
            raise InputError(
                f"{self.to / changed[0].path} was changed after its download ({len(changed)} such files in "
                f"{self.target}): move it away, or pass --overwrite to replace it."
            )
        return bool(kept) and len(present) == len(kept) and not changed

    def fetched(self, patience: Patience) -> bool:
        """Have the file beside its final name; returns whether an earlier process began it."""
        if self.arriving.is_file() and fault_of_file(self.arriving, self.source) is None:
            return True
        return fetch(self.source, self.arriving, patience)


def _bring(place: _Place, overwrite: bool, patience: Patience) -> Downloaded:
    try:
        place.lock.acquire(timeout=0)
    except Timeout:
        get_logger().info(f"{place.source.name}: waiting for another process that is downloading it.")
        place.lock.acquire()
    try:
        state = KEPT
        if not place.is_complete(overwrite):
            state = RESUMED if place.fetched(patience) else DOWNLOADED
            _put(place, overwrite)
        return _outcome(place, state)
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise InputError(
            f"{place.source.name} does not fit: the disk of {place.to} is full; free some space and run the same "
            "command again."
        ) from None
    finally:
        place.lock.release()


def _put(place: _Place, overwrite: bool) -> None:
    """Give what was fetched its final name."""
    if not place.source.folder:
        if place.target.is_dir():
            raise InputError(f"{place.target} is a folder where a file belongs: move it away.")
        state = place.arriving.stat()
        kept = Kept(place.source.name, state.st_size, crc_of(place.arriving), state.st_mtime_ns)
        write_receipt(place.receipt, place.source, [kept])
        os.replace(place.arriving, place.target)
        return
    shutil.rmtree(place.unpacked.parent, ignore_errors=True)  # of a process that was stopped
    place.unpacked.mkdir(parents=True)
    try:
        members = _unpack(place)
        equal = {member.path for member in members if is_same(place.target / member.path, member)}
        others = [member for member in members if member.path not in equal]
        _refuse_differing(place, others, overwrite)
        # The receipt comes first: stopped between the two, the next run finds files missing and moves them.
        stays = {member.path: place.target if member.path in equal else place.unpacked for member in members}
        write_receipt(place.receipt, place.source, [_kept(place, stays[one.path], one) for one in members])
        _move(place, others)
        place.arriving.unlink()
    finally:
        shutil.rmtree(place.unpacked.parent, ignore_errors=True)


def _unpack(place: _Place) -> list[Member]:
    try:
        return unpack(place.arriving, place.unpacked, place.source.largest)
    except InputError:
        place.arriving.unlink()  # a wrong archive would be wrong again
        raise


def _kept(place: _Place, folder: Path, member: Member) -> Kept:
    """The receipt's row of a file that is now in `folder` and will be, or already is, in its final place."""
    changed = (folder / member.path).stat().st_mtime_ns
    return Kept(f"{place.source.folder}/{member.path}", member.size, member.crc, changed)


def _refuse_differing(place: _Place, members: list[Member], overwrite: bool) -> None:
    for member in members:
        path = place.target / member.path
        if path.is_dir() or any(parent.is_file() for parent in path.parents):
            raise InputError(f"{path}: a file and a folder share this name: move it away.")
        if path.exists() and not overwrite:
            raise InputError(
                f"{path} differs from the one in {place.source.name}, so nothing was unpacked: move it away, or pass "
                "--overwrite to replace it."
            )


def _move(place: _Place, members: list[Member]) -> None:
    """Rename the whole folder if it is new, otherwise only `members` of it."""
    if place.target.is_dir() and not any(place.target.iterdir()):
        place.target.rmdir()
    if not place.target.exists():
        os.replace(place.unpacked, place.target)
        return
    for member in members:
        path = place.target / member.path
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(place.unpacked / member.path, path)


def _outcome(place: _Place, state: str) -> Downloaded:
    kept = place.kept()
    files, size = len(kept), sum(one.size for one in kept)
    if not kept:
        files, size = 1, place.target.stat().st_size
    return Downloaded(place.source.target, state, files, size)


def _check_disk(to: Path, outstanding: Sequence[Source]) -> None:
    """Everything stays unpacked, and the largest archive lies beside what comes out of it."""
    needed = sum(source.unpacked_size for source in outstanding)
    needed += max((source.download_size for source in outstanding if source.folder), default=0)
    free = shutil.disk_usage(to).free
    if free < needed:
        raise InputError(
            f"about {needed} bytes are needed in {to}, and the disk has {free}: free some space, download fewer "
            "subjects at a time, or name a folder on another disk."
        )
