"""`neuroclip check`: whether a trial store is what it says it is.

Opening a store looks at names, shapes and types. Checking reads every byte: checksums, values and their digests, the
split protocol, and every picture.
"""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from neuroclip_hf import columns
from neuroclip_hf.data.pictures import open_picture
from neuroclip_hf.data.splits import check_splits
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_info import WITHOUT_PICTURES, StoreInfo, read_store_info, signed
from neuroclip_hf.data.store_layout import (
    CHANNELS_FILE,
    PICTURES_FILE,
    STORE_FILE,
    TRIALS_FILE,
    array_name,
    array_of,
    covariance_name,
    is_inside,
    is_picture,
)
from neuroclip_hf.data.trial_arrays import array_groups, read_blocks, trial_digest
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import json_text, read_json, sha256
from neuroclip_hf.logging import progress

BLOCK = 1_000_000
"""Numbers looked at at once (ours): 2 MB."""
NO_FILE = "it is no file (but a folder, a pipe, a socket, or a link to nothing)"
AGAIN = "make the store again, or restore the file"


@dataclass(frozen=True)
class Problem:
    """Something wrong with a store: the file, what is wrong, and what to do."""

    file: str
    problem: str
    remedy: str = AGAIN

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}: {self.remedy}."


@dataclass
class StoreCheck:
    """What [`check_store`] found.

    Args:
        store (`str`): the folder.
        fingerprint (`str`): of the store, by its store.json.
        files, trials, pictures (`int`): how many were looked at.
        problems (`list[Problem]`): empty for a sound store.
    """

    store: str
    fingerprint: str
    files: int = 0
    trials: int = 0
    pictures: int = 0
    problems: list[Problem] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"sound": not self.problems, **asdict(self)}

    def refuse(self) -> None:
        """Raise [`InputError`] that names the first problem, if there is any."""
        if self.problems:
            more = len(self.problems) - 1
            rest = f" {more} more problem{'s' if more > 1 else ''} in {self.store}." if more else ""
            raise InputError(f"{Path(self.store) / self.problems[0].file}: {self._first()}{rest}")

    def _first(self) -> str:
        return f"{self.problems[0].problem}: {self.problems[0].remedy}."


def check_store(path: str | Path) -> StoreCheck:
    """Look at everything in a store; a problem in one file does not hide those of another.

    Raises:
        InputError: if the folder is no store of this format at all.
    """
    path = Path(path)
    info = read_store_info(path, unsigned=True)  # a changed store.json does not hide what else is wrong
    found = StoreCheck(str(path), info.fingerprint, files=len(info.checksums))
    found.problems += _rewritten_info(path)
    found.problems += wrong_files(path, info)
    found.problems += _wrong_settings(info)
    if any(one.problem == NO_FILE for one in found.problems):
        return found  # whoever opens a pipe waits for ever
    try:
        store = TrialStore(path)
    except InputError as error:
        problem = _problem_of(path, error)
        if problem.file not in {one.file for one in found.problems}:
            found.problems.append(problem)
        return found
    found.trials, found.pictures = len(store.trials), len(store.pictures)
    damaged = {one.file for one in found.problems}
    for part in (_wrong_tables, _wrong_covariances, _wrong_values, _wrong_pictures, _strange_files):
        found.problems += (one for one in part(store) if one.file not in damaged)
    return found


def wrong_files(path: Path, info: StoreInfo) -> Iterator[Problem]:
    """Files of a store that are missing or have changed."""
    without_pictures = WITHOUT_PICTURES in info.warnings
    for name in progress(info.checksums, desc="files", unit="file"):
        file = path / name
        if not is_inside(name):
            yield Problem(STORE_FILE, f"it names {name!r}, outside the store", "do not use this store")
        elif not file.is_file():
            if os.path.lexists(file):
                yield Problem(name, NO_FILE)
            elif not (without_pictures and is_picture(name)):
                yield Problem(name, "it is missing")
        elif sha256(file) != info.checksums[name]:
            yield Problem(name, "it has changed since the store was made (its checksum differs)")


def _rewritten_info(path: Path) -> Iterator[Problem]:
    """A store.json that says what was written, in other bytes; of other words `TrialStore` complains."""
    values = read_json(path / STORE_FILE)
    try:
        written = json_text(values).encode()
    except ValueError:  # NaN, which is never written
        written = b""
    if values == signed(values) and (path / STORE_FILE).read_bytes() != written:
        problem = "it says what it said, but not in the bytes that were written (other spaces or line ends)"
        yield Problem(STORE_FILE, problem)


def _wrong_settings(info: StoreInfo) -> Iterator[Problem]:
    for name, values in (("scale", info.scale), ("offset", info.offset)):
        if len(values) != len(info.channels):
            yield Problem(STORE_FILE, f"{name} has {len(values)} entries for {len(info.channels)} channels")
    allowed = (
        ("protocol", info.protocol, columns.PROTOCOLS),
        ("target", info.target, (columns.IMAGE_TARGET, columns.CONCEPT_TARGET)),
        ("data", info.data, (columns.RECORDED, columns.SIMULATED)),
    )
    for name, value, choices in allowed:
        if value not in choices:
            yield Problem(STORE_FILE, f"{name} is {value!r}, which is none of {', '.join(choices)}")
    if CHANNELS_FILE in info.checksums and info.channels:
        yield Problem(STORE_FILE, f"it lists channels, which {CHANNELS_FILE} lists too", "make the store again")
    if len(set(info.channels)) != len(info.channels):
        yield Problem(STORE_FILE, "a channel's name comes twice")


