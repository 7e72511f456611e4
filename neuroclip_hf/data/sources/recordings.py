"""`neuroclip prepare recordings`: one's own recordings, whose events name pictures, into a trial store."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from neuroclip_hf import columns
from neuroclip_hf.data import things_eeg2
from neuroclip_hf.data.epochs import EpochSettings, choose_channels, cut_epochs
from neuroclip_hf.data.pictures import PictureFolder, Target, open_picture
from neuroclip_hf.data.recordings import (
    NAME,
    Recording,
    RecordingFile,
    check_signal,
    find_recordings,
    open_recording,
    rename_events,
)
from neuroclip_hf.data.store import StoreInfo
from neuroclip_hf.data.store_writer import StoreWriter, new_store, sha256
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import refuse_existing
from neuroclip_hf.logging import get_logger, progress

UNITS = {"eeg": ("V", 1e-6), "meg": ("T", 1e-15)}


@dataclass(frozen=True)
class SplitSettings:
    """Which trials test and validate.

    Args:
        protocol (`str`): what training and test may share, one of `columns.PROTOCOLS`.
        test_files, validation_files (`tuple[str, ...]`): recordings, by path, name, or pattern (`*run-05*`).
        test_concepts (`tuple[str, ...]`): concepts whose trials all test.
        held_out_pictures (`float`): fraction of the pictures of each concept that only the test gallery sees, where
            training and test share concepts and events do not say which picture was shown (ours).
        seed (`int`): chooses those pictures.
    """

    protocol: str = columns.NEW_CONCEPTS
    test_files: tuple[str, ...] = ()
    validation_files: tuple[str, ...] = ()
    test_concepts: tuple[str, ...] = ()
    held_out_pictures: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        if self.protocol not in columns.PROTOCOLS:
            raise InputError(f"protocol {self.protocol!r} is unknown: choose one of {', '.join(columns.PROTOCOLS)}.")
        if not 0 < self.held_out_pictures < 1:
            raise InputError(f"held_out_pictures is {self.held_out_pictures}: it is a fraction between 0 and 1.")


@dataclass
class _Plan:
    """A recording looked through before anything is written."""

    recording: Recording
    split: str
    targets: list[Target]
    channels: list[str] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.recording.file.path


def prepare_recordings(
    paths: Sequence[str | Path],
    pictures: str | Path,
    out: str | Path,
    *,
    epochs: EpochSettings | None = None,
    splits: SplitSettings | None = None,
    event_names: dict[str, str] | None = None,
    ignore: Sequence[str] = (),
    subject: str | None = None,
    redistribute_pictures: bool = False,
    overwrite: bool = False,
) -> Path:
    """Make a trial store from recordings that MNE reads.

    Args:
        paths (sequence of paths): recordings (FIF, BrainVision, EDF, ...) or BIDS folders.
        pictures (path): folder of pictures; an event names one of them, or one of its folders (a concept).
        out (path): the store.
        epochs (`EpochSettings`): how to cut; by default 0 to 1 s with a baseline of -0.2 to 0 s.
        splits (`SplitSettings`): which trials test, and what they may share with training.
        event_names (`dict[str, str]`): event -> picture or concept, for recordings whose events are codes.
        ignore (sequence of patterns): events to leave out.
        subject (`str`): whose recordings they are, where file names do not say.
        redistribute_pictures (`bool`): whether the pictures may be shared.
        overwrite (`bool`): replace an existing store.

    Returns:
        The store's folder.

    Raises:
        InputError: naming file, value and remedy; nothing is left under `out`.
    """
    epochs, splits = epochs or EpochSettings(), splits or SplitSettings()
    refuse_existing(Path(out), overwrite)
    folder = PictureFolder.scan(pictures)
    files = find_recordings(paths, subject)
    assigned = _assign_files(files, splits)
    recordings = [rename_events(open_recording(file), event_names or {}, ignore) for file in files]
    plans = [_plan(recording, assigned[recording.file], folder) for recording in recordings]
    _apply_test_concepts(plans, splits)
    _check_alike(plans, epochs)
    known = _known_target(plans)
    info = _store_info(plans, epochs, splits, known, redistribute_pictures)
    with new_store(out, info, overwrite) as writer:
        warnings = _write_trials(writer, plans, epochs, splits)
        _write_pictures(writer, plans, folder, splits, known)
        writer.info = replace(writer.info, warnings=warnings)
    return Path(out)


def _assign_files(files: Sequence[RecordingFile], splits: SplitSettings) -> dict[RecordingFile, str]:
    assigned = dict.fromkeys(files, columns.TRAIN)
    for split, patterns in ((columns.VALIDATION, splits.validation_files), (columns.TEST, splits.test_files)):
        for pattern in patterns:
            matches = [file for file in files if _matches(file, pattern)]
            if not matches:
                raise InputError(f"No recording matches {split} file {pattern!r}; recordings: {_names(files)}.")
            for file in matches:
                if assigned[file] not in (columns.TRAIN, split):
                    raise InputError(f"{file.path} is named for validation and for test: choose one.")
                assigned[file] = split
    if columns.TRAIN not in assigned.values():
        raise InputError("Every recording is named for test or validation: leave some for training.")
    return assigned


def _matches(file: RecordingFile, pattern: str) -> bool:
    spellings = (str(file.path), file.path.name, file.path.stem, str(file.path.resolve()))
    return any(fnmatchcase(spelling, pattern) for spelling in spellings)


def _names(files: Sequence[RecordingFile]) -> str:
    return ", ".join(file.path.name for file in files[:5]) + (", ..." if len(files) > 5 else "")


def _plan(recording: Recording, split: str, folder: PictureFolder) -> _Plan:
    found = {name: folder.find(name) for name in dict.fromkeys(recording.events[NAME])}
    unknown = [name for name, target in found.items() if target is None]
    if unknown:
        raise InputError(
            f"{recording.file.path}: event {unknown[0]!r} names no picture and no folder of pictures in {folder.root}. "
            f"{folder.suggestion(unknown[0])} Say what it means with --events '{unknown[0]}=NAME', or leave it out with "
            f"--ignore '{unknown[0]}'."
        )
    targets = [target for name in recording.events[NAME] if (target := found[name]) is not None]
    if not targets:
        raise InputError(f"{recording.file.path}: no event is left after --ignore.")
    return _Plan(recording, split, targets)


def _apply_test_concepts(plans: Sequence[_Plan], splits: SplitSettings) -> None:
    known = {target.concept for plan in plans for target in plan.targets}
    missing = [concept for concept in splits.test_concepts if concept not in known]
    if missing:
        raise InputError(f"Test concept {missing[0]!r} occurs in no recording; concepts: {', '.join(sorted(known)[:8])}.")


def _check_alike(plans: Sequence[_Plan], epochs: EpochSettings) -> None:
    first = plans[0]
    for plan in plans:
        raw = plan.recording.raw
        plan.channels = choose_channels(raw, epochs.channels, plan.path)
        if set(plan.channels) != set(first.channels):
            other = sorted(set(plan.channels) ^ set(first.channels))
            raise InputError(
                f"{plan.path} and {first.path} do not have the same channels ({', '.join(other)}): name the shared ones "
                "with --channels."
            )
        plan.channels = first.channels
        rate, expected = raw.info["sfreq"], first.recording.raw.info["sfreq"]
        if rate != expected and epochs.sampling_rate is None:
            raise InputError(f"{plan.path} has {rate} Hz but {first.path} {expected} Hz: bring both to one with --rate.")
        check_signal(plan.recording, plan.channels)


def _known_target(plans: Sequence[_Plan]) -> str:
    named = {bool(target.image_id) for plan in plans for target in plan.targets}
    if len(named) == 2:
        concept = next(t.concept for plan in plans for t in plan.targets if not t.image_id)
        raise InputError(
            f"Some events name a picture and others only a concept ({concept!r}): rename the latter with --events, or "
            "leave them out with --ignore."
        )
    return "image" if named == {True} else "concept"


def _store_info(
    plans: Sequence[_Plan], epochs: EpochSettings, splits: SplitSettings, known: str, redistribute: bool
) -> StoreInfo:
    first = plans[0]
    raw, channels = first.recording.raw, first.channels
    kind = raw.get_channel_types(picks=channels[:1])[0]
    modality = "eeg" if kind == "eeg" else "meg"
    unit, scale = UNITS[modality]
    simulated = all(plan.recording.raw.info["description"] == things_eeg2.SIMULATED for plan in plans)
    rate = float(epochs.sampling_rate or raw.info["sfreq"])
    return StoreInfo(
        modality=modality,
        channels=list(channels),
        unit=unit,
        scale=[scale] * len(channels),
        offset=[0.0] * len(channels),
        sampling_rate=rate,
        window_start=epochs.window[0],
        num_timesteps=epochs.num_timesteps(rate),
        protocol=splits.protocol,
        target=known,
        data="simulated" if simulated else "recorded",
        source="recordings",
        settings={"epochs": epochs.to_dict(), "splits": _split_names(splits)},
        epochs=replace(epochs, channels=tuple(channels), sampling_rate=rate).to_dict(),
        redistribute_pictures=redistribute,
        sources={plan.path.name: sha256(plan.path) for plan in plans if plan.path.is_file()},
    )


def _split_names(splits: SplitSettings) -> dict[str, Any]:
    names = {key: [Path(name).name for name in getattr(splits, key)] for key in ("test_files", "validation_files")}
    return {**asdict(splits), **names}


def _write_trials(
    writer: StoreWriter, plans: Sequence[_Plan], epochs: EpochSettings, splits: SplitSettings
) -> list[str]:
    warnings: list[str] = []
    for plan in progress(plans, desc="epochs", unit="file"):
        kept = 0
        samples = plan.recording.events[columns.SAMPLE].to_numpy()
        for rows, values in cut_epochs(plan.recording.raw, samples, epochs, plan.channels):
            kept += len(rows)
            _add_chunk(writer, plan, splits, rows, values)
        if kept == 0:
            warnings.append(f"{plan.path.name}: no epoch survived (of {len(samples)}); the recording was skipped.")
        get_logger().info("%s: %d of %d epochs kept", plan.path.name, kept, len(samples))
    for warning in warnings:
        get_logger().warning(warning)
    _refuse_empty(writer, plans, splits)
    return warnings


def _add_chunk(
    writer: StoreWriter, plan: _Plan, splits: SplitSettings, rows: np.ndarray, values: np.ndarray
) -> None:
    file = plan.recording.file
    samples = plan.recording.events[columns.SAMPLE].to_numpy()
    chosen = [_split_of(plan, plan.targets[row], splits) for row in rows]
    for split in dict.fromkeys(chosen):
        mine = [place for place, name in enumerate(chosen) if name == split]
        table = [
            {
                columns.IMAGE_ID: plan.targets[row].image_id,
                columns.CONCEPT: plan.targets[row].concept,
                columns.SESSION: file.session,
                columns.RUN: file.run,
                columns.FILE: file.path.name,
                columns.SAMPLE: int(samples[row]),
            }
            for row in rows[mine]
        ]
        writer.add_trials(file.subject, split, values[mine], table, str(file.path))


def _split_of(plan: _Plan, target: Target, splits: SplitSettings) -> str:
    return columns.TEST if target.concept in splits.test_concepts else plan.split


def _refuse_empty(writer: StoreWriter, plans: Sequence[_Plan], splits: SplitSettings) -> None:
    expected = {plan.split for plan in plans} | ({columns.TEST} if splits.test_concepts else set())
    for split in sorted(expected - writer.splits):
        raise InputError(f"The {split} split is empty: none of its epochs survived. Loosen --reject or name other files.")


def _write_pictures(
    writer: StoreWriter, plans: Sequence[_Plan], folder: PictureFolder, splits: SplitSettings, known: str
) -> None:
    galleries = _galleries_by_concept(writer, folder, splits) if known == "concept" else _galleries_by_picture(writer)
    for image_id in progress(sorted(galleries), desc="pictures", unit="picture"):
        open_picture(folder.path(image_id))  # a damaged picture is found now, not in the middle of training
        concept = folder.concept(image_id)
        writer.add_picture(image_id, concept, galleries[image_id], folder.path(image_id), caption="")


def _galleries_by_picture(writer: StoreWriter) -> dict[str, str]:
    seen: dict[str, set[str]] = {}
    for image_id, _, split in writer.targets():
        seen.setdefault(image_id, set()).add(columns.TEST if split == columns.TEST else columns.TRAIN)
    return {image_id: next(iter(splits)) if len(splits) == 1 else "both" for image_id, splits in seen.items()}


def _galleries_by_concept(writer: StoreWriter, folder: PictureFolder, splits: SplitSettings) -> dict[str, str]:
    trained = {concept for _, concept, split in writer.targets() if split != columns.TEST}
    tested = {concept for _, concept, split in writer.targets() if split == columns.TEST}
    generator = np.random.default_rng([splits.seed, 3])
    galleries: dict[str, str] = {}
    for concept in sorted(trained | tested):
        pictures = list(folder.concepts[concept])
        held: set[str] = set()
        if concept in trained and concept in tested:
            if len(pictures) < 2:
                raise InputError(f"{folder.root}/{concept} holds one picture: training and test need one each.")
            count = min(len(pictures) - 1, max(1, round(splits.held_out_pictures * len(pictures))))
            held = {str(name) for name in generator.choice(pictures, size=count, replace=False)}
        elif concept in tested:
            held = set(pictures)
        galleries |= {name: columns.TEST if name in held else columns.TRAIN for name in pictures}
    return galleries
