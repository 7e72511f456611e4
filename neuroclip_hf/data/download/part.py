"""A file that is still coming: its bytes so far, and beside them which remote file they belong to."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json, write_json


@dataclass(frozen=True)
class Remote:
    """What a server says about a file.

    Args:
        url (`str`): its address, without anything secret.
        etag (`str`, *optional*): its version, only where the server promises that equal ones are equal bytes.
        modified (`str`, *optional*): when it was last changed, in the server's words.
        size (`int`, *optional*): its size in bytes.
    """

    url: str
    etag: str | None
    modified: str | None
    size: int | None

    @property
    def version(self) -> str | None:
        """What a server compares before it sends the rest of a file."""
        return self.etag or self.modified

    def may_be_continued_by(self, other: "Remote") -> bool:
        """Whether bytes of `other` may follow bytes of this one: same address, version and size.

        A server that gives no version still gives the size; whatever is glued from two files of equal size is found
        by the checks of the whole, so that only a file with such checks should be continued then.
        """
        return self == other and self.size is not None


class Part:
    """`NAME.part` and `NAME.part.json` in a folder; they outlive the process, so that the next one goes on.

    Args:
        path (`Path`): what the file is called when it is complete.

    Attributes:
        begun (`bool`): whether this process began it anew; otherwise its first bytes are an earlier one's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.begun = False
        self.file = path.with_name(f"{path.name}.part")
        self._note = path.with_name(f"{path.name}.part.json")

    @property
    def size(self) -> int:
        """Bytes received so far."""
        return self.file.stat().st_size if self.file.is_file() else 0

    def remote(self) -> Remote | None:
        """The remote file that the bytes belong to; None if there are none or it is not known."""
        if not self.size:
            return None
        try:
            note: Any = read_json(self._note)
            return Remote(**{key: note[key] for key in ("url", "etag", "modified", "size")})
        except (InputError, KeyError, TypeError):  # stopped between two files: begin again
            return None

    def begin(self, remote: Remote) -> None:
        """Forget earlier bytes; those to come belong to `remote`."""
        self.discard()
        self.begun = True
        write_json(self._note, asdict(remote))

    def discard(self) -> None:
        """Forget everything."""
        self.file.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self) -> None:
        """Give the complete file its name."""
        with self.file.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(self.file, self.path)
        self._note.unlink(missing_ok=True)
