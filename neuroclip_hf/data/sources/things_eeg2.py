"""`neuroclip prepare things-eeg2`: the dataset's raw files into a trial store, with the field's preprocessing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data import things_eeg2
from neuroclip_hf.data.epochs import EpochSettings, choose_channels, cut_epochs
from neuroclip_hf.data.pictures import open_picture
from neuroclip_hf.data.recordings import NAME, Recording, RecordingFile, check_signal, open_recording
from neuroclip_hf.data.repeats import REPEATS_PER_SESSION, choose_repeats
from neuroclip_hf.data.simulated import CAPTIONS_FILE, SIMULATED_DESCRIPTION
from neuroclip_hf.data.store import STORE_FILE, StoreInfo
from neuroclip_hf.data.store_writer import BLOCK, StoreWriter, new_store, sha256
from neuroclip_hf.data.things_eeg2 import FACTS, ImageMetadata
from neuroclip_hf.data.whitening import noise_covariance, whiten, whitening_matrix
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json, refuse_existing
from neuroclip_hf.logging import progress

WHITENINGS = ("session", "none")


def prepare_things_eeg2(
    source: str | Path,
    out: str | Path,
    *,
    images: str | Path | None = None,
    subjects: Sequence[int | str] = (),
    channels: Sequence[str] = ("occipital",),
    epochs: EpochSettings | None = None,
    whitening: str = "session",
    overwrite: bool = False,
) -> Path:
    """Make a trial store from `sub-XX/ses-0Y/raw_eeg_{training,test}.npy`.

    The steps of Gifford et al. (NeuroImage 2022) in the form that recent work shares: epochs of -0.2 to 1.0 s,
    baseline before the onset, 250 Hz, 0 to 1 s kept, at most 2 training and 20 test repeats of a picture a session (by
    the dataset's shuffle seed), multivariate noise normalisation per session. Its covariance is fitted on training
    epochs only, unlike the dataset's own release. One recording and its epochs are in memory at a time.

    Args:
        source (path): folder of the subjects.
        out (path): the store.
        images (path, *optional*): folder of `training_images` and `test_images`; `source` by default.
        subjects (sequence of `int`): numbers of subjects; all by default.
        channels (sequence of `str`): names, or "occipital" (17), or "all".
        epochs (`EpochSettings`, *optional*): how to cut; the steps above by default.
        whitening (`str`): "session" or "none".
        overwrite (`bool`): replace an existing store.

    Raises:
        InputError: naming file, value and remedy; nothing is left under `out`.
    """
    refuse_existing(out, overwrite, STORE_FILE)
    source = Path(source)
    if whitening not in WHITENINGS:
        raise InputError(f"whitening is {whitening!r}: choose one of {', '.join(WHITENINGS)}.")
    epochs = epochs or EpochSettings(sampling_rate=FACTS.epoch_sampling_rate)
    numbers = _subjects(source, subjects)
    files = _files(source, numbers)
    metadata = things_eeg2.read_image_metadata(source)
    images = source if images is None else Path(images)
    first = open_recording(files[0])
    epochs = replace(epochs, channels=tuple(choose_channels(first.raw, _channels(channels, first), first.file.path)))
    info = _store_info(source, files, first, epochs, whitening)
    del first  # a recording of the real size takes three gigabytes
    with new_store(out, info, overwrite) as writer:
        for number in progress(numbers, desc="subjects", unit="subject"):
            _write_subject(writer, source, number, epochs, whitening)
        _write_pictures(writer, images, metadata)
    return Path(out)


def _subjects(source: Path, wanted: Sequence[int | str]) -> list[int]:
    found = things_eeg2.find_subjects(source)
    try:
        numbers = sorted({int(str(name).removeprefix("sub-")) for name in wanted}) or found
    except ValueError:
        raise InputError(f"subjects {', '.join(map(str, wanted))}: give numbers, as in 1,2.") from None
    missing = [number for number in numbers if number not in found]
    if missing:
        raise InputError(f"{source} holds no subject {missing[0]}; it holds {', '.join(map(str, found))}.")
    return numbers


def _files(source: Path, subjects: Sequence[int]) -> list[RecordingFile]:
    files = []
    for number in subjects:
        for session in things_eeg2.find_sessions(source, number):
            for run, split in enumerate((columns.TRAIN, columns.TEST), start=1):
                path = things_eeg2.raw_path(source, number, session, split)
                if not path.is_file():
                    raise InputError(f"{path} is missing: get it, or leave subject {number} out with --subjects.")
                files.append(RecordingFile(path, things_eeg2.subject_folder(number), session, run))
    return files


def _channels(names: Sequence[str], first: Recording) -> Sequence[str]:
    if list(names) == ["all"]:
        return ()
    return FACTS.occipital_channels if list(names) in ([], ["occipital"]) else names


def _store_info(
    source: Path, files: Sequence[RecordingFile], first: Recording, epochs: EpochSettings, whitening: str
) -> StoreInfo:
    rate = float(epochs.sampling_rate or first.raw.info["sfreq"])
    whitened = whitening != "none"
    count = len(epochs.channels)
    simulated = first.raw.info["description"] == SIMULATED_DESCRIPTION
    return StoreInfo(
        modality="eeg",
        channels=list(epochs.channels),
        unit="sd" if whitened else "V",
        scale=[1.0 if whitened else 1e-6] * count,
        offset=[0.0] * count,
        sampling_rate=rate,
        window_start=epochs.window[0],
        num_timesteps=epochs.num_timesteps(rate),
        protocol=columns.NEW_CONCEPTS,
        target=columns.IMAGE_TARGET,
        data=columns.SIMULATED if simulated else columns.RECORDED,
        source="things-eeg2",
        settings={"epochs": epochs.to_dict(), "whitening": whitening, "repeats_per_session": REPEATS_PER_SESSION},
        epochs=replace(epochs, sampling_rate=rate).to_dict(),
        whitening_fit="training epochs of the same subject and session" if whitened else None,
        sources={file.path.relative_to(source).as_posix(): sha256(file.path) for file in files},
    )


def _write_subject(writer: StoreWriter, source: Path, number: int, epochs: EpochSettings, whitening: str) -> None:
    covariances = []
    for session in things_eeg2.find_sessions(source, number):
        matrix = None
        for run, split in enumerate((columns.TRAIN, columns.TEST), start=1):
            path = things_eeg2.raw_path(source, number, session, split)
            file = RecordingFile(path, things_eeg2.subject_folder(number), session, run)
            rows, values = _cut(file, epochs, split)
            if split == columns.TRAIN and whitening != "none":
                covariances.append(noise_covariance(values, [row[columns.IMAGE_ID] for row in rows]))
                matrix = _invert(covariances[-1], path)
            for start in range(0, len(rows), BLOCK):
                part = values[start : start + BLOCK]
                part = part if matrix is None else whiten(part, matrix)
                writer.add_trials(file.subject, split, part, rows[start : start + BLOCK], str(path))
    if covariances:
        writer.add_covariances(things_eeg2.subject_folder(number), np.stack(covariances))


def _cut(file: RecordingFile, epochs: EpochSettings, split: str) -> tuple[list[dict[str, Any]], NDArray[np.float32]]:
    """Epochs of one raw file, float32 so that a session of the real size stays near one gigabyte."""
    recording = open_recording(file)
    raw = recording.raw
    channels = choose_channels(raw, epochs.channels, file.path)
    check_signal(recording, channels)
    events = recording.events.iloc[_chosen_repeats(recording, split)]
    rows, parts = [], []
    samples, names = events[columns.SAMPLE].to_numpy(), events[NAME].to_numpy()
    for kept, values in cut_epochs(raw, samples, epochs, channels):
        parts.append(values.astype(np.float32))
        rows += [
            {
                columns.IMAGE_ID: str(names[row]),
                columns.CONCEPT: Path(names[row]).parent.name,
                columns.SESSION: file.session,
                columns.RUN: file.run,
                columns.FILE: file.path.name,
                columns.SAMPLE: int(samples[row]),
            }
            for row in kept
        ]
    if not parts:
        raise InputError(f"{file.path}: no epoch fits into the recording; check --window and --baseline.")
    return rows, np.concatenate(parts)


def _chosen_repeats(recording: Recording, split: str) -> NDArray[np.int64]:
    """Rows of the events to use, picture by picture; at most so many repeats of each, by the dataset's shuffle."""
    chosen = choose_repeats(recording.events[NAME].tolist(), REPEATS_PER_SESSION[split])
    return np.sort(np.concatenate(chosen))


def _invert(covariance: NDArray[np.float64], path: Path) -> NDArray[np.float64]:
    try:
        return whitening_matrix(covariance)
    except ValueError as error:
        raise InputError(f"{path}: {error}: leave out channels that repeat others with --channels.") from None


def _write_pictures(writer: StoreWriter, images: Path, metadata: ImageMetadata) -> None:
    shown = {image_id for image_id, _, _ in writer.targets()}
    captions = read_json(images / CAPTIONS_FILE) if (images / CAPTIONS_FILE).is_file() else {}
    for split in (columns.TRAIN, columns.TEST):
        for code in progress(range(1, metadata.size(split) + 1), desc=f"{split} pictures", unit="picture"):
            if metadata.image_id(split, code) in shown:
                path = things_eeg2.picture_path(images, metadata, split, code)
                open_picture(path)
                image_id, concept = metadata.image_id(split, code), metadata.concept(split, code)
                writer.add_picture(image_id, concept, split, path, captions.get(image_id, ""))
