"""`neuroclip prepare god`: Generic Object Decoding into a trial store, from its own files or from BraVL's release."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.bdata import BData, open_bdata
from neuroclip_hf.data.god import FACTS, ROI_PREFIX
from neuroclip_hf.data.simulated import SIMULATED_DESCRIPTION, is_simulated
from neuroclip_hf.data.sources.bravl import bravl_subjects, is_bravl, read_bravl
from neuroclip_hf.data.sources.god_pictures import GodPictures, find_pictures
from neuroclip_hf.data.sources.patterns import Blocks, SubjectPatterns, TrialRow, pattern_info, write_patterns
from neuroclip_hf.data.store_channels import SubjectChannels
from neuroclip_hf.data.store_layout import STORE_FILE
from neuroclip_hf.data.subject_names import subject_folder, subject_number
from neuroclip_hf.data.voxels import VoxelStatistics, refuse_empty, usable_voxels
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import refuse_existing, sha256
from neuroclip_hf.logging import get_logger, progress

_FILE = re.compile(r"Subject(\d+)\.h5")
_SPLITS = {FACTS.training: columns.TRAIN, FACTS.perception: columns.TEST, FACTS.imagery: columns.IMAGERY}


def prepare_god(
    source: str | Path,
    out: str | Path,
    *,
    subjects: Sequence[int | str] = (),
    rois: Sequence[str] = (),
    images: str | Path | None = None,
    captions: str | Path | None = None,
    category_names: str | Path | None = None,
    drop_bad_voxels: bool = False,
    overwrite: bool = False,
) -> Path:
    """Make a trial store from Generic Object Decoding (Horikawa and Kamitani, Nature Communications 2017).

    A subject's file is gone through twice, a block of trials at a time: for means and deviations of the training
    trials, by which each voxel is stored, and for the trials themselves. All trials are single ones. What is imagined
    becomes the split "imagery", with the test picture of its category.

    Choices of ours: `session` is 1, 2, 3 for training, perception and imagery, since runs of each are counted from 1
    in some files; `sample` is the trial's row in its file; a concept is the category in words, where a file of them is
    at hand. The trials are not z-scored within runs or otherwise: a processor does that with training statistics.

    Args:
        source (path): folder of `Subject1.h5` and so on, or of BraVL's release (see [`neuroclip_hf.data.bravl`]).
        out (path): the store.
        subjects (sequence of `int`): numbers of subjects; all by default.
        rois (sequence of `str`): areas or regions whose voxels are kept, those in several once; all voxels by default.
            Of BraVL's release, the folder of its features.
        images (path, *optional*): folder with `training` and `test` and the dataset's tables; `source/images` by
            default. The authors share the pictures only on request.
        captions (path, *optional*): JSON or CSV of texts by image id or file name.
        category_names (path, *optional*): JSON or CSV of words by WordNet id.
        drop_bad_voxels (`bool`): leave out voxels that never change in training or hold NaN, with a warning in
            store.json, rather than refuse them.
        overwrite (`bool`): replace an existing store.

    Raises:
        InputError: naming file, value and remedy, before anything is written.
    """
    source, out = Path(source), Path(out)
    refuse_existing(out, overwrite, STORE_FILE)
    if not source.is_dir():
        raise InputError(f"{source} is not a folder: name the one that holds Subject1.h5 and so on.")
    given = [None if one is None else Path(one) for one in (images, captions, category_names)]
    pictures = find_pictures(source, *given)
    name, unit = ("bravl", "sd") if is_bravl(source) else ("god", "au")
    read = _read_all(source, subjects, rois, pictures, drop_bad_voxels)
    shown = pictures.shown(set().union(*(one.image_ids() for one in read)))
    warnings = pictures.warnings(shown)
    for warning in [*warnings, *(said for one in read for said in one.warnings)]:
        get_logger().warning("%s", warning)
    info = pattern_info(
        name,
        read,
        protocol=columns.NEW_CONCEPTS,
        settings={"rois": list(rois), "drop_bad_voxels": drop_bad_voxels},
        unit=unit,
        warnings=warnings,
    )
    write_patterns(out, info, read, shown, overwrite)
    return out


def find_subjects(source: Path, features: Sequence[str] = ()) -> dict[int, Path]:
    """Where the trials of every subject lie, by number: files of the dataset, or folders of BraVL's release.

    Args:
        source (`Path`): the folder.
        features (sequence of `str`): of BraVL's release, which of its features.

    Raises:
        InputError: if there are none.
    """
    if is_bravl(source):
        return bravl_subjects(source, features)
    found = {int(match[1]): path for path in source.glob("*.h5") if (match := _FILE.fullmatch(path.name))}
    if not found:
        raise InputError(f"{source} holds no Subject1.h5, Subject2.h5, ...: name the folder that does.")
    return dict(sorted(found.items()))


def _read_all(
    source: Path, subjects: Sequence[int | str], rois: Sequence[str], pictures: GodPictures, drop: bool
) -> list[SubjectPatterns]:
    found = find_subjects(source, rois)
    numbers = [subject_number(str(name)) for name in subjects]
    for name, number in zip(subjects, numbers, strict=True):
        if number not in found:
            raise InputError(f"{source} holds no subject {name}; it holds {', '.join(map(str, sorted(found)))}.")
    chosen = {number: path for number, path in found.items() if not numbers or number in numbers}
    return [
        read_bravl(subject_folder(number), path, pictures)
        if is_bravl(source)
        else read_subject(path, subject_folder(number), rois, pictures, drop)
        for number, path in progress(chosen.items(), desc="looking at subjects", unit="subject")
    ]


def read_subject(
    path: Path, subject: str, rois: Sequence[str], pictures: GodPictures, drop: bool = False
) -> SubjectPatterns:
    """Look through one subject's file.

    Args:
        path (`Path`): "Subject1.h5".
        subject (`str`): what a store calls it: "sub-01".
        rois (sequence of `str`): whose voxels are kept; all by default.
        pictures ([`GodPictures`]): which ids there are.
        drop (`bool`): leave out voxels without a signal.

    Raises:
        InputError: if the file is damaged, another thing, lacks a region or a column, names pictures that are none, or
            has voxels without a signal.
    """
    with open_bdata(path) as file:
        trials = _trials(file, pictures)
        wanted = _voxels(file, rois)
        numbers = np.flatnonzero(wanted[file.marked(FACTS.voxel_columns)])
        names = [f"{subject}_voxel_{number:04d}" for number in numbers]
        statistics = VoxelStatistics(len(names))
        training = np.array([trial.split == columns.TRAIN for trial in trials])
        for start, values in file.blocks(wanted):
            statistics.add(values, training[start : start + len(values)])
        usable = usable_voxels(
            statistics, names, str(path), drop, f"ask for other --rois than {', '.join(rois)}" if rois else ""
        )
        regions = _regions(file, wanted)
        every = SubjectChannels(names, statistics.deviation, statistics.mean, regions, _coordinates(file, wanted))
        refuse_empty(regions, rois, usable, str(path))
        header = file.header.get("description", "")
    kept = wanted.copy()
    kept[wanted] = usable.mask

    def blocks() -> Blocks:
        with open_bdata(path) as opened:
            yield from opened.blocks(kept)

    simulated = header == SIMULATED_DESCRIPTION or is_simulated(path)
    sources = {path.name: sha256(path)}
    return SubjectPatterns(subject, path, every.pick(usable.mask), trials, blocks, sources, simulated, usable.warnings)


def _trials(file: BData, pictures: GodPictures) -> list[TrialRow]:
    kinds, runs = _whole(file, "DataType"), _whole(file, "Run")
    unknown = sorted(set(kinds.tolist()) - set(_SPLITS))
    if unknown or FACTS.training not in kinds:
        known = ", ".join(f"{kind} ({split})" for kind, split in _SPLITS.items())
        what = f"holds {unknown[0]}" if unknown else "has no training trial"
        raise InputError(f"{file.path}: DataType {what}; it may be {known}, and training is needed.")
    return [
        TrialRow(_SPLITS[kind], image_id, kind, run, file.path.name, row)
        for row, (kind, run, image_id) in enumerate(
            zip(kinds.tolist(), runs.tolist(), _image_ids(file, kinds, pictures), strict=True)
        )
    ]


def _image_ids(file: BData, kinds: NDArray[np.int64], pictures: GodPictures) -> list[str]:
    stimuli = file.column("stimulus_id" if "stimulus_id" in file.metadata else "Label").tolist()
    indices = file.column("image_index").tolist() if "image_index" in file.metadata else [None] * file.rows
    found = {}
    try:
        for row in np.flatnonzero(kinds != FACTS.imagery).tolist():
            found[row] = pictures.image_id(_SPLITS[int(kinds[row])], stimuli[row], indices[row])
        tested = {image_id for row, image_id in found.items() if kinds[row] == FACTS.perception}
        for row in np.flatnonzero(kinds == FACTS.imagery).tolist():
            found[row] = pictures.imagined(stimuli[row], tested)
    except InputError as error:
        raise InputError(f"{file.path}, row {row}: {error}") from None
    _refuse_other_labels(file, stimuli, kinds != FACTS.imagery)
    return [found[row] for row in range(file.rows)]


def _refuse_other_labels(file: BData, stimuli: list[float], seen: NDArray[np.bool_]) -> None:
    """Refuse rows whose label is another stimulus id than theirs: nobody could tell which of them was shown.

    What was imagined has no picture of its own. Labels that are the id in fewer than half of the rows are of another
    kind, as numbers of categories, and say nothing (ours).
    """
    if not {"stimulus_id", "Label"} <= set(file.metadata):
        return
    labels = file.column("Label")
    other = np.flatnonzero(seen & (np.rint(1e6 * labels) != np.rint(1e6 * np.array(stimuli))))
    if 0 < len(other) <= seen.sum() / 2:
        row = int(other[0])
        raise InputError(
            f"{file.path}, row {row}: Label is {labels[row]:.6f} and stimulus_id {stimuli[row]:.6f}; they differ in "
            f"{len(other)} of {seen.sum()} rows: download the file again, or correct it."
        )


def _whole(file: BData, key: str) -> NDArray[np.int64]:
    values = file.column(key)
    wrong = np.flatnonzero(~(np.isfinite(values) & (values == np.rint(values))))
    if len(wrong):
        raise InputError(f"{file.path}, row {wrong[0]}: {key} is {values[wrong[0]]}: it must be a whole number.")
    return values.astype(np.int64)


def _voxels(file: BData, rois: Sequence[str]) -> NDArray[np.bool_]:
    """Columns of the matrix that are voxels, and lie in one of some regions."""
    voxels = file.marked(FACTS.voxel_columns)
    known = _regions(file, voxels)
    unknown = [name for name in rois if name not in known]
    if unknown:
        raise InputError(f"{file.path} has no ROI {unknown[0]!r}: it has {', '.join(known) or 'none'}.")
    inside = voxels & np.any([file.marked(f"{ROI_PREFIX}{name}") for name in rois], axis=0) if rois else voxels
    if not inside.any():
        raise InputError(f"{file.path}: no column of the matrix is a voxel: the file is not complete.")
    return np.asarray(inside)


def _regions(file: BData, columns_of: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Region -> which of some columns lie in it; regions without any are left out."""
    masks = {
        key.removeprefix(ROI_PREFIX): file.marked(key)[columns_of]
        for key in file.metadata
        if key.startswith(ROI_PREFIX)
    }
    return {name: mask for name, mask in masks.items() if mask.any()}


def _coordinates(file: BData, columns_of: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    if not all(key in file.metadata for key in FACTS.coordinate_rows):
        return None
    return np.stack([file.metadata[key][columns_of] for key in FACTS.coordinate_rows], axis=1)
