"""Tables of one's own fMRI: which runs there are, what was shown when, what is to be modelled beside it."""

import fnmatch
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.pictures import PictureFolder
from neuroclip_hf.data.store_layout import SUBJECT_NAME
from neuroclip_hf.errors import InputError

NEEDED = ("subject", "session", "run", "bold", "events")
OPTIONAL = ("split", "confounds", "mask", "atlas")
_NOTHING = ("", "n/a", "nan")


@dataclass(frozen=True)
class ScanRun:
    """One line of the table of runs.

    Args:
        subject (`str`): "sub-01".
        session, run (`int`): counted from 1.
        split (`str`): of its trials, where the events do not say.
        bold, events (`Path`): the scan, and what was shown.
        confounds, mask, atlas (`Path`, *optional*): files of this run, and of its subject.
    """

    subject: str
    session: int
    run: int
    split: str
    bold: Path
    events: Path
    confounds: Path | None = None
    mask: Path | None = None
    atlas: Path | None = None


@dataclass(frozen=True)
class ShownTrial:
    """One event that shows a picture: its row in the table, onset and duration in seconds, picture and split."""

    row: int
    onset: float
    duration: float
    image_id: str
    split: str


def read_runs(path: Path) -> list[ScanRun]:
    """Read the table of runs; files are named relative to it.

    Raises:
        InputError: naming the line, the column and what is wrong with it.
    """
    table = read_table(path)
    missing = [name for name in NEEDED if name not in table.columns]
    strange = [name for name in table.columns if name not in (*NEEDED, *OPTIONAL)]
    if missing or strange or not len(table):
        what = (
            f"lacks the column {missing[0]}" if missing else f"has the column {strange[0]}" if strange else "is empty"
        )
        raise InputError(f"{path} {what}: its columns are {', '.join(NEEDED)}, and may be {', '.join(OPTIONAL)}.")
    runs = [_run(path, number, row) for number, row in enumerate(table.to_dict("records"), start=2)]
    for subject in {run.subject for run in runs}:
        for name in ("mask", "atlas"):
            if len({getattr(run, name) for run in runs if run.subject == subject}) > 1:
                raise InputError(f"{path}: {subject} has more than one {name}: its runs must lie on one grid.")
    twice = pd.Series([(run.subject, run.session, run.run) for run in runs]).duplicated()
    if twice.any():
        raise InputError(f"{path}, line {int(twice.argmax()) + 2}: subject, session and run come twice.")
    return runs


def _run(path: Path, line: int, row: dict[str, str]) -> ScanRun:
    def file(name: str) -> Path | None:
        return None if row.get(name, "") in _NOTHING else path.parent / row[name]

    subject, split = row["subject"], row.get("split", "")
    split = columns.TRAIN if split in _NOTHING else split
    if not SUBJECT_NAME.fullmatch(subject):
        raise InputError(f"{path}, line {line}: subject {subject!r}: use letters, digits, '-' and '_', as in sub-01.")
    if split not in columns.SPLITS:
        raise InputError(f"{path}, line {line}: split {split!r}: choose one of {', '.join(columns.SPLITS)}.")
    if not (row["session"].isdigit() and row["run"].isdigit()):
        raise InputError(f"{path}, line {line}: session {row['session']!r} and run {row['run']!r} must be numbers.")
    bold, events = file("bold"), file("events")
    if bold is None or events is None:
        raise InputError(f"{path}, line {line}: bold and events must name files.")
    return ScanRun(
        subject,
        int(row["session"]),
        int(row["run"]),
        split,
        bold,
        events,
        file("confounds"),
        file("mask"),
        file("atlas"),
    )


