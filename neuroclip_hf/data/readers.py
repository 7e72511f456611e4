"""One file -> `mne.io.Raw` and a table of its events, each with a name."""

import re
import warnings
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import mne
import numpy as np
import pandas as pd

from neuroclip_hf.columns import SAMPLE
from neuroclip_hf.data import things_eeg2
from neuroclip_hf.data.simulated import SIMULATED_DESCRIPTION, is_simulated
from neuroclip_hf.errors import InputError

NAME = "name"
IGNORED_EVENTS = (
    *("bad", "bad[!a-z]*", "edge", "edge[!a-z]*"),
    *("new segment/*", "syncstatus/*", "dc correction/*", "boundary", "n/a"),
)
"""Annotations that never name a picture, in lower case: MNE's own marks, those that recorders write by themselves, and
BIDS' empty cell. A picture of a badger is none of them."""

_NOTHING = ("n/a", "nan", "")
_INCOMPLETE = re.compile(r"invalid tag|does not match the file size|outside (of )?(the )?data range|truncated", re.I)
"""Warnings by which MNE reads on past what is missing from a file."""


def read_with_mne(path: Path, bids_root: Path | None = None) -> mne.io.BaseRaw:
    """Open a recording in any format that MNE knows; the samples stay on disk where the format allows it.

    Args:
        path (`Path`): the file.
        bids_root (`Path`, *optional*): the BIDS folder it belongs to: events, channel types and bad channels are then
            those of its tables, and an event's name is the picture of the column `stim_file`, else the trial type,
            else the code.

    Raises:
        InputError: if MNE cannot read the file, or reads only a part of it.
    """
    try:
        with warnings.catch_warnings(record=True) as met:
            warnings.simplefilter("always", RuntimeWarning)
            raw = mne.io.read_raw(path, verbose="WARNING") if bids_root is None else _read_bids(path, bids_root)
    except Exception as error:  # MNE's readers raise whatever the format's parser meets
        raise _unreadable(path, error) from error
    if is_simulated(path):
        raw.info["description"] = SIMULATED_DESCRIPTION
    for warning in met:
        if _INCOMPLETE.search(str(warning.message)):
            raise InputError(
                f"{path} is incomplete ({warning.message}): copy it again from its source, or save the part that is "
                "whole as FIF."
            )
    return raw


def read_values(raw: mne.io.BaseRaw, path: Path, channels: Sequence[str], start: int, stop: int) -> np.ndarray:
    """Samples `(channels, stop - start)` of a recording; a damaged file raises [`InputError`]."""
    try:
        return raw.get_data(picks=list(channels), start=start, stop=stop, verbose="ERROR")
    except Exception as error:  # as above: a damaged block is met only when it is read
        raise _unreadable(path, error) from error


def named_events(raw: mne.io.BaseRaw, ignore: Sequence[str] = ()) -> pd.DataFrame:
    """Events with `sample`, counted from the first stored one, and `name`.

    They are the annotations; where none is left after those of [`IGNORED_EVENTS`] and `ignore`, the codes of the
    stimulus channel, as text, without those of `ignore`.
    """
    found = sorted({str(name) for name in raw.annotations.description})
    names = [name for name in found if not is_mark(name) and not fits_any(name, ignore)]
    if names:
        # MNE takes every annotation that begins so for a mark, and would drop the epochs of a picture of a badger.
        raw.annotations.rename({name: _shield(name) for name in names if _shield(name) != name}, verbose="ERROR")
        codes = {_shield(name): code for code, name in enumerate(names, start=1)}
        events, _ = mne.events_from_annotations(raw, event_id=codes, verbose="ERROR")
        texts = [names[code - 1] for code in events[:, 2]]
    elif mne.pick_types(raw.info, meg=False, stim=True).size:
        events = mne.find_events(raw, shortest_event=1, verbose="ERROR")
        events = events[np.array([not fits_any(str(code), ignore) for code in events[:, 2]], dtype=bool)]
        texts = [str(code) for code in events[:, 2]]
    else:
        events, texts = np.zeros((0, 3), dtype=int), []
    return pd.DataFrame({SAMPLE: events[:, 0].astype(np.int64) - raw.first_samp, NAME: texts})


