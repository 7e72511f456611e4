"""Any recording -> `mne.io.Raw` and a table of its events, each with a name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pandas as pd

from neuroclip_hf.columns import SAMPLE
from neuroclip_hf.data import things_eeg2
from neuroclip_hf.errors import InputError

NAME = "name"
IGNORED_EVENTS = ("BAD*", "EDGE*", "New Segment/*", "boundary")
"""Annotations that never name a picture: MNE's own marks, and those that recorders write by themselves."""

_BIDS_SUFFIXES = (".vhdr", ".edf", ".bdf", ".set", ".fif")


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
    """List the recordings that `paths` name: files as they are, a BIDS folder by what it holds.

    Subject, session and run are read from names like `sub-01_ses-02_run-03_raw.fif`; a file without them belongs to
    `subject` ("sub-01" by default), and its run is its place among the files of that subject and session.

    Raises:
        InputError: for a missing path, a path given twice, or a folder that is not BIDS or holds no recording.
    """
    if not paths:
        raise InputError("No recording was named: give at least one file or a BIDS folder.")
    files: list[RecordingFile] = []
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"{path} does not exist: correct the path.")
        if path.is_dir() and path.suffix not in (".ds", ".mff"):
            files += _bids_recordings(path)
        else:
            files.append(_from_name(path, subject))
    _refuse_twice(files)
    return _number_runs(files)


def open_recording(file: RecordingFile) -> Recording:
    """Read a recording and its events; the samples stay on disk where the format allows it.

    Events are the annotations (those of `IGNORED_EVENTS` left out); where a recording has none, the codes of its
    stimulus channel, as text. A raw file of THINGS-EEG2 gets the names of its pictures.

    Raises:
        InputError: if MNE cannot read the file, or it holds no event.
    """
    if file.path.suffix == ".npy":
        raw, events = _read_things_eeg2(file.path)
    else:
        raw = _read_with_mne(file)
        events = _events(raw)
    if events.empty:
        raise InputError(f"{file.path} holds no event: add annotations that name the pictures, or leave the file out.")
    return Recording(file, raw, events)


def rename_events(recording: Recording, names: dict[str, str], ignore: Sequence[str] = ()) -> Recording:
    """Give events other names, and drop those that match a pattern of `ignore` (`*` and `?` as in file names)."""
    events = recording.events
    dropped = events[NAME].map(lambda name: any(fnmatchcase(name, pattern) for pattern in ignore)).astype(bool)
    events = events[~dropped].reset_index(drop=True)
    return replace(recording, events=events.assign(**{NAME: events[NAME].map(lambda name: names.get(name, name))}))


def check_signal(recording: Recording, channels: Sequence[str]) -> None:
    """Refuse what no later step can mend: NaN, flat and marked-bad channels among those chosen.

    Raises:
        InputError: naming the file, the channels and the remedy.
    """
    raw, path = recording.raw, recording.file.path
    bad = [name for name in channels if name in raw.info["bads"]]
    if bad:
        raise InputError(
            f"{path}: channels {', '.join(bad)} are marked bad: leave them out with --channels, or interpolate them "
            "before."
        )
    values = raw.get_data(picks=list(channels))
    for problem, found in (
        ("hold NaN or infinite values", ~np.isfinite(values).all(axis=1)),
        ("are flat", np.ptp(np.nan_to_num(values), axis=1) == 0),
    ):
        names = [name for name, wrong in zip(channels, found, strict=True) if wrong]
        if names:
            raise InputError(f"{path}: channels {', '.join(names)} {problem}: leave them out with --channels.")


def _from_name(path: Path, subject: str | None) -> RecordingFile:
    def entity(key: str) -> str | None:
        found = re.search(rf"(?:^|[_/\\]){key}-([A-Za-z0-9]+)", str(path))
        return found.group(1) if found else None

    session, run = (re.sub(r"\D", "", entity(key) or "") for key in ("ses", "run"))
    named = entity("sub")
    return RecordingFile(
        path, subject or (f"sub-{named}" if named else "sub-01"), int(session or 1), int(run) if run else 0
    )


