"""`neuroclip prepare recordings`: one's own recordings, whose events name pictures, into a trial store."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import mne
import numpy as np

from neuroclip_hf import columns
from neuroclip_hf.data.cutting import cut_epochs
from neuroclip_hf.data.epochs import EpochSettings, choose_channels, modality_of
from neuroclip_hf.data.pictures import PictureFolder, Target, open_picture
from neuroclip_hf.data.recordings import (
    NAME,
    Recording,
    check_signal,
    find_recordings,
    open_recording,
    rename_events,
)
from neuroclip_hf.data.simulated import SIMULATED_DESCRIPTION
from neuroclip_hf.data.sources.recording_splits import (
    SplitSettings,
    assign_files,
    check_test_concepts,
    galleries_by_concept,
    galleries_by_picture,
    split_events,
)
from neuroclip_hf.data.store_info import StoreInfo
from neuroclip_hf.data.store_layout import STORE_FILE
from neuroclip_hf.data.store_writer import StoreWriter, new_store
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import refuse_existing, sha256
from neuroclip_hf.logging import get_logger, progress

__all__ = ["SplitSettings", "prepare_recordings"]

UNITS = {"eeg": "V", "meg": "T"}
SCALES = {"mag": 1e-15, "grad": 1e-13, "ref_meg": 1e-15}
"""What MEG is stored in, by channel type: femtotesla, and femtotesla per centimetre. Everything else: microvolts."""


@dataclass
class _Plan:
    """A recording looked through before anything is written."""

    recording: Recording
    split: str
    targets: list[Target]
    channels: list[str] = field(default_factory=list)
    event_splits: list[str | None] = field(default_factory=list)

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
    refuse_existing(out, overwrite, STORE_FILE)
    folder = PictureFolder.scan(pictures)
    files = find_recordings(paths, subject)
    assigned = assign_files(files, splits)
    opened = [open_recording(file, ignore) for file in files]
    names = event_names or {}
    _refuse_unused(names, opened)
    recordings = [rename_events(recording, names, ignore) for recording in opened]
    plans = [_plan(recording, assigned[recording.file], folder) for recording in recordings]
    check_test_concepts(((plan.split, target.concept) for plan in plans for target in plan.targets), splits)
    known = _known_target(plans, splits)
    _check_alike(plans, epochs)
    for plan in plans:
        plan.event_splits = _event_splits(plan, epochs, splits)
    info = _store_info(plans, epochs, splits, known)
    settings = {**info.settings, "events": dict(sorted(names.items())), "ignore": list(ignore)}
    info = replace(info, settings=settings, redistribute_pictures=redistribute_pictures)
    with new_store(out, info, overwrite) as writer:
        warnings = _write_trials(writer, plans, epochs)
        _write_pictures(writer, folder, splits, known)
        writer.info = replace(writer.info, warnings=warnings)
    return Path(out)


def _refuse_unused(names: dict[str, str], recordings: Sequence[Recording]) -> None:
    found = {name for recording in recordings for name in recording.events[NAME]}
    unused = [name for name in names if name not in found]
    if unused:
        some = ", ".join(map(repr, sorted(found)[:8])) + (", ..." if len(found) > 8 else "")
        raise InputError(f"--events names {unused[0]!r}, which is in no recording: the events are {some}.")


def _plan(recording: Recording, split: str, folder: PictureFolder) -> _Plan:
    found = {name: folder.find(name) for name in dict.fromkeys(recording.events[NAME])}
    unknown = [name for name, target in found.items() if target is None]
    if unknown:
        raise InputError(
            f"{recording.file.path}: event {unknown[0]!r} names no picture and no folder of pictures in {folder.root}."
            f" {folder.suggestion(unknown[0])} Say what it means with --events '{unknown[0]}=NAME', or leave it out "
            f"with --ignore '{unknown[0]}'."
        )
    targets = [target for name in recording.events[NAME] if (target := found[name]) is not None]
    if not targets:
        raise InputError(
            f"{recording.file.path}: no event is left after --ignore: ignore less, or leave the file out."
        )
    return _Plan(recording, split, targets)


def _known_target(plans: Sequence[_Plan], splits: SplitSettings) -> str:
    named = {bool(target.image_id) for plan in plans for target in plan.targets}
    if len(named) == 2:
        plan, concept = next((plan, t.concept) for plan in plans for t in plan.targets if not t.image_id)
        raise InputError(
            f"{plan.path}: some events name a picture and others only a concept ({concept!r}): rename the latter with "
            "--events, or leave them out with --ignore."
        )
    if named == {False} and splits.protocol == columns.NEW_PICTURES:
        raise InputError(
            f"{plans[0].path}: events name only concepts, so nobody can tell whether pictures were new: protocol "
            f"{columns.NEW_PICTURES} needs events that name pictures, say --protocol {columns.NEW_TRIALS}."
        )
    return columns.IMAGE_TARGET if named == {True} else columns.CONCEPT_TARGET


def _check_alike(plans: Sequence[_Plan], epochs: EpochSettings) -> None:
    first = plans[0]
    for plan in plans:
        raw = plan.recording.raw
        plan.channels = choose_channels(raw, epochs.channels, plan.path)
        if set(plan.channels) != set(first.channels):
            other = sorted(set(plan.channels) ^ set(first.channels))
            raise InputError(
                f"{plan.path} and {first.path} do not have the same channels ({', '.join(other)}): name the shared "
                "ones with --channels."
            )
        if _scales(raw, first.channels) != _scales(first.recording.raw, first.channels):
            raise InputError(f"{plan.path} and {first.path} give channels of one name different types: correct them.")
        plan.channels = first.channels
        rate, expected = raw.info["sfreq"], first.recording.raw.info["sfreq"]
        if rate != expected and epochs.sampling_rate is None:
            raise InputError(
                f"{plan.path} has {rate:g} Hz but {first.path} {expected:g} Hz: bring both to one with --rate."
            )
        check_signal(plan.recording, plan.channels)


def _event_splits(plan: _Plan, epochs: EpochSettings, splits: SplitSettings) -> list[str | None]:
    rate = plan.recording.raw.info["sfreq"]
    edges = [*epochs.window, *(epochs.baseline or ())]
    reach = (math.floor(min(edges) * rate), math.ceil(max(edges) * rate) + 1)
    samples = plan.recording.events[columns.SAMPLE].to_numpy()
    return split_events(plan.split, samples, [target.concept for target in plan.targets], splits, reach)


def _scales(raw: mne.io.BaseRaw, channels: Sequence[str]) -> list[float]:
    return [SCALES.get(kind, 1e-6) for kind in raw.get_channel_types(picks=list(channels))]


def _store_info(plans: Sequence[_Plan], epochs: EpochSettings, splits: SplitSettings, known: str) -> StoreInfo:
    first = plans[0]
    raw, channels = first.recording.raw, first.channels
    modality = modality_of(raw, channels, first.path)
    # One simulated recording is enough: nothing that comes of it was recorded.
    simulated = any(plan.recording.raw.info["description"] == SIMULATED_DESCRIPTION for plan in plans)
    rate = float(epochs.sampling_rate or raw.info["sfreq"])
    return StoreInfo(
        modality=modality,
        channels=list(channels),
        unit=UNITS[modality],
        scale=_scales(raw, channels),
        offset=[0.0] * len(channels),
        sampling_rate=rate,
        window_start=epochs.window[0],
        num_timesteps=epochs.num_timesteps(rate),
        protocol=splits.protocol,
        target=known,
        data=columns.SIMULATED if simulated else columns.RECORDED,
        source="recordings",
        settings={"epochs": epochs.to_dict(), "splits": splits.to_dict()},
        epochs=replace(epochs, channels=tuple(channels), sampling_rate=rate).to_dict(),
        sources=_sources(plans),
    )


def _sources(plans: Sequence[_Plan]) -> dict[str, str]:
    """Checksums of all files that hold samples; where two have one name, as many folders as tell them apart."""
    named = [plan.path for plan in plans]
    held = [Path(file) for plan in plans for file in plan.recording.raw.filenames if file is not None]
    paths = sorted({path.resolve(): path.absolute() for path in (*held, *named) if path.is_file()}.values())
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):
        depth += 1
    return {"/".join(path.parts[-depth:]): sha256(path) for path in paths}


def _write_trials(writer: StoreWriter, plans: Sequence[_Plan], epochs: EpochSettings) -> list[str]:
    warnings: list[str] = []
    for plan in progress(plans, desc="epochs", unit="file"):
        kept = 0
        samples = plan.recording.events[columns.SAMPLE].to_numpy()
        for rows, values in cut_epochs(plan.recording.raw, samples, epochs, plan.channels):
            kept += len(rows)
            _add_chunk(writer, plan, rows, values)
        if kept == 0:
            warnings.append(f"{plan.path.name}: no epoch survived (of {len(samples)}); the recording was skipped.")
        get_logger().info("%s: %d of %d epochs kept", plan.path.name, kept, len(samples))
    for warning in warnings:
        get_logger().warning(warning)
    _refuse_empty(writer, plans)
    return warnings


def _add_chunk(writer: StoreWriter, plan: _Plan, rows: np.ndarray, values: np.ndarray) -> None:
    file = plan.recording.file
    samples = plan.recording.events[columns.SAMPLE].to_numpy()
    for split in columns.SPLITS:
        mine = [place for place, row in enumerate(rows) if plan.event_splits[row] == split]
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
        if mine:
            writer.add_trials(file.subject, split, values[mine], table, str(file.path))


def _refuse_empty(writer: StoreWriter, plans: Sequence[_Plan]) -> None:
    for split in columns.SPLITS:
        names = ", ".join(plan.path.name for plan in plans if split in plan.event_splits)
        if names and split not in writer.splits:
            raise InputError(
                f"The {split} split is empty: no epoch of {names} survived. Loosen --reject, shorten --window, or "
                "name other files."
            )


def _write_pictures(writer: StoreWriter, folder: PictureFolder, splits: SplitSettings, known: str) -> None:
    shown = writer.targets()
    galleries = (
        galleries_by_concept(shown, folder, splits) if known == columns.CONCEPT_TARGET else galleries_by_picture(shown)
    )
    for image_id in progress(sorted(galleries), desc="pictures", unit="picture"):
        open_picture(folder.path(image_id))  # a damaged picture is found now, not in the middle of training
        concept = folder.concept(image_id)
        writer.add_picture(image_id, concept, galleries[image_id], folder.path(image_id), caption="")