def read_events(run: ScanRun, pictures: PictureFolder, ignore: Sequence[str]) -> list[ShownTrial]:
    """The trials of a run, in the order of its table.

    A picture is named by `stim_file`, or else by `trial_type`; `split` goes before that of the run.

    Args:
        run ([`ScanRun`]): whose events.
        pictures ([`PictureFolder`]): what may be named.
        ignore (sequence of patterns): names of events to leave out.

    Raises:
        InputError: naming the line and what is wrong with it.
    """
    table = read_table(run.events)
    named = [name for name in ("stim_file", "trial_type") if name in table.columns]
    if not named or not {"onset", "duration"} <= set(table.columns):
        raise InputError(f"{run.events} needs the columns onset, duration, and stim_file or trial_type.")
    found = []
    for row, event in enumerate(table.to_dict("records")):
        where = f"{run.events}, line {row + 2}"
        name = next((event[one] for one in named if event[one] not in _NOTHING), "")
        if any(fnmatch.fnmatchcase(event[one], pattern) for one in named for pattern in ignore):
            continue
        target = pictures.find(name) if name else None
        if target is None or not target.image_id:
            what = "is no picture" if target is None else "names a concept, and not which picture"
            raise InputError(
                f"{where}: {name!r} {what}: correct it, or leave such events out with --ignore. "
                f"{pictures.suggestion(name) if name else ''}".rstrip()
            )
        split = event.get("split", "")
        split = run.split if split in _NOTHING else split
        if split not in columns.SPLITS:
            raise InputError(f"{where}: split {split!r}: choose one of {', '.join(columns.SPLITS)}.")
        onset, duration = _seconds(event["onset"], "onset", where), _seconds(event["duration"], "duration", where)
        found.append(ShownTrial(row, onset, duration, target.image_id, split))
    if not found:
        raise InputError(f"{run.events} shows no picture: leave the run out.")
    return found


def read_confounds(path: Path, wanted: Collection[str], volumes: int) -> NDArray[np.float64]:
    """Confounds of a run: (volumes, confounds), each with mean zero.

    What is missing in the first volume (derivatives have none there) is the column's mean.

    Args:
        path (`Path`): a table with a line a volume.
        wanted (collection of `str`): columns; all by default.
        volumes (`int`): of the scan.

    Raises:
        InputError: for a column that is not there, holds other than numbers, or has another length.
    """
    table = read_table(path)
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise InputError(f"{path} has no confound {missing[0]!r}: it has {', '.join(table.columns)}.")
    table = table[list(wanted)] if wanted else table
    if len(table) != volumes:
        raise InputError(f"{path} has {len(table)} lines, and the scan {volumes} volumes: they must be as many.")
    numbers = table.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    holes = ~np.isfinite(numbers)
    holes[0] = False
    if holes.any():
        line, place = np.argwhere(holes)[0]
        raise InputError(f"{path}, line {line + 2}: {table.columns[place]} is {table.iloc[line, place]!r}: no number.")
    centred = numbers - np.nanmean(numbers, axis=0)
    return np.asarray(np.nan_to_num(centred, nan=0.0))


def read_labels(path: Path) -> dict[int, str]:
    """Names of an atlas's regions by number, from a table with the columns `index` and `name`.

    Raises:
        InputError: for another table, a number that is none, or a name that comes twice.
    """
    table = read_table(path)
    if not {"index", "name"} <= set(table.columns) or not len(table):
        raise InputError(f"{path} needs the columns index and name.")
    wrong = table[~table["index"].str.fullmatch(r"\d+")]
    if len(wrong):
        raise InputError(f"{path}, line {wrong.index[0] + 2}: index {wrong['index'].iloc[0]!r} is no whole number.")
    named = table[~table["name"].isin(_NOTHING) & (table["index"].astype(int) > 0)]
    if named["name"].duplicated().any() or named["index"].astype(int).duplicated().any():
        raise InputError(f"{path}: an index or a name comes twice: give each region one line.")
    return {int(number): name for number, name in zip(named["index"], named["name"], strict=True)}


def read_table(path: Path) -> pd.DataFrame:
    """A table of texts, tabs between them (commas where the name ends in .csv).

    Raises:
        InputError: if it cannot be read.
    """
    try:
        separator = "," if path.suffix.lower() == ".csv" else "\t"
        table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a table ({error}): correct it.") from None
    return table.apply(lambda column: column.str.strip())


def _seconds(text: str, name: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not 0 <= value < np.inf:
        raise InputError(f"{where}: {name} is {text!r}: it must be a number of seconds, from 0.")
    return value
