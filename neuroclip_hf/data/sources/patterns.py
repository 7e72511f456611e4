"""Patterns of voxels on their way into a store: what every reader of fMRI hands over, and how it is written."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.sources.finished import ShownPicture
from neuroclip_hf.data.store_channels import SubjectChannels
from neuroclip_hf.data.store_info import StoreInfo
from neuroclip_hf.data.store_writer import StoreWriter, new_store
from neuroclip_hf.logging import progress

Blocks = Iterator[tuple[int, NDArray[np.float64]]]
"""(number of the first trial, values (trials, voxels)), in the order of the trials."""


@dataclass(frozen=True)
class TrialRow:
    """What the trial table says of one trial, besides its subject and concept.

    Args:
        split (`str`): one of `columns.SPLITS`.
        image_id (`str`): the picture that was shown or imagined.
        session (`int`): of the subject, counted from 1.
        run (`int`): within the session, counted from 1.
        file (`str`): where the trial comes from, without folders.
        sample (`int`): its row in that file; for scans that are modelled, in the run's table of events.
    """

    split: str
    image_id: str
    session: int
    run: int
    file: str
    sample: int


@dataclass(frozen=True)
class SubjectPatterns:
    """One subject's trials, checked, their values still where they came from.

    Args:
        subject (`str`): whose they are: "sub-01".
        origin (`Path`): where they come from, for messages.
        channels ([`SubjectChannels`]): the voxels.
        trials (sequence of [`TrialRow`]): in the order of `blocks`.
        blocks (callable): reads the values, voxels as in `channels`.
        sources (mapping): what store.json calls each file -> its sha256.
        simulated (`bool`): whether the trials were made up.
        warnings (sequence of `str`): what had to be left out.
    """

    subject: str
    origin: Path
    channels: SubjectChannels
    trials: Sequence[TrialRow]
    blocks: Callable[[], Blocks]
    sources: Mapping[str, str]
    simulated: bool = False
    warnings: Sequence[str] = ()

    def image_ids(self) -> set[str]:
        """All pictures that were shown or imagined."""
        return {trial.image_id for trial in self.trials}


def pattern_info(
    source: str,
    subjects: Sequence[SubjectPatterns],
    *,
    protocol: str,
    settings: dict[str, Any],
    unit: str = "au",
    warnings: Sequence[str] = (),
    redistribute_pictures: bool = False,
) -> StoreInfo:
    """The store.json of a store of patterns whose voxels stand in the table of channels.

    Args:
        source (`str`): what it is made from: "god", "bravl", "fmri".
        subjects (sequence of [`SubjectPatterns`]): all of them.
        protocol (`str`): what training and test may share.
        settings (`dict`): of the preparation.
        unit (`str`): "au", or "sd" for what is z-scored.
        warnings (sequence of `str`): beside those of the subjects.
        redistribute_pictures (`bool`): whether they may be.
    """
    return StoreInfo(
        modality="fmri",
        channels=[],
        unit=unit,
        scale=[],
        offset=[],
        sampling_rate=None,
        window_start=0.0,
        num_timesteps=None,
        protocol=protocol,
        target=columns.IMAGE_TARGET,
        data=columns.SIMULATED if any(one.simulated for one in subjects) else columns.RECORDED,
        source=source,
        settings=settings,
        redistribute_pictures=redistribute_pictures,
        sources={name: digest for one in subjects for name, digest in one.sources.items()},
        warnings=[*warnings, *(warning for one in subjects for warning in one.warnings)],
    )


def write_patterns(
    out: Path, info: StoreInfo, subjects: Sequence[SubjectPatterns], pictures: Sequence[ShownPicture], overwrite: bool
) -> None:
    """Make the store; it appears under `out` only when it is whole.

    Args:
        out (`Path`): the store.
        info (`StoreInfo`): see [`pattern_info`].
        subjects (sequence of [`SubjectPatterns`]): whose trials are written.
        pictures (sequence of [`ShownPicture`]): every picture that they name.
        overwrite (`bool`): replace an existing store.

    Raises:
        InputError: as [`new_store`] and [`StoreWriter`].
    """
    concept_of = {picture.image_id: picture.concept for picture in pictures}
    with new_store(out, info, overwrite) as writer:
        for one in progress(subjects, desc="subjects", unit="subject"):
            writer.add_channels(one.subject, one.channels)
            for start, values in one.blocks():
                _write_block(writer, one, one.trials[start : start + len(values)], values, concept_of)
        for picture in progress(pictures, desc="pictures", unit="picture"):
            writer.add_picture(picture.image_id, picture.concept, picture.gallery, picture.path, picture.caption)


def _write_block(
    writer: StoreWriter,
    one: SubjectPatterns,
    trials: Sequence[TrialRow],
    values: NDArray[np.float64],
    concept_of: Mapping[str, str],
) -> None:
    for split in columns.SPLITS:
        rows = [place for place, trial in enumerate(trials) if trial.split == split]
        if not rows:
            continue
        table = [
            {
                columns.IMAGE_ID: trials[row].image_id,
                columns.CONCEPT: concept_of[trials[row].image_id],
                columns.SESSION: trials[row].session,
                columns.RUN: trials[row].run,
                columns.FILE: trials[row].file,
                columns.SAMPLE: trials[row].sample,
            }
            for row in rows
        ]
        writer.add_trials(one.subject, split, values[rows], table, str(one.origin))
