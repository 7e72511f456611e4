"""Any recording -> `mne.io.Raw` and a table of its events, each with a name."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import mne
import numpy as np
import pandas as pd

from neuroclip_hf.columns import SAMPLE
from neuroclip_hf.data.readers import (
    IGNORED_EVENTS,
    NAME,
    fits_any,
    may_be_taken_for_mark,
    named_events,
    read_things_eeg2,
    read_values,
    read_with_mne,
)
from neuroclip_hf.errors import InputError

__all__ = [
    "IGNORED_EVENTS",
    "NAME",
    "Recording",
    "RecordingFile",
    "check_signal",
    "find_recordings",
    "open_recording",
    "recording_of_raw",
    "rename_events",
    "unusable_channels",
]

_BIDS_SUFFIXES = (".vhdr", ".edf", ".bdf", ".set", ".fif")
_FOLDER_FORMATS = (".ds", ".mff")
MARKED_BAD, NOT_FINITE, FLAT = "are marked bad", "hold NaN or infinite values", "are flat"
"""What may be wrong with channels."""
_BLOCK = 1_000_000
"""Values looked through at once (ours): 8 MB, which an allocator gives out again without clearing."""


@dataclass(frozen=True)
class RecordingFile:
    """One recording on disk, with who and when it was.

    Args:
        path (`Path`): the file.
        subject (`str`): "sub-01".
        session, run (`int`): counted from 1.
        bids_root (`Path` or None): the BIDS folder it belongs to, if it does.
    """

    path: Path
    subject: str
    session: int = 1
    run: int = 1
    bids_root: Path | None = None


@dataclass(frozen=True)
class Recording:
    """A recording opened: `raw`, and `events` with columns `sample` (from the first stored sample) and `name`."""

    file: RecordingFile
    raw: mne.io.BaseRaw
    events: pd.DataFrame


def find_recordings(paths: Sequence[str | Path], subject: str | None = None) -> list[RecordingFile]:
    """List the recordings that `paths` name: files as they are, a BIDS folder (or a folder in one) by what it holds.

    Subject, session and run are read from names like `sub-01_ses-02_run-03_raw.fif`, subject and session also from
    folders; a file without them belongs to `subject` ("sub-01" by default) and to session 1. Sessions that are not all
    numbers ("pre", "post") are counted in the order of their names. A run that is not named, or taken by another file
    of the same subject and session, is the next free one.

    Raises:
        InputError: for a missing path, a path given twice, or a folder that is not BIDS or holds no recording.
    """
    if not paths:
        raise InputError("No recording was named: give at least one file or a BIDS folder.")
    files: list[tuple[Path, Path | None]] = []
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"{path} does not exist: correct the path.")
        if path.is_dir() and path.suffix not in _FOLDER_FORMATS:
            files += _bids_recordings(path)
        else:
            files.append((path, _bids_root(path) if re.fullmatch(r"sub-.*_(eeg|meg)", path.stem) else None))
    _refuse_twice([path for path, _ in files])
    return _number(files, subject)


def open_recording(file: RecordingFile, ignore: Sequence[str] = ()) -> Recording:
    """Read a recording and its events; the samples stay on disk where the format allows it.

    Events are the annotations (those of `IGNORED_EVENTS` and `ignore` left out); where none is left, the codes of the
    stimulus channel, as text. A raw file of THINGS-EEG2 gets the names of its pictures.

    Args:
        file (`RecordingFile`): from [`find_recordings`].
        ignore (sequence of patterns): annotations, or codes, to leave out (`*` and `?` as in file names).

    Raises:
        InputError: if MNE cannot read the file or reads only a part of it, or it holds no event.
    """
    if file.path.suffix == ".npy":
        raw, events = read_things_eeg2(file.path)
    else:
        raw = read_with_mne(file.path, file.bids_root)
        events = named_events(raw, ignore)
    if events.empty:
        what, remedy = (
            ("no event is left after --ignore", "ignore less")
            if ignore
            else (
                "it holds no event",
                "add annotations that name the pictures",
            )
        )
        raise InputError(f"{file.path}: {what}: {remedy}, or leave the file out.")
    return Recording(file, raw, events)


def recording_of_raw(raw: mne.io.BaseRaw, subject: str | None = None, ignore: Sequence[str] = ()) -> Recording:
    """A recording that is open already; its events are found as [`open_recording`] finds them.

    Args:
        raw (`mne.io.BaseRaw`): the recording; it is not changed.
        subject (`str`, *optional*): who it is; without it the one that the file's name or folder says, or "".
        ignore (sequence of patterns): annotations, or codes, to leave out.

    Raises:
        InputError: if it holds no event.
    """
    names = [name for name in raw.filenames if name]
    path = Path(names[0]) if names else Path("the recording")
    said = _entity(path, "sub") if names else None
    file = RecordingFile(path, subject or (f"sub-{said}" if said else ""))
    if any(may_be_taken_for_mark(str(name)) for name in raw.annotations.description):
        raw = raw.copy()  # such annotations are renamed
    events = named_events(raw, ignore)
    if events.empty:
        raise InputError(f"{path} holds no event: add annotations that name what was shown, or ignore less.")
    return Recording(file, raw, events)


def rename_events(recording: Recording, names: dict[str, str], ignore: Sequence[str] = ()) -> Recording:
    """Give events other names, and drop those that match a pattern of `ignore` (`*` and `?` as in file names).

    Raises:
        InputError: if two events with different names are left at one sample.
    """
    events = recording.events
    dropped = events[NAME].map(lambda name: fits_any(name, ignore)).astype(bool)
    events = events[~dropped]
    events = events.assign(**{NAME: events[NAME].map(lambda name: names.get(name, name))})
    events = events.drop_duplicates().reset_index(drop=True)
    twice = events[events[SAMPLE].duplicated(keep=False)]
    if len(twice):
        both = twice[twice[SAMPLE] == twice[SAMPLE].iloc[0]]
        raise InputError(
            f"{recording.file.path}: events {' and '.join(map(repr, both[NAME]))} stand at the same sample "
            f"({both[SAMPLE].iloc[0]}): leave one out with --ignore."
        )
    return replace(recording, events=events)


def check_signal(
    recording: Recording, channels: Sequence[str], remedy: str = "leave them out with --channels"
) -> None:
    """Refuse what no later step can mend: NaN, flat and marked-bad channels among those chosen, and damaged blocks.

    Raises:
        InputError: naming the file, the channels and the remedy.
    """
    path = recording.file.path
    bad = [name for name in channels if name in recording.raw.info["bads"]]
    if bad:
        raise InputError(f"{path}: channels {', '.join(bad)} {MARKED_BAD}: {remedy}, or interpolate them before.")
    for problem, names in _broken_channels(recording, channels).items():
        raise InputError(f"{path}: channels {', '.join(names)} {problem}: {remedy}.")


def unusable_channels(recording: Recording, channels: Sequence[str]) -> dict[str, str]:
    """Those of the channels that [`check_signal`] refuses, with what is wrong with each."""
    bad = [name for name in channels if name in recording.raw.info["bads"]]
    others = [name for name in channels if name not in bad]
    broken = _broken_channels(recording, others) if others else {}
    return {name: problem for problem, names in {MARKED_BAD: bad, **broken}.items() for name in names}


def _broken_channels(recording: Recording, channels: Sequence[str]) -> dict[str, list[str]]:
    """What is wrong with the signal -> which channels; the recording is looked through once, a block at a time."""
    lowest, highest = np.full(len(channels), np.inf), np.full(len(channels), -np.inf)
    for values in _blocks(recording, channels):  # NaN and infinity stay in the minimum and maximum
        lowest, highest = np.minimum(lowest, values.min(axis=1)), np.maximum(highest, values.max(axis=1))
    finite = np.isfinite(lowest) & np.isfinite(highest)
    problems = {NOT_FINITE: ~finite, FLAT: finite & (lowest == highest)}
    found = {text: [name for name, yes in zip(channels, mask, strict=True) if yes] for text, mask in problems.items()}
    return {text: names for text, names in found.items() if names}


def _blocks(recording: Recording, channels: Sequence[str]) -> Iterator[np.ndarray]:
    raw, step = recording.raw, max(1, _BLOCK // len(channels))
    for start in range(0, raw.n_times, step):
        yield read_values(raw, recording.file.path, channels, start, min(start + step, raw.n_times))


def _entity(path: Path, key: str) -> str | None:
    """The value of `key-` in a file's name or, of subject and session, in the nearest folder that is called so."""
    found = re.search(rf"(?:^|_){key}-([A-Za-z0-9]+)", path.name)
    if found is None and key != "run":
        folders = (re.fullmatch(rf"{key}-([A-Za-z0-9]+)", folder.name) for folder in path.absolute().parents)
        found = next((folder for folder in folders if folder), None)
    return found.group(1) if found else None


