"""`neuroclip prepare arrays`: epochs or voxel patterns that somebody already has, with their pictures."""

import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neuroclip_hf import columns
from neuroclip_hf.data.pictures import open_picture
from neuroclip_hf.data.store_info import StoreInfo
from neuroclip_hf.data.store_layout import STORE_FILE
from neuroclip_hf.data.store_writer import StoreWriter, new_store
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import refuse_existing, sha256

_VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "\u00b5V": 1e-6, "\u03bcV": 1e-6}  # micro sign, and Greek mu
_TESLAS = {"T": 1.0, "fT": 1e-15}
UNITS = ("V", "mV", "uV", *_TESLAS, "sd", "au")
KEYS = (
    "brain",
    "images",
    "image_files",
    "image_id",
    "concept",
    "caption",
    "split",
    "subject",
    "channel_names",
    "sampling_rate",
    "unit",
)


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
    channels: list[str]
    sampling_rate: float | None
    unit: str


def prepare_arrays(
    path: str | Path,
    out: str | Path,
    *,
    protocol: str = columns.NEW_CONCEPTS,
    window_start: float = 0.0,
    simulated: bool = False,
    overwrite: bool = False,
) -> Path:
    """Make a trial store from one .npz file.

    Its arrays: `brain` (trials, channels, samples) or (trials, voxels); `images` (n, H, W) or (n, H, W, 3) uint8, or
    `image_files` (n,) paths relative to the file; `image_id` (trials,) rows of those. Optional: `concept` (n,),
    `caption` (n,), `split` (trials,) of train/validation/test (without it every trial trains), `subject` (trials,) or
    one name, `channel_names` (channels,), `sampling_rate` in Hz (needed for samples), `unit`: V, mV, uV, T, fT, sd
    (whitened) or au (anything else; the default, kept standardised by training mean and sd).

    Args:
        path (path): the .npz; object arrays (pickles) are refused.
        out (path): the store.
        protocol (`str`): what training and test may share.
        window_start (`float`): seconds from onset to the first sample.
        simulated (`bool`): the trials were made up; every report will say so.
        overwrite (`bool`): replace an existing store.

    Raises:
        InputError: naming the array, its shape or value, and the remedy; nothing is left under `out`.
    """
    refuse_existing(out, overwrite, STORE_FILE)
    arrays = _read(Path(path))
    info = _store_info(arrays, protocol, window_start, simulated)
    with new_store(out, info, overwrite) as writer:
        _write_trials(writer, arrays, info)
        _write_pictures(writer, arrays)
    return Path(out)


def _read(path: Path) -> _Arrays:
    values = _load(path)
    brain = _need(values, "brain", path)
    if brain.ndim not in (2, 3) or brain.dtype.kind not in "fiu" or 0 in brain.shape:
        raise InputError(
            f"{path}: brain has shape {brain.shape} and type {brain.dtype}: it must be numbers of shape (trials, "
            "channels, samples) or (trials, voxels)."
        )
    if not np.isfinite(brain).all():
        trial = int(np.argwhere(~np.isfinite(brain))[0][0])
        raise InputError(f"{path}: brain holds NaN or infinite values (first in trial {trial}): leave those out.")
    _refuse_constant(brain, path)
    pictures, names = _pictures(values, path)
    image_row = _need(values, "image_id", path)
    if image_row.dtype.kind not in "iu" or image_row.shape != (len(brain),):
        raise InputError(
            f"{path}: image_id must be whole numbers of shape ({len(brain)},), not {image_row.dtype} of shape "
            f"{image_row.shape}."
        )
    if image_row.size and not 0 <= image_row.min() <= image_row.max() < len(pictures):
        worst = image_row.max() if image_row.max() >= len(pictures) else image_row.min()
        raise InputError(f"{path}: image_id {worst} is no row of the {len(pictures)} pictures (rows count from 0).")
    rate = _rate(values, brain, path)
    return _Arrays(
        path=path,
        brain=brain,
        image_row=image_row.astype(np.int64),
        pictures=pictures,
        picture_names=names,
        concept=_texts(values, "concept", len(pictures), path, default=names),
        caption=_texts(values, "caption", len(pictures), path, default=[""] * len(pictures)),
        split=_splits(values, len(brain), path),
        subject=np.array(_texts(values, "subject", len(brain), path, default=["sub-01"] * len(brain))),
        channels=_channels(values, brain, path),
        sampling_rate=rate,
        unit=_unit(values, path),
    )


def _refuse_constant(brain: NDArray[np.floating], path: Path) -> None:
    flat = np.flatnonzero(np.ptp(brain, axis=(0, 2) if brain.ndim == 3 else 0) == 0)
    if flat.size and len(brain) > 1:
        raise InputError(
            f"{path}: {flat.size} channels or voxels of brain never change (first: number {flat[0]}): leave them out."
        )