def _bids_recordings(root: Path) -> list[RecordingFile]:
    if not (root / "dataset_description.json").is_file():
        raise InputError(f"{root} is a folder without dataset_description.json: name files, or a BIDS folder's root.")
    found = sorted(
        path
        for datatype in ("eeg", "meg")
        for path in root.glob(f"sub-*/**/{datatype}/*_{datatype}.*")
        if path.suffix in _BIDS_SUFFIXES
    )
    if not found:
        raise InputError(f"{root} holds no EEG or MEG recording ({', '.join(_BIDS_SUFFIXES)}).")
    return [replace(_from_name(path, None), bids_root=root) for path in found]


def _refuse_twice(files: Sequence[RecordingFile]) -> None:
    seen: set[Path] = set()
    for file in files:
        real = file.path.resolve()
        if real in seen:
            raise InputError(f"{file.path} was named twice: name it once.")
        seen.add(real)


def _number_runs(files: Sequence[RecordingFile]) -> list[RecordingFile]:
    numbered: list[RecordingFile] = []
    for file in files:
        run = file.run
        if not run:
            same = [other for other in numbered if (other.subject, other.session) == (file.subject, file.session)]
            run = 1 + max((other.run for other in same), default=0)
        numbered.append(replace(file, run=run))
    return numbered


def _read_with_mne(file: RecordingFile) -> mne.io.BaseRaw:
    try:
        if file.bids_root is None:
            return mne.io.read_raw(file.path, verbose="ERROR")
        return _read_bids(file)
    except Exception as error:  # MNE's readers raise whatever the format's parser meets
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{file.path} cannot be read as a recording ({reason}): restore it from its source, or convert it to FIF."
        ) from error


def _read_bids(file: RecordingFile) -> mne.io.BaseRaw:
    import mne_bids

    raw = mne_bids.read_raw_bids(
        mne_bids.get_bids_path_from_fname(file.path).update(root=file.bids_root), verbose="ERROR"
    )
    extras: Sequence[dict[str, Any]] = getattr(raw.annotations, "extras", None) or ()
    pictures = [str((extra or {}).get("stim_file") or "n/a") for extra in extras]
    if any(name != "n/a" for name in pictures):  # BIDS names the shown file in the column stim_file
        kept = [name if name != "n/a" else old for name, old in zip(pictures, raw.annotations.description, strict=True)]
        annotations = raw.annotations
        raw.set_annotations(mne.Annotations(annotations.onset, annotations.duration, kept, annotations.orig_time))
    return raw


def _events(raw: mne.io.BaseRaw) -> pd.DataFrame:
    names = sorted(
        {name for name in raw.annotations.description if not any(fnmatchcase(name, p) for p in IGNORED_EVENTS)}
    )
    if names:
        codes = {name: code for code, name in enumerate(names, start=1)}
        found, _ = mne.events_from_annotations(raw, event_id=codes, verbose="ERROR")
        texts = [names[code - 1] for code in found[:, 2]]
    elif mne.pick_types(raw.info, meg=False, stim=True).size:
        found = mne.find_events(raw, shortest_event=1, verbose="ERROR")
        texts = [str(code) for code in found[:, 2]]
    else:
        found, texts = np.zeros((0, 3), dtype=int), []
    return pd.DataFrame({SAMPLE: found[:, 0].astype(np.int64) - raw.first_samp, NAME: texts})


def _read_things_eeg2(path: Path) -> tuple[mne.io.BaseRaw, pd.DataFrame]:
    raw = things_eeg2.read_raw(path)
    samples, codes = things_eeg2.read_events(raw)
    metadata = things_eeg2.read_image_metadata(path.parents[2])
    split = things_eeg2.split_of(path)
    return raw, pd.DataFrame({SAMPLE: samples, NAME: [metadata.image_id(split, code) for code in codes]})
