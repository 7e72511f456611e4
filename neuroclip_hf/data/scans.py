"""NIfTI images: scans, masks and atlases on one grid, looked at before they are read."""

import warnings
import zlib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.errors import InputError

_MOST_COMPRESSED = 1100  # times: zlib cannot do better than 1032
_SAME_PLACE = 1e-3  # millimetres by which entries of two affines may differ
_TO_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}


def require_nilearn(part: str = "nilearn") -> Any:
    """The library nilearn, or a part of it.

    Args:
        part (`str`): a module, as in "nilearn.image".

    Raises:
        InputError: if it is not installed.
    """
    try:
        return import_module(part)
    except ImportError:
        raise InputError(
            "scans in NIfTI need nilearn, which is not installed: run pip install 'neuroclip-hf[fmri]'."
        ) from None


def open_scan(path: Path, dimensions: int) -> Any:
    """Open a NIfTI image, without reading its values.

    Args:
        path (`Path`): the file.
        dimensions (`int`): how many it must have: 4 for a run, 3 for a mask.

    Raises:
        InputError: if it is missing, another thing, of other dimensions, or declares more than it holds.
    """
    require_nilearn()
    nibabel = import_module("nibabel")
    if not path.is_file():
        raise InputError(f"{path} does not exist: correct the path.")
    try:
        image = nibabel.load(path)
    except (nibabel.filebasedimages.ImageFileError, OSError, ValueError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be opened as NIfTI ({error}): name another file.") from None
    shape = image.shape
    if len(shape) != dimensions or 0 in shape:
        raise InputError(f"{path} has shape {shape}: {dimensions} dimensions are needed.")
    declared = float(np.prod(shape, dtype=float)) * image.get_data_dtype().itemsize
    held = path.stat().st_size * (_MOST_COMPRESSED if path.suffix == ".gz" else 1)
    if declared > held:
        raise InputError(
            f"{path} declares {declared:,.0f} bytes of shape {shape}, more than it can hold: it is not complete; copy "
            "it again."
        )
    return image


def read_mask(path: Path) -> Any:
    """A mask of ones and zeros.

    Raises:
        InputError: as [`open_scan`], and if nothing or something else is in it.
    """
    image = open_scan(path, 3)
    values = _values(path, image)
    if not set(np.unique(values)) <= {0, 1} or not values.any():
        raise InputError(f"{path} is no mask: it must hold ones inside and zeros outside, and some ones.")
    return new_image(values.astype(np.uint8), image)


def compute_mask(paths: Sequence[Path]) -> Any:
    """The brain in some runs of a subject, by nilearn's `compute_multi_epi_mask`.

    Raises:
        InputError: if no brain is found.
    """
    masking = require_nilearn("nilearn.masking")
    for path in paths:
        open_scan(path, 4)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", masking.MaskWarning)  # an empty mask is refused below, in words of ours
            image = masking.compute_multi_epi_mask([str(path) for path in paths])
    except (masking.MaskWarning, ValueError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"no brain is found in {paths[0]} ({error}): give a mask with --mask.") from None
    if not np.asarray(image.dataobj).any():
        raise InputError(f"no brain is found in {paths[0]}: give a mask with --mask.")
    return image


def open_run(path: Path, mask: Any) -> Any:
    """Open a run, without reading its values.

    Raises:
        InputError: as [`open_scan`], and if run and mask are not on one grid.
    """
    image = open_scan(path, 4)
    if image.shape[:3] != mask.shape or not np.allclose(image.affine, mask.affine, atol=_SAME_PLACE):
        what = (
            f"{image.shape[:3]} and {mask.shape} voxels" if image.shape[:3] != mask.shape else "other affine matrices"
        )
        raise InputError(
            f"{path} and its mask are not on one grid ({what}): resample one to the other, as in "
            "nilearn.image.resample_to_img."
        )
    return image


def read_voxels(path: Path, mask: Any) -> NDArray[np.float32]:
    """The volumes of a run: (volumes, voxels of the mask), NaN kept.

    Raises:
        InputError: as [`open_run`], and if the file is damaged.
    """
    values = _values(path, open_run(path, mask))
    return np.ascontiguousarray(values[np.asarray(mask.dataobj).astype(bool)].T, dtype=np.float32)


def repetition_time(path: Path, given: float | None = None) -> float:
    """Seconds from one volume of a run to the next.

    Args:
        path (`Path`): the run.
        given (`float`, *optional*): what the user says; goes before the header.

    Raises:
        InputError: if neither says it.
    """
    if given is not None:
        return given
    header = open_scan(path, 4).header
    found = float(header.get_zooms()[3]) * _TO_SECONDS.get(header.get_xyzt_units()[1], np.nan)
    if not 0 < found < np.inf:
        raise InputError(f"{path}: the header does not say the repetition time: give it with --tr, in seconds.")
    return round(found, 6)


def read_regions(path: Path, names: dict[int, str], mask: Any) -> dict[str, NDArray[np.bool_]]:
    """Regions of an atlas of labels: name -> which voxels of a mask lie in it.

    An atlas on another grid of the same space is resampled to the nearest voxel.

    Args:
        path (`Path`): the atlas, whole numbers.
        names (`dict`): name by number; numbers without a name are no region.
        mask (an image): whose voxels.

    Raises:
        InputError: as [`open_scan`], for numbers that are not whole, and if no region lies in the mask.
    """
    image = open_scan(path, 3)
    values = _values(path, image)
    if not np.array_equal(values, np.rint(values)):
        raise InputError(f"{path} is no atlas of labels: it holds numbers that are not whole.")
    if image.shape != mask.shape or not np.allclose(image.affine, mask.affine, atol=_SAME_PLACE):
        source = new_image(values.astype(np.int32), image)
        resample = require_nilearn("nilearn.image").resample_to_img
        resampled = resample(source, mask, interpolation="nearest", force_resample=True, copy_header=True)
        values = np.asarray(resampled.dataobj)
    inside = values[np.asarray(mask.dataobj).astype(bool)]
    found = {name: inside == number for number, name in names.items()}
    found = {name: where for name, where in found.items() if where.any()}
    if not found:
        raise InputError(f"{path}: none of {len(names)} regions lies in the mask: are both in one space?")
    return found


def coordinates(mask: Any) -> NDArray[np.float64]:
    """(voxels, 3) places of a mask's voxels, in millimetres."""
    grid = np.argwhere(np.asarray(mask.dataobj).astype(bool))
    return np.asarray(grid @ mask.affine[:3, :3].T + mask.affine[:3, 3], dtype=np.float64)


def voxel_names(mask: Any, prefix: str = "") -> list[str]:
    """Names of a mask's voxels by their place in the grid: "voxel_12_40_7"."""
    return [f"{prefix}voxel_{i}_{j}_{k}" for i, j, k in np.argwhere(np.asarray(mask.dataobj).astype(bool))]


def new_image(values: NDArray[Any], like: Any) -> Any:
    """An image of other values on the same grid."""
    return import_module("nibabel").Nifti1Image(values, like.affine)


def _values(path: Path, image: Any) -> NDArray[Any]:
    try:
        return np.asanyarray(image.dataobj)
    except (OSError, ValueError, EOFError, zlib.error, MemoryError) as error:
        raise InputError(f"{path} is damaged ({error}): copy it again.") from None
