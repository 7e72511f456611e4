"""The tables of a trial store, read and looked through before anything is done with what they say."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from neuroclip_hf import columns
from neuroclip_hf.data.store_layout import (
    PICTURE_COLUMNS,
    PICTURES_FILE,
    PICTURES_FOLDER,
    SUBJECT_NAME,
    TRIAL_COLUMNS,
    TRIALS_FILE,
)
from neuroclip_hf.errors import InputError


def read_tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trials and pictures of a store.

    Raises:
        InputError: if a table cannot be read or lacks a column, or something in it leads outside the folder.
    """
    trials = _read_table(folder / TRIALS_FILE, TRIAL_COLUMNS)
    pictures = _read_table(folder / PICTURES_FILE, PICTURE_COLUMNS)
    _check_paths(folder, trials, pictures)
    return trials, pictures


def _read_table(path: Path, expected: Sequence[str]) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): make the store again.") from None
    missing = [name for name in expected if name not in table.columns]
    if missing:
        raise InputError(f"{path} lacks the columns {', '.join(missing)}: make the store again.")
    return table


def _check_paths(folder: Path, trials: pd.DataFrame, pictures: pd.DataFrame) -> None:
    """Stores are exchanged: nothing in a table may lead outside the folder."""
    for subject in dict.fromkeys(trials[columns.SUBJECT]):
        if not SUBJECT_NAME.fullmatch(subject):
            raise InputError(f"{folder}: subject {subject!r} is no name of a folder: do not use this store.")
    root = (folder / PICTURES_FOLDER).resolve()
    for file in pictures[columns.PICTURE_FILE]:
        if not (folder / file).resolve().is_relative_to(root):
            raise InputError(f"{folder}: picture {file!r} lies outside the store: do not use this store.")