def _bids_root(path: Path) -> Path | None:
    folders = (path, *path.absolute().parents)
    return next((folder for folder in folders if (folder / "dataset_description.json").is_file()), None)


def _bids_recordings(folder: Path) -> list[tuple[Path, Path | None]]:
    root = _bids_root(folder)
    if root is None:
        raise InputError(f"{folder} is a folder without dataset_description.json: name files, or a BIDS folder.")
    found = sorted(
        path
        for datatype in ("eeg", "meg")
        for path in folder.rglob(f"sub-*_{datatype}.*")
        if path.suffix in (*_BIDS_SUFFIXES, *_FOLDER_FORMATS)
        and _is_raw_bids(path.absolute(), root.absolute(), datatype)
    )
    if not found:
        raise InputError(f"{folder} holds no EEG or MEG recording ({', '.join(_BIDS_SUFFIXES)}): name another folder.")
    return [(path, root) for path in found]


def _is_raw_bids(path: Path, root: Path, datatype: str) -> bool:
    """Whether a file lies where BIDS keeps raw data (not in `derivatives` or `sourcedata`) and begins a recording."""
    folders = path.relative_to(root).parts
    later_part = re.search(r"_split-0*([0-9]+)_", path.name)  # MNE goes on from the first part by itself
    first = later_part is None or int(later_part.group(1)) == 1
    return folders[0].startswith("sub-") and path.parent.name == datatype and first