def _load(path: Path) -> dict[str, NDArray[Any]]:
    if path.suffix != ".npz":
        raise InputError(f"{path} is not an .npz file: save the arrays with numpy.savez.")
    try:
        with np.load(path, allow_pickle=False) as file:
            values = {name: file[name] for name in file.files if name in KEYS}
            unknown = [name for name in file.files if name not in KEYS]
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: correct the path.") from None
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(
            f"{path} cannot be read ({error}): save plain arrays with numpy.savez (texts as numpy string arrays, not "
            "objects)."
        ) from None
    if unknown:
        raise InputError(f"{path} holds the unknown array {unknown[0]!r}: the names are {', '.join(KEYS)}.")
    return values


def _need(values: dict[str, NDArray[Any]], name: str, path: Path) -> NDArray[Any]:
    if name not in values:
        raise InputError(f"{path} lacks the array {name!r}: it holds {', '.join(values) or 'nothing'}.")
    return values[name]


def _pictures(values: dict[str, NDArray[Any]], path: Path) -> tuple[list[Path | Image.Image], list[str]]:
    if ("images" in values) == ("image_files" in values):
        raise InputError(f"{path} must hold either images or image_files.")
    if not next(values[name] for name in ("images", "image_files") if name in values).size:
        raise InputError(f"{path}: images or image_files is empty: give the pictures that image_id counts.")
    if "image_files" in values:
        listed = _texts(values, "image_files", values["image_files"].size, path, default=[])
        given = [PurePosixPath(name.replace("\\", "/")) for name in listed]
        for name in given:
            open_picture(path.parent / name)
        names = [str(name) if _inside(name) else name.name for name in given]
        twice, count = Counter(names).most_common(1)[0]
        if count > 1:
            raise InputError(f"{path}: {twice!r} occurs twice in image_files: list each picture once, under a name.")
        return [path.parent / name for name in given], names
    images = values["images"]
    if images.dtype != np.uint8 or not (images.ndim == 3 or (images.ndim == 4 and images.shape[-1] == 3)):
        raise InputError(
            f"{path}: images has shape {images.shape} and type {images.dtype}: it must be uint8 of shape (n, H, W) or "
            "(n, H, W, 3)."
        )
    width = max(5, len(str(len(images) - 1)))
    return [Image.fromarray(image) for image in images], [f"{row:0{width}d}" for row in range(len(images))]


def _inside(name: PurePosixPath) -> bool:
    return not Path(name).is_absolute() and ".." not in name.parts


def _texts(values: dict[str, NDArray[Any]], name: str, count: int, path: Path, default: list[str]) -> list[str]:
    if name not in values:
        return default
    array = values[name]
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.ndim == 0:
        return [str(array)] * count
    if array.shape != (count,):
        raise InputError(f"{path}: {name} has shape {array.shape}: it must have {count} entries.")
    return [str(text) for text in array]


def _splits(values: dict[str, NDArray[Any]], count: int, path: Path) -> NDArray[np.str_]:
    splits = np.array(_texts(values, "split", count, path, default=[columns.TRAIN] * count))
    unknown = sorted(set(splits.tolist()) - set(columns.SPLITS))
    if unknown:
        raise InputError(f"{path}: split holds {unknown[0]!r}: the splits are {', '.join(columns.SPLITS)}.")
    return splits


def _channels(values: dict[str, NDArray[Any]], brain: NDArray[Any], path: Path) -> list[str]:
    width = len(str(brain.shape[1] - 1))
    default = [f"{'channel' if brain.ndim == 3 else 'voxel'}_{row:0{width}d}" for row in range(brain.shape[1])]
    names = _texts(values, "channel_names", brain.shape[1], path, default)
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
    unit = _texts(values, "unit", 1, path, default=["au"])[0]
    if unit not in (*_VOLTS, *UNITS):
        raise InputError(f"{path}: unit is {unit!r}: choose one of {', '.join(UNITS)}.")
    return unit


def _store_info(arrays: _Arrays, protocol: str, window_start: float, simulated: bool) -> StoreInfo:
    train = arrays.brain[arrays.split == columns.TRAIN]
    count = len(arrays.channels)
    unit, scale, offset = arrays.unit, [1.0] * count, [0.0] * count
    if unit in _VOLTS:
        unit, scale = "V", [1e-6] * count
    elif unit in _TESLAS:
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
    )


def _write_trials(writer: StoreWriter, arrays: _Arrays, info: StoreInfo) -> None:
    factor = {**_VOLTS, **_TESLAS}.get(arrays.unit, 1.0)
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
                    columns.RUN: 1,
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
        seen = {columns.TEST if split == columns.TEST else columns.TRAIN for split in splits}
        gallery = columns.BOTH if len(seen) == 2 else seen.pop()
        writer.add_picture(name, arrays.concept[row], gallery, picture, arrays.caption[row])
