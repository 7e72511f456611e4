"""BraVL's release of Generic Object Decoding on its way into a store, see [`neuroclip_hf.data.bravl`]."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neuroclip_hf import columns
from neuroclip_hf.data.bravl import FILES, SUBJECT_FOLDER, BravlTrials, feature_folders, read_bravl_file
from neuroclip_hf.data.simulated import is_simulated
from neuroclip_hf.data.sources.god_pictures import GodPictures
from neuroclip_hf.data.sources.patterns import Blocks, SubjectPatterns, TrialRow
from neuroclip_hf.data.store_channels import SubjectChannels
from neuroclip_hf.data.store_writer import BLOCK
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import sha256

_SESSIONS = {columns.TRAIN: 1, columns.TEST: 2}


def is_bravl(source: Path) -> bool:
    """Whether a folder is BraVL's release rather than the dataset itself."""
    return bool(feature_folders(source))


def bravl_subjects(source: Path, features: Sequence[str]) -> dict[int, Path]:
    """The folders of all subjects, by number.

    Args:
        source (`Path`): the release.
        features (sequence of `str`): what the features are called, at most one; may be left out where there is one.

    Raises:
        InputError: if it is not clear which, or there are no subjects.
    """
    folders = feature_folders(source)
    if len(features) > 1 or (features and features[0] not in folders) or (not features and len(folders) != 1):
        raise InputError(
            f"{source} is BraVL's release, whose regions were joined when it was made: name one of its features with "
            f"--rois: {', '.join(folders)}."
        )
    folder = folders[features[0]] if features else next(iter(folders.values()))
    found = {int(match[1]): path for path in folder.iterdir() if (match := SUBJECT_FOLDER.fullmatch(path.name))}
    if not found:
        raise InputError(f"{folder} holds no sub-01, sub-02, ...: unzip the whole release.")
    return dict(sorted(found.items()))


def read_bravl(subject: str, folder: Path, pictures: GodPictures) -> SubjectPatterns:
    """Read the single trials of one subject; they are stored as they are, in standard deviations.

    `sample` is the trial's row in its file; `session` is 1 for training and 2 for perception, `run` always 1, since
    the release does not tell.

    Args:
        subject (`str`): what a store calls it: "sub-01".
        folder (`Path`): of its files.
        pictures ([`GodPictures`]): which ids there are.

    Raises:
        InputError: naming the file and what is wrong with it.
    """
    read = {split: read_bravl_file(folder / name) for split, name in FILES.items()}
    sizes = {split: one.data.shape[1] for split, one in read.items()}
    if len(set(sizes.values())) > 1:
        raise InputError(
            f"{folder}: {sizes[columns.TRAIN]} features in training and {sizes[columns.TEST]} in the test: they must "
            "be the same."
        )
    count = sizes[columns.TRAIN]
    names = [f"{subject}_component_{number:04d}" for number in range(count)]
    training = read[columns.TRAIN]
    flat = np.flatnonzero(np.ptp(training.data, axis=0) == 0)
    if len(flat):
        raise InputError(f"{training.path}: {len(flat)} features never change (first: number {flat[0]}).")

    def blocks() -> Blocks:
        first = 0
        for one in read.values():
            for start in range(0, len(one.data), BLOCK):
                values = one.data[start : start + BLOCK]
                yield first + start, values
            first += len(one.data)

    return SubjectPatterns(
        subject,
        folder,
        SubjectChannels(names, np.ones(count), np.zeros(count)),
        [trial for split, one in read.items() for trial in _trials(split, one, pictures)],
        blocks,
        {f"{subject}/{one.path.name}": sha256(one.path) for one in read.values()},
        is_simulated(folder),
    )


def _trials(split: str, read: BravlTrials, pictures: GodPictures) -> list[TrialRow]:
    found = []
    for row, (stimulus, index) in enumerate(zip(read.stimuli.tolist(), read.image_index.tolist(), strict=True)):
        try:
            image_id = pictures.image_id(split, stimulus, index)
        except InputError as error:
            raise InputError(f"{read.path}, trial {row}: {error}") from None
        found.append(TrialRow(split, image_id, _SESSIONS[split], 1, read.path.name, row))
    return found