def is_mark(name: str) -> bool:
    """Whether an annotation is one of [`IGNORED_EVENTS`]."""
    return fits_any(name.lower(), IGNORED_EVENTS)


def fits_any(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name fits one of some patterns (`*` and `?` as in file names; capitals count)."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def read_things_eeg2(path: Path) -> tuple[mne.io.BaseRaw, pd.DataFrame]:
    """Open a raw file of THINGS-EEG2; its events have the names of their pictures."""
    split = things_eeg2.split_of(path)
    folders = path.absolute().parents
    if len(folders) < 3:
        raise InputError(f"{path} does not lie in DATASET/sub-XX/ses-XX: its pictures' names are read from DATASET.")
    raw = things_eeg2.read_raw(path)
    metadata = things_eeg2.read_image_metadata(folders[2])
    return raw, named_pictures(*things_eeg2.read_events(raw), path, split, metadata)


def named_pictures(
    samples: Sequence[int] | np.ndarray,
    codes: Sequence[int] | np.ndarray,
    path: Path,
    split: str,
    metadata: things_eeg2.ImageMetadata,
) -> pd.DataFrame:
    """Events of THINGS-EEG2 with `sample` and `name`, the ids of their pictures.

    Args:
        samples (sequence of `int`): where stimulus codes stand, counted from the first stored sample.
        codes (sequence of `int`): the codes.
        path (`Path`): the recording, for messages.
        split (`str`): "train" or "test".
        metadata (`ImageMetadata`): the table of pictures.

    Raises:
        InputError: for a code that the table does not have.
    """
    events = pd.DataFrame({SAMPLE: samples, "code": codes}).astype("int64")
    try:
        names = {code: metadata.image_id(split, int(code)) for code in events["code"].unique()}
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return pd.DataFrame({SAMPLE: events[SAMPLE], NAME: events["code"].map(names).astype(object)})


def _read_bids(path: Path, root: Path) -> mne.io.BaseRaw:
    import mne_bids

    bids_path = mne_bids.get_bids_path_from_fname(path).update(root=root)
    raw = mne_bids.read_raw_bids(bids_path, verbose="WARNING")
    events = bids_path.find_matching_sidecar(suffix="events", extension=".tsv", on_error="ignore")
    if events is None:
        return raw
    # The table is read again: mne_bids joins trial type and code into names, and drops rows without a trial type even
    # where stim_file says what was shown.
    table = pd.read_csv(events, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8-sig")
    table = table[~table["onset"].str.lower().isin(_NOTHING)]
    names = [_bids_name(row) for _, row in table.iterrows()]
    lasting = pd.to_numeric(table["duration"], errors="coerce").fillna(0) if "duration" in table else 0.0
    # Marks of the file itself (skipped acquisition, edges) are in no table.
    marks = [
        place for place, name in enumerate(raw.annotations.description) if name not in names and is_mark(str(name))
    ]
    kept = raw.annotations[[place for place in marks if raw.annotations.description[place] != "n/a"]]
    raw.set_annotations(mne.Annotations(table["onset"].astype(float), lasting, names))
    return raw.set_annotations(raw.annotations + kept)


def _bids_name(row: pd.Series) -> str:
    """What BIDS says was shown: the picture of `stim_file`, else the trial type, else the code."""
    cells = (str(row.get(column, "n/a")) for column in ("stim_file", "trial_type", "stim_type", "value"))
    return next((cell for cell in cells if cell.lower() not in _NOTHING), "n/a")


def may_be_taken_for_mark(name: str) -> bool:
    """Whether MNE takes an annotation for one of its own marks, whatever it is."""
    return name.lower().startswith(("bad", "edge"))


def _shield(name: str) -> str:
    return f"Stimulus/{name}" if may_be_taken_for_mark(name) else name


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return InputError(
        f"{path} cannot be read as a recording ({reason}): copy it again from its source, or convert it to FIF."
    )
