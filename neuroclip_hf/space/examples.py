"""Example recordings: .npz files with a few test trials of a store, which anybody may download and upload again."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neuroclip_hf import columns
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError

EXAMPLES = 3
PICTURES = 6
"""Pictures whose trials one example holds (ours): the first of the test split, not those that are found best."""


def write_examples(store: TrialStore, folder: Path, subjects: Sequence[str] | None = None) -> list[Path]:
    """Write example recordings, with the trials of a few test pictures each.

    Args:
        store (`TrialStore`): whose test split is read.
        folder (`Path`): that exists.
        subjects (sequence of `str`, *optional*): whose trials; all by default, one after the other.

    Raises:
        InputError: if the store has no test trials, or its trials are patterns.
    """
    if store.info.sampling_rate is None:
        raise InputError(f"{store.path} holds patterns, which have no epochs to show: name a store of EEG or MEG.")
    table = store.trials.iloc[store.select(columns.TEST, subjects)]
    if not len(table):
        raise InputError(f"{store.path} has no test trials: prepare it with some, since they are the examples.")
    whose = sorted(set(table[columns.SUBJECT]))
    paths = []
    for place in range(EXAMPLES):
        subject = whose[place % len(whose)]
        mine = table[table[columns.SUBJECT] == subject]
        start = place // len(whose) * PICTURES
        pictures = sorted(set(mine[columns.IMAGE_ID]))[start : start + PICTURES]
        if len(pictures) >= 1:
            chosen = mine[mine[columns.IMAGE_ID].isin(pictures)]
            paths.append(folder / f"{subject}_pictures-{start + 1:02d}-to-{start + len(pictures):02d}.npz")
            _write(store, chosen.index.to_numpy(), list(chosen[columns.IMAGE_ID]), subject, paths[-1])
    return paths


def find_examples(folder: Path) -> dict[str, Path]:
    """Example recordings of a folder by what they are called, in order."""
    return {path.stem.replace("_", ", ").replace("-", " "): path for path in sorted(folder.glob("*.npz"))}


def _write(store: TrialStore, rows: np.ndarray, pictures: list[str], subject: str, path: Path) -> None:
    info, files = store.info, sorted(set(pictures))
    np.savez_compressed(
        path,
        brain=store.read(rows),
        image_files=np.array(files),
        image_id=np.array([files.index(name) for name in pictures]),
        channel_names=np.array(info.channels),
        sampling_rate=np.array(info.sampling_rate),
        unit=np.array(info.unit),
        subject=np.array(subject),
    )