def _wrong_tables(store: TrialStore) -> Iterator[Problem]:
    try:
        check_splits(store.trials, store.pictures, store.info.protocol)
    except InputError as error:
        yield Problem(TRIALS_FILE, str(error).rstrip("."), "make the store again")
    strange = sorted(set(store.trials[columns.SPLIT]) - set(columns.SPLITS))
    if strange:
        yield Problem(TRIALS_FILE, f"split {strange[0]!r} is none of {', '.join(columns.SPLITS)}")
    for name in sorted(_expected_files(store) - set(store.info.checksums)):
        yield Problem(STORE_FILE, f"it has no checksum of {name}", "make the store again")
    for name in (columns.IMAGE_ID, columns.PICTURE_FILE):
        twice = store.pictures[name][store.pictures[name].duplicated()]
        if len(twice):
            yield Problem(PICTURES_FILE, f"{name} {twice.iloc[0]!r} comes twice")
    yield from _shared_pictures(store)


def _expected_files(store: TrialStore) -> set[str]:
    arrays = {array_name(subject, split) for subject, split, _ in array_groups(store.trials)}
    return arrays | {TRIALS_FILE, PICTURES_FILE, *store.pictures[columns.PICTURE_FILE]}


def _strange_files(store: TrialStore) -> Iterator[Problem]:
    known = {STORE_FILE, *store.info.checksums, *_expected_files(store)}
    folders = {folder.as_posix() for name in known for folder in PurePosixPath(name).parents}
    for file in sorted(store.path.rglob("*")):
        name = file.relative_to(store.path).as_posix()
        if file.is_dir() and not file.is_symlink():
            if name not in folders and not any(file.iterdir()):
                yield Problem(name, "it is none of the store's folders, and empty", "remove it")
        elif name not in known:
            yield Problem(name, "it is none of the store's files", "move it out of the store")


def _shared_pictures(store: TrialStore) -> Iterator[Problem]:
    """One picture under two names, on both sides of what the protocol parts."""
    if store.info.protocol == columns.NEW_TRIALS:
        return
    table = store.pictures.assign(digest=store.pictures[columns.PICTURE_FILE].map(store.info.checksums))
    sides = table.groupby("digest")[columns.GALLERY].nunique()
    for digest in sides[sides > 1].index:
        names = list(table[columns.IMAGE_ID][table["digest"] == digest])
        problem = f"{names[0]!r} and {names[1]!r} are the same file in two galleries, which the protocol forbids"
        yield Problem(PICTURES_FILE, problem, "make the store again without one of them")


def _wrong_covariances(store: TrialStore) -> Iterator[Problem]:
    if store.info.whitening_fit is None or store.info.settings.get("already_epoched"):
        return  # whoever whitened before kept no covariance
    size = len(store.info.channels)
    for subject in store.subjects:
        try:
            found = store.covariances([subject])
        except InputError as error:
            yield _problem_of(store.path, error)
            continue
        if found is None or found.shape[1:] != (size, size) or not np.isfinite(found).all():
            shape = None if found is None else found.shape
            problem = f"shape {shape} instead of (sessions, {size}, {size}), or not finite"
            yield Problem(covariance_name(subject), problem)


def _wrong_values(store: TrialStore) -> Iterator[Problem]:
    with progress(total=len(store.trials), desc="trials", unit="trial") as bar:
        for subject, split, rows in array_groups(store.trials):
            problem = _wrong_array(store, array_name(subject, split), rows, bar.update)
            if problem is not None:
                yield problem


def _wrong_array(store: TrialStore, name: str, rows: pd.DataFrame, advance: Callable[[int], Any]) -> Problem | None:
    digests = rows[columns.DIGEST].to_numpy()
    shape = store.trial_shape(array_of(name)[0])
    size = max(1, BLOCK // math.prod(shape))
    for start, values in read_blocks(store.path / name, range(len(rows)), size, shape):
        advance(len(values))
        if not np.isfinite(values).all():
            row = start + int(np.argwhere(~np.isfinite(values))[0][0])
            return Problem(name, f"trial {row} holds NaN or infinity")
        for row, trial in enumerate(values, start=start):
            if trial_digest(trial) != digests[row]:
                return Problem(name, f"trial {row} is not the one that the trial table has in this row")
    return None


def _wrong_pictures(store: TrialStore) -> Iterator[Problem]:
    for name in progress(list(store.pictures[columns.PICTURE_FILE]), desc="pictures", unit="picture"):
        if not (store.path / name).is_file():
            continue  # named above, or known to be left out
        try:
            open_picture(store.path / name)
        except InputError as error:
            reason = str(error).removeprefix(str(store.path / name)).strip(" .").rpartition(": ")[0]
            yield Problem(name, reason, "make the store again with a sound picture")


def _problem_of(path: Path, error: InputError) -> Problem:
    """An error's message, parted into the store's file that it begins with and the rest."""
    text = str(error).rstrip(".")
    start = f"{path}{os.sep}"
    file, _, rest = text.removeprefix(start).partition(" ") if text.startswith(start) else (STORE_FILE, "", text)
    problem, colon, remedy = rest.rpartition(": ")
    return Problem(file.rstrip(":"), problem, remedy) if colon else Problem(file.rstrip(":"), rest)
