"""Which recordings, concepts and pictures test and validate, for `neuroclip prepare recordings`."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.pictures import PictureFolder
from neuroclip_hf.data.recordings import RecordingFile
from neuroclip_hf.errors import InputError


@dataclass(frozen=True)
class SplitSettings:
    """Which trials test and validate.

    Args:
        protocol (`str`): what training and test may share, one of `columns.PROTOCOLS`.
        test_files, validation_files (`tuple[str, ...]`): recordings, by path, name, or pattern (`*run-05*`).
        test_concepts (`tuple[str, ...]`): concepts whose trials all test.
        test_part, validation_part (`float`): the last part, in time, of each training recording that tests, and of
            what is left that validates; for people with few recordings.
        held_out_pictures (`float`): fraction of the pictures of each concept that only the test gallery sees, where
            training and test share concepts and events do not say which picture was shown (ours).
        seed (`int`): chooses those pictures.
    """

    protocol: str = columns.NEW_CONCEPTS
    test_files: tuple[str, ...] = ()
    validation_files: tuple[str, ...] = ()
    test_concepts: tuple[str, ...] = ()
    test_part: float = 0.0
    validation_part: float = 0.0
    held_out_pictures: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        if self.protocol not in columns.PROTOCOLS:
            raise InputError(f"protocol {self.protocol!r} is unknown: choose one of {', '.join(columns.PROTOCOLS)}.")
        if not 0 < self.held_out_pictures < 1:
            raise InputError(f"held_out_pictures is {self.held_out_pictures}: it is a fraction between 0 and 1.")
        for name in ("test_part", "validation_part"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: it is a part from 0 to below 1.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; of recordings only the names, not where they lie."""
        names = {key: [Path(name).name for name in getattr(self, key)] for key in ("test_files", "validation_files")}
        return {**asdict(self), **names}


def assign_files(files: Sequence[RecordingFile], splits: SplitSettings) -> dict[RecordingFile, str]:
    """The split of each recording.

    Raises:
        InputError: if a name fits no recording, two splits claim one, or none is left for training.
    """
    assigned = dict.fromkeys(files, columns.TRAIN)
    for split, patterns in ((columns.VALIDATION, splits.validation_files), (columns.TEST, splits.test_files)):
        for pattern in patterns:
            matches = [file for file in files if _matches(file, pattern)]
            if not matches:
                raise InputError(
                    f"No recording matches {split} file {pattern!r}: it must be one of the recordings that are named "
                    f"too ({_names(files)})."
                )
            for file in matches:
                if assigned[file] not in (columns.TRAIN, split):
                    raise InputError(f"{file.path} is named for validation and for test: choose one.")
                assigned[file] = split
    if columns.TRAIN not in assigned.values():
        raise InputError(
            f"Every recording ({_names(files)}) is named for test or validation: leave some for training."
        )
    return assigned


def split_events(
    split: str, samples: NDArray[np.int64], concepts: Sequence[str], splits: SplitSettings, reach: tuple[int, int]
) -> list[str | None]:
    """The split of each event of one recording; None for an event that is left out.

    Where a recording is parted in time, an event whose epoch would overlap the first epoch of the next part is left
    out: its samples would stand in two splits.

    Args:
        split (`str`): the recording's own.
        samples (`numpy.ndarray` of shape `(events,)`): onsets.
        concepts (sequence of `str`): what each event shows.
        splits (`SplitSettings`): the parts, and concepts that test wherever they stand.
        reach (`tuple[int, int]`): samples from an onset to the first and past the last of its epoch.
    """
    chosen: list[str | None] = [split] * len(samples)
    if split == columns.TRAIN:
        order = np.argsort(samples, kind="stable")
        left = len(order)
        for name, part in ((columns.TEST, splits.test_part), (columns.VALIDATION, splits.validation_part)):
            first = left - round(part * left)
            for row in order[first:left]:
                chosen[row] = name
            begin = samples[order[first]] + reach[0] if first < left else np.inf
            while first > 0 and samples[order[first - 1]] + reach[1] > begin:
                first -= 1
                chosen[order[first]] = None
            left = first
    return [
        columns.TEST if concept in splits.test_concepts else name
        for concept, name in zip(concepts, chosen, strict=True)
    ]


def check_test_concepts(shown: Iterable[tuple[str, str]], splits: SplitSettings) -> None:
    """Refuse test concepts that no event names, or that leave nothing for training.

    Args:
        shown (`(split, concept)` of every trial): before test concepts are taken out.
        splits (`SplitSettings`): which concepts test.
    """
    shown = set(shown)
    known = {concept for _, concept in shown}
    missing = [concept for concept in splits.test_concepts if concept not in known]
    if missing:
        raise InputError(
            f"Test concept {missing[0]!r} occurs in no recording: name one of {', '.join(sorted(known)[:8])}"
            f"{', ...' if len(known) > 8 else ''}."
        )
    if not {concept for split, concept in shown if split == columns.TRAIN} - set(splits.test_concepts):
        raise InputError(
            f"The train split is empty: the training recordings show only {', '.join(splits.test_concepts[:8])}, "
            "which --test-concepts takes out: name fewer."
        )


def galleries_by_picture(targets: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Picture -> the gallery ("train", "test" or "both") of the trials that showed it.

    Args:
        targets (`(image_id, concept, split)`): of the trials.
    """
    seen: dict[str, set[str]] = {}
    for image_id, _, split in targets:
        seen.setdefault(image_id, set()).add(columns.TEST if split == columns.TEST else columns.TRAIN)
    return {image_id: next(iter(splits)) if len(splits) == 1 else columns.BOTH for image_id, splits in seen.items()}


def galleries_by_concept(
    targets: Iterable[tuple[str, str, str]], folder: PictureFolder, splits: SplitSettings
) -> dict[str, str]:
    """Picture -> its gallery ("train" or "test"), for all pictures of the concepts that trials showed.

    Of a concept that training and test share, a part of the pictures is kept for the test gallery.

    Raises:
        InputError: if such a concept has a single picture.
    """
    shown = {(concept, split == columns.TEST) for _, concept, split in targets}
    generator = np.random.default_rng([splits.seed, 3])
    galleries: dict[str, str] = {}
    for concept in sorted({concept for concept, _ in shown}):
        pictures = list(folder.concepts[concept])
        held: set[str] = set()
        if {(concept, True), (concept, False)} <= shown:
            if len(pictures) < 2:
                raise InputError(
                    f"{folder.root} holds one picture of {concept!r}: training and test need one each, add another."
                )
            count = min(len(pictures) - 1, max(1, round(splits.held_out_pictures * len(pictures))))
            held = {str(name) for name in generator.choice(pictures, size=count, replace=False)}
        elif (concept, True) in shown:
            held = set(pictures)
        galleries |= {name: columns.TEST if name in held else columns.TRAIN for name in pictures}
    return galleries


def _matches(file: RecordingFile, pattern: str) -> bool:
    spellings = (str(file.path), file.path.name, file.path.stem, str(file.path.resolve()))
    wanted = (pattern, str(Path(pattern)))  # "./a.fif" is "a.fif"
    return any(spelling == one or fnmatchcase(spelling, one) for spelling in spellings for one in wanted)


def _names(files: Sequence[RecordingFile]) -> str:
    return ", ".join(file.path.name for file in files[:5]) + (", ..." if len(files) > 5 else "")
