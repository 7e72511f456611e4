"""Getting one file over HTTP, however often the connection breaks.

Underneath is httpx2, which huggingface_hub brings along anyway: it keeps connections, follows redirects, knows proxies
and certificates, and notices bodies that are too short. `pooch` does not resume, and `huggingface_hub`'s own function
resumes without asking whether the remote file is still the same one; what is ours here is that question, the checks
and the patience.
"""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from neuroclip_hf.data.download.archives import fault_of_archive
from neuroclip_hf.data.download.part import Part, Remote
from neuroclip_hf.data.download.sources import Source, shown
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import is_disk_full, sha256
from neuroclip_hf.logging import get_logger, progress

_COMPLETE, _PARTIAL, _BAD_RANGE = 200, 206, 416
_WORTH_ANOTHER_TRY = (408, 425, 429, 500, 502, 503, 504)
_REFUSALS = (401, 403)


@dataclass(frozen=True)
class Patience:
    """How long to try. Choices of ours.

    Args:
        attempts (`int`): tries in a row that bring nothing new before giving up.
        timeout (`float`): seconds without a byte after which a connection counts as dead.
        pause (`float`): seconds before the second try; doubled each time, up to `longest_pause`.
    """

    attempts: int = 8
    timeout: float = 60.0
    pause: float = 1.0
    longest_pause: float = 60.0


