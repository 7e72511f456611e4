"""`neuroclip prepare arrays`: epochs or voxel patterns that somebody already has, with their pictures."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neuroclip_hf import columns
from neuroclip_hf.data.sources.array_file import load_values, need_array, pictures_of, texts_of, without_pictures
from neuroclip_hf.data.sources.array_names import NAMES_FOR_PICTURES
from neuroclip_hf.data.sources.array_reading import ArrayReading, read_as_asked
from neuroclip_hf.data.sources.array_voxels import refuse_constant, rois_of, usable_channels
from neuroclip_hf.data.store_channels import channels_of_info
from neuroclip_hf.data.store_info import StoreInfo
from neuroclip_hf.data.store_layout import STORE_FILE
from neuroclip_hf.data.store_writer import StoreWriter, new_store
from neuroclip_hf.data.units import TESLAS, UNITS, VOLTS
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import refuse_existing, sha256
from neuroclip_hf.logging import get_logger


@dataclass(frozen=True)
class _Arrays:
    """What an .npz holds, checked: `brain` in `unit`, targets, pictures."""

    path: Path
    brain: NDArray[np.floating]
    image_row: NDArray[np.int64]
    pictures: list[Path | Image.Image]
    picture_names: list[str]
    concept: list[str]
    caption: list[str]
    split: NDArray[np.str_]
    subject: NDArray[np.str_]
    run: NDArray[np.int64]
    channels: list[str]
    sampling_rate: float | None
    unit: str
    rois: dict[str, NDArray[np.bool_]]
    warnings: list[str]


def prepare_arrays(
    path: str | Path,
    out: str | Path,
    *,
    protocol: str = columns.NEW_CONCEPTS,
    reading: ArrayReading | None = None,
    window_start: float = 0.0,
    drop_bad_voxels: bool = False,
    simulated: bool = False,
    overwrite: bool = False,
) -> Path:
    """Make a trial store from one .npz file.

    Its arrays: `brain` (trials, channels, samples) or (trials, voxels); `images` (n, H, W) or (n, H, W, 3) uint8, or
    `image_files` (n,) paths relative to the file; `image_id` (trials,) rows of those. Optional: `concept` (n,),
    `caption` (n,), `split` (trials,) of train/validation/test/imagery (without it every trial trains), `subject`
    (trials,) or one name, `run` (trials,) whole numbers (1 for all; where test trials alone are new, validation and
    the choice of penalties hold whole runs out), `channel_names` (channels,), `sampling_rate` in Hz (needed for
    samples), `unit`: V, mV, uV, T, fT, sd (whitened) or au (anything else; the default, kept standardised by training
    mean and sd). For voxels also `rois` (R,) names of regions of interest and `roi_masks` (R, voxels) bools, which may
    overlap.

    A row a trial will do too: `images` or `image_files` (trials,) without `image_id`, where equal ones are one
    picture; `label` (trials,), the concept of each trial, in place of `concept`; `gram` (..., trials, trials), the
    products of all pairs of patterns, in place of `brain`. Images of 0 and 1 are black and white.

    Where pictures are not at hand, leave them out: `image_id` then counts the names in `concept`, each of which is
    written on a card that stands for it (ours), with a warning.

    Args:
        path (path): the .npz; object arrays (pickles) are refused.
        out (path): the store.
        protocol (`str`): what training and test may share.
        reading (`ArrayReading`, *optional*): other names of arrays, trials to leave out, what tests, scaling by run.
        window_start (`float`): seconds from onset to the first sample.
        drop_bad_voxels (`bool`): leave out voxels that hold NaN or never change in training, with a warning, rather
            than refuse them.
        simulated (`bool`): the trials were made up; every report will say so.
        overwrite (`bool`): replace an existing store.

    Raises:
        InputError: naming the array, its shape or value, and the remedy; nothing is left under `out`.
    """
    refuse_existing(out, overwrite, STORE_FILE)
    reading = reading or ArrayReading()
    arrays = _read(Path(path), reading, protocol, drop_bad_voxels)
    info = _store_info(arrays, protocol, window_start, simulated)
    info = replace(info, settings={**info.settings, **reading.to_dict()})
    listed = channels_of_info(info)
    if arrays.rois:
        info = replace(info, channels=[], scale=[], offset=[])
    for warning in arrays.warnings:
        get_logger().warning("%s", warning)
    with new_store(out, info, overwrite) as writer:
        for subject in dict.fromkeys(arrays.subject) if arrays.rois else ():
            writer.add_channels(str(subject), replace(listed, rois=arrays.rois))
        _write_trials(writer, arrays, info)
        _write_pictures(writer, arrays)
    return Path(out)


def _read(path: Path, reading: ArrayReading, protocol: str, drop_bad_voxels: bool) -> _Arrays:
    values, hints = read_as_asked(load_values(path, reading.names), reading, protocol, path)
    brain = _brain(values, path)
    split = _splits(values, len(brain), path)
    pictures, names = pictures_of(values, path)
    image_row = _image_rows(values, len(brain), len(pictures), path)
    rate = _rate(values, brain, path)
    channels, rois = _channels(values, brain, path), rois_of(values, brain, path)
    usable = usable_channels(brain, split, channels, path, drop_bad_voxels)
    kept, warnings = usable.mask, [*hints, *usable.warnings]
    if not kept.all():
        brain, channels = brain[:, kept], [name for name, keep in zip(channels, kept, strict=True) if keep]
        rois = {name: mask[kept] for name, mask in rois.items()}
    if without_pictures(values):
        warnings.append(NAMES_FOR_PICTURES)
    empty = [name for name, mask in rois.items() if not mask.any()]
    if empty:
        raise InputError(f"{path}: roi {empty[0]} has no voxel that changes in training: leave it out.")
    return _Arrays(
        path=path,
        brain=brain,
        image_row=image_row,
        pictures=pictures,
        picture_names=names,
        concept=texts_of(values, "concept", len(pictures), path, default=names),
        caption=texts_of(values, "caption", len(pictures), path, default=[""] * len(pictures)),
        split=split,
        subject=np.array(texts_of(values, "subject", len(brain), path, default=["sub-01"] * len(brain))),
        run=_runs(values, len(brain), path),
        channels=channels,
        sampling_rate=rate,
        unit=_unit(values, path),
        rois=rois,
        warnings=warnings,
    )


def _brain(values: dict[str, NDArray[Any]], path: Path) -> NDArray[np.floating]:
    brain = need_array(values, "brain", path)
    if brain.ndim not in (2, 3) or brain.dtype.kind not in "fiu" or 0 in brain.shape:
        raise InputError(
            f"{path}: brain has shape {brain.shape} and type {brain.dtype}: it must be numbers of shape (trials, "
            "channels, samples) or (trials, voxels)."
        )
    if brain.ndim == 3 and not np.isfinite(brain).all():
        trial = int(np.argwhere(~np.isfinite(brain))[0][0])
        raise InputError(f"{path}: brain holds NaN or infinite values (first in trial {trial}): leave those out.")
    if brain.ndim == 3:
        refuse_constant(brain, path)
    return brain


def _image_rows(values: dict[str, NDArray[Any]], trials: int, pictures: int, path: Path) -> NDArray[np.int64]:
    image_row = need_array(values, "image_id", path)
    if image_row.dtype.kind not in "iu" or image_row.shape != (trials,):
        raise InputError(
            f"{path}: image_id must be whole numbers of shape ({trials},), not {image_row.dtype} of shape "
            f"{image_row.shape}."
        )
    if image_row.size and not 0 <= image_row.min() <= image_row.max() < pictures:
        worst = image_row.max() if image_row.max() >= pictures else image_row.min()
        raise InputError(f"{path}: image_id {worst} is no row of the {pictures} pictures (rows count from 0).")
    return image_row.astype(np.int64)


def _splits(values: dict[str, NDArray[Any]], count: int, path: Path) -> NDArray[np.str_]:
    splits = np.array(texts_of(values, "split", count, path, default=[columns.TRAIN] * count))
    unknown = sorted(set(splits.tolist()) - set(columns.SPLITS))
    if unknown:
        raise InputError(f"{path}: split holds {unknown[0]!r}: the splits are {', '.join(columns.SPLITS)}.")
    return splits


def _runs(values: dict[str, NDArray[Any]], trials: int, path: Path) -> NDArray[np.int64]:
    runs = values.get("run", np.ones(trials, dtype=np.int64))
    if runs.dtype.kind not in "iu" or runs.shape != (trials,):
        raise InputError(
            f"{path}: run must be whole numbers of shape ({trials},), not {runs.dtype} of shape {runs.shape}."
        )
    return runs.astype(np.int64)


def _channels(values: dict[str, NDArray[Any]], brain: NDArray[Any], path: Path) -> list[str]:
    width = len(str(brain.shape[1] - 1))
    default = [f"{'channel' if brain.ndim == 3 else 'voxel'}_{row:0{width}d}" for row in range(brain.shape[1])]
    names = texts_of(values, "channel_names", brain.shape[1], path, default)
    if len(set(names)) != len(names):
        raise InputError(f"{path}: a name occurs twice in channel_names.")
    return names


def _rate(values: dict[str, NDArray[Any]], brain: NDArray[Any], path: Path) -> float | None:
    if brain.ndim == 2:
        return None
    if "sampling_rate" not in values:
        raise InputError(f"{path} lacks sampling_rate (Hz), which trials of shape (trials, channels, samples) need.")
    given = values["sampling_rate"]
    rate = float(given.item()) if given.size == 1 and given.dtype.kind in "fiu" else np.nan
    if not 0 < rate < np.inf:
        raise InputError(f"{path}: sampling_rate is {given.tolist()!r}: it must be one number above zero, in Hz.")
    return rate


def _unit(values: dict[str, NDArray[Any]], path: Path) -> str:
    unit = texts_of(values, "unit", 1, path, default=["au"])[0]
    if unit not in {*VOLTS, *UNITS}:
        raise InputError(f"{path}: unit is {unit!r}: choose one of {', '.join(UNITS)}.")
    return unit


def _store_info(arrays: _Arrays, protocol: str, window_start: float, simulated: bool) -> StoreInfo:
    train = arrays.brain[arrays.split == columns.TRAIN]
    count = len(arrays.channels)
    unit, scale, offset = arrays.unit, [1.0] * count, [0.0] * count
    if unit in VOLTS:
        unit, scale = "V", [1e-6] * count
    elif unit in TESLAS:
        unit, scale = "T", [1e-15] * count
    elif unit == "au" and len(train):
        axes = (0, 2) if train.ndim == 3 else 0
        spread = train.std(axis=axes, dtype=np.float64)
        scale = np.where(spread > 0, spread, 1.0).tolist()
        offset = train.mean(axis=axes, dtype=np.float64).tolist()
    modality = "fmri" if arrays.brain.ndim == 2 else "meg" if unit == "T" else "eeg"
    return StoreInfo(
        modality=modality,
        channels=arrays.channels,
        unit=unit,
        scale=scale,
        offset=offset,
        sampling_rate=arrays.sampling_rate,
        window_start=window_start,
        num_timesteps=arrays.brain.shape[2] if arrays.brain.ndim == 3 else None,
        protocol=protocol,
        target=columns.IMAGE_TARGET,
        data=columns.SIMULATED if simulated else columns.RECORDED,
        source="arrays",
        settings={"unit": arrays.unit, "protocol": protocol},
        sources={arrays.path.name: sha256(arrays.path)},
        warnings=arrays.warnings,
    )


def _write_trials(writer: StoreWriter, arrays: _Arrays, info: StoreInfo) -> None:
    factor = {**VOLTS, **TESLAS}.get(arrays.unit, 1.0)
    for subject in dict.fromkeys(arrays.subject):
        for split in columns.SPLITS:
            rows = np.flatnonzero((arrays.subject == subject) & (arrays.split == split))
            if not rows.size:
                continue
            table = [
                {
                    columns.IMAGE_ID: arrays.picture_names[arrays.image_row[row]],
                    columns.CONCEPT: arrays.concept[arrays.image_row[row]],
                    columns.SESSION: 1,
                    columns.RUN: int(arrays.run[row]),
                    columns.FILE: arrays.path.name,
                    columns.SAMPLE: int(row),
                }
                for row in rows
            ]
            writer.add_trials(str(subject), split, arrays.brain[rows] * factor, table, str(arrays.path))


def _write_pictures(writer: StoreWriter, arrays: _Arrays) -> None:
    for row, (name, picture) in enumerate(zip(arrays.picture_names, arrays.pictures, strict=True)):
        splits = set(arrays.split[arrays.image_row == row])
        if not splits:
            continue
        seen = {columns.GALLERY_OF[split] for split in splits}
        gallery = columns.BOTH if len(seen) == 2 else seen.pop()
        writer.add_picture(name, arrays.concept[row], gallery, picture, arrays.caption[row])
