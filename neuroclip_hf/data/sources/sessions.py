"""Which sessions of which subjects a folder of recordings holds, and which recordings are missing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neuroclip_hf.data.sources.layouts import RecordedLayout
from neuroclip_hf.data.sources.layouts.base import SPLITS

REMEDY = "get it, leave the subject out with --subjects, or go on without it with --allow-missing"
"""What to do about something that a folder lacks."""


@dataclass(frozen=True)
class SessionFiles:
    """The recordings of one session.

    Args:
        subject, session (`int`): their numbers.
        paths (mapping): split -> recording; one that is missing is not in it.
    """

    subject: int
    session: int
    paths: Mapping[str, Path]


def find_sessions(layout: RecordedLayout, source: Path, subjects: Sequence[int]) -> list[SessionFiles]:
    """Sessions of subjects, also those of which a recording is missing.

    Sessions are numbered from 1; how many there are is the largest number that any subject of the folder has.
    """
    numbers = [layout.session(path) for paths in layout.files(source).values() for path in paths]
    found = []
    for subject in subjects:
        for session in range(1, max(numbers) + 1):
            paths = {split: layout.path(source, subject, session, split) for split in SPLITS}
            found.append(
                SessionFiles(subject, session, {name: path for name, path in paths.items() if path.is_file()})
            )
    return found


def missing_files(layout: RecordedLayout, source: Path, sessions: Iterable[SessionFiles]) -> list[Path]:
    """Recordings that are not there."""
    return [
        layout.path(source, one.subject, one.session, split)
        for one in sessions
        for split in SPLITS
        if split not in one.paths
    ]
