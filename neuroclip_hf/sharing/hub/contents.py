"""What goes up, before it does: files in a folder of their own, under the names that they get."""

from dataclasses import dataclass, field
from pathlib import Path

CARD = "README.md"


@dataclass(frozen=True)
class Contents:
    """What goes up.

    Args:
        folder (`Path`): holds it, under the names that it gets.
        left_out (list of `str`): what stays behind, and why.
        replaced (sequence of `str`): patterns of what an earlier push left, and this one takes away where it does not
            bring it again; files that somebody else put there stay.
    """

    folder: Path
    left_out: list[str] = field(default_factory=list)
    replaced: tuple[str, ...] = ()

    @property
    def sizes(self) -> dict[str, int]:
        """File -> bytes, by name."""
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.stat().st_size for path in files}