class _Interrupted(Exception):
    """Worth another try; `wait` is what the server asked for, in seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def fetch(source: Source, path: Path, patience: Patience) -> bool:
    """Get a file, or the rest of it, and give it its name once it is complete and right.

    A file that arrives whole but wrong is fetched once more from its beginning.

    Args:
        source (`Source`): the file.
        path (`Path`): where it goes; its folder must exist.
        patience (`Patience`): when to give up.

    Returns:
        Whether bytes of an earlier run were used.

    Raises:
        InputError: if it cannot be had, is not what it should be, or does not fit on the disk. Bytes of a file that
            is still believed in are kept for the next run.
    """
    part = Part(path)
    with _client(patience) as client:
        for another in (True, False):
            _receive_all(client, source, part, patience)
            fault = fault_of_file(part.file, source)
            if fault is None:
                break
            part.discard()
            if not another:
                raise InputError(
                    f"{source.name} from {shown(source.url)}: {fault}, twice. The file there is not the published "
                    f"one, or has changed: look at {source.page}, or name another --mirror."
                )
            get_logger().warning(f"{source.name}: {fault}; fetching it again from the beginning.")
    part.finish()
    return not part.begun


def fault_of_file(path: Path, source: Source) -> str | None:
    """What is wrong with a complete file, in words; None if it passes every check that its source knows."""
    size = path.stat().st_size if path.exists() else 0
    if source.size is not None and size != source.size:
        return f"it has {size} bytes instead of {source.size}"
    if source.sha256 is not None:
        found = sha256(path)
        if found != source.sha256:
            return f"its SHA-256 is {found} instead of {source.sha256}"
    if not size:
        return "it is empty"
    return fault_of_archive(path) if source.folder else None


@contextmanager
def _client(patience: Patience) -> Iterator[httpx2.Client]:
    """A client whose library does not log the addresses that it is redirected to: they may be signed."""
    loggers = [logging.getLogger(name) for name in ("httpx2", "httpcore2")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    # Compressed on the way, ranges and sizes would be those of something else.
    headers = {"User-Agent": "neuroclip_hf", "Accept-Encoding": "identity"}
    try:
        with httpx2.Client(headers=headers, follow_redirects=True, timeout=patience.timeout) as client:
            yield client
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _receive_all(client: httpx2.Client, source: Source, part: Part, patience: Patience) -> None:
    furthest, failures, pause = part.size, 0, patience.pause
    while True:
        try:
            return _receive(client, source, part)
        except _Interrupted as error:
            failures += 1
            if part.size > furthest:
                furthest, failures, pause = part.size, 0, patience.pause
            if failures >= patience.attempts:
                raise InputError(
                    f"{source.name} from {shown(source.url)}: {error}, {failures} times in a row. "
                    f"{_kept_of(part)} are kept: run the same command again later, or name a --mirror."
                ) from None
            wait = min(max(pause, error.wait), patience.longest_pause)
            get_logger().info(f"{source.name}: {error}; trying again in {wait:.3g} s ({part.size} bytes so far).")
            time.sleep(wait)
            pause *= 2


def _kept_of(part: Part) -> str:
    """How many bytes are there, of how many: a server may announce more than it has."""
    remote = part.remote()
    if remote is None or remote.size is None:
        return f"{part.size} bytes"
    return f"{part.size} of the {remote.size} bytes that the server announces"


def _receive(client: httpx2.Client, source: Source, part: Part) -> None:
    """One request for what is missing; returns when nothing is."""
    kept = _believed(part, source)
    offset = part.size if kept else 0
    if kept and offset == kept.size:
        return
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    if kept and kept.version:
        headers["If-Range"] = kept.version
    try:
        with client.stream("GET", source.url, headers=headers) as response:
            _check_answer(response, source, part)
            offset = _take_up(response, source, part, kept, offset)
            _write(response, source, part, offset)
    except httpx2.UnsupportedProtocol as error:
        raise InputError(f"{source.name}: {shown(source.url)} cannot be fetched ({error}).") from None
    except httpx2.TimeoutException:
        raise _Interrupted("the server does not answer") from None
    except httpx2.TransportError as error:
        raise _Interrupted(f"the connection broke ({type(error).__name__})") from None
    except (httpx2.RequestError, httpx2.InvalidURL) as error:
        raise InputError(
            f"{source.name} from {shown(source.url)} cannot be fetched ({type(error).__name__}): look at "
            f"{source.page}, or name another --mirror."
        ) from None


def _believed(part: Part, source: Source) -> Remote | None:
    """The remote file whose bytes may be continued; without one, the next request is for the whole."""
    kept = part.remote()
    if kept is None or kept.url != shown(source.url) or kept.size is None or part.size > kept.size:
        return None
    checked_as_a_whole = source.sha256 is not None or source.folder is not None
    return kept if kept.version or checked_as_a_whole else None


def _check_answer(response: httpx2.Response, source: Source, part: Part) -> None:
    """Sort out every answer that brings no bytes of the file."""
    status = response.status_code
    where = f"{source.name} from {shown(source.url)}"
    if source.url.startswith("https:") and response.url.scheme != "https":
        raise InputError(f"{where}: the server passes on to an address without encryption: name another --mirror.")
    if status == _BAD_RANGE:
        kept, received = part.remote(), part.size
        part.discard()
        if kept is not None and kept.size is not None and received < kept.size:
            raise _Interrupted(f"the server announces {kept.size} bytes and has {received}, so it begins again")
        raise _Interrupted("the server has fewer bytes than were received, so it begins again")
    if status in _WORTH_ANOTHER_TRY:
        asked = response.headers.get("Retry-After", "")
        raise _Interrupted(f"the server answers {status}", float(asked) if asked.isdecimal() else 0.0)
    if status in _REFUSALS:
        raise InputError(
            f"{where}: the server refuses it ({status}); it may allow only so many downloads a day. Try later, get it "
            f"from {source.page} by hand, or name a --mirror."
        )
    if status not in (_COMPLETE, _PARTIAL):
        raise InputError(f"{where}: the server answers {status}: look at {source.page}, or name another --mirror.")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise InputError(f"{where}: the server sends it compressed although it was asked not to: name a --mirror.")


def _take_up(response: httpx2.Response, source: Source, part: Part, kept: Remote | None, offset: int) -> int:
    """Where the bytes of this answer belong: after those that are there, or at the beginning."""
    begin, size = _extent(response)
    headers = response.headers
    etag = headers.get("ETag")
    version = None if etag is None or etag.startswith("W/") else etag
    remote = Remote(shown(source.url), version, headers.get("Last-Modified"), size)
    if response.status_code == _PARTIAL and (begin != offset or kept is None or not kept.may_be_continued_by(remote)):
        part.discard()
        raise _Interrupted("the file on the server has changed, so it begins again")
    if source.size is not None and size is not None and size != source.size:
        part.discard()
        raise InputError(
            f"{source.name} from {shown(source.url)}: the server announces {size} bytes instead of {source.size}; it "
            f"has another file there. Look at {source.page}, or name another --mirror."
        )
    if size is not None and size > source.largest:
        raise InputError(
            f"{source.name} from {shown(source.url)}: the server announces {size} bytes where about "
            f"{source.download_size} were expected: name another --mirror."
        )
    if response.status_code == _COMPLETE:
        begin = 0
        part.begin(remote)
    _check_disk(part.path, source, (size or source.download_size) - begin)
    return begin


def _extent(response: httpx2.Response) -> tuple[int, int | None]:
    """At which byte an answer begins, and how many bytes the whole file has."""
    if response.status_code == _PARTIAL:
        unit, _, extent = response.headers.get("Content-Range", "").partition(" ")
        span, _, size = extent.partition("/")
        begin = span.partition("-")[0]
        if unit != "bytes" or not begin.isdecimal() or not size.isdecimal():
            return -1, None  # nowhere that anything could be continued
        return int(begin), int(size)
    size = response.headers.get("Content-Length", "")
    return 0, int(size) if size.isdecimal() else None


def _check_disk(path: Path, source: Source, missing: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < missing:
        raise InputError(
            f"{source.name} needs {missing} more bytes in {path.parent}, and the disk has {free}: free some space or "
            "download to another disk."
        )


def _write(response: httpx2.Response, source: Source, part: Part, offset: int) -> None:
    _, size = _extent(response)
    most = source.largest if source.size is None else source.size
    received = offset
    try:
        with (
            part.file.open("ab") as file,
            progress(total=size, initial=offset, unit="B", unit_scale=True, desc=source.name) as bar,
        ):
            for chunk in response.iter_raw():
                received += len(chunk)
                if received > most:
                    break
                file.write(chunk)
                bar.update(len(chunk))
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise InputError(
            f"{part.file} cannot be written: the disk is full; free some space and run the same command again."
        ) from None
    if received > most:
        part.discard()
        raise InputError(
            f"{source.name} from {shown(source.url)}: more than {most} bytes come, so it is another file: look at "
            f"{source.page}, or name another --mirror."
        )
    if size is not None and received != size:
        raise _Interrupted(f"the connection ended after {received} of {size} bytes")