def _refuse_twice(paths: Sequence[Path]) -> None:
    seen: set[Path] = set()
    for path in paths:
        real = path.resolve()
        if real in seen:
            raise InputError(f"{path} was named twice: name it once.")
        seen.add(real)


def _number(files: Sequence[tuple[Path, Path | None]], subject: str | None) -> list[RecordingFile]:
    subjects = [f"sub-{name}" if (name := _entity(path, "sub")) else subject or "sub-01" for path, _ in files]
    sessions = [_entity(path, "ses") or "1" for path, _ in files]
    runs: dict[int, int] = {}
    numbered = {who: _session_numbers(subjects, sessions, who) for who in set(subjects)}
    keys = [(who, numbered[who][session]) for who, session in zip(subjects, sessions, strict=True)]
    named = [_entity(path, "run") for path, _ in files]
    # Files that say their run choose first; a run without a number, or one that is taken, gets the next free one.
    for place in sorted(range(len(files)), key=lambda place: not (named[place] or "").isdigit()):
        taken = {run for other, run in runs.items() if keys[other] == keys[place]}
        wanted = int(named[place] or 0) if (named[place] or "").isdigit() else 0
        runs[place] = wanted if wanted > 0 and wanted not in taken else 1 + max(taken, default=0)
    return [
        RecordingFile(path, *keys[place], run=runs[place], bids_root=root) for place, (path, root) in enumerate(files)
    ]


def _session_numbers(subjects: Sequence[str], sessions: Sequence[str], subject: str) -> dict[str, int]:
    mine = sorted({session for who, session in zip(subjects, sessions, strict=True) if who == subject})
    if all(session.isdigit() for session in mine):
        return {session: int(session) for session in mine}
    return {session: number for number, session in enumerate(mine, start=1)}
