"""The .npz of `neuroclip prepare arrays`: its arrays by name, its texts and its pictures."""

import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neuroclip_hf.data.pictures import open_picture
from neuroclip_hf.data.sources.array_names import draw_name
from neuroclip_hf.errors import InputError

KEYS = (
    "brain",
    "images",
    "image_files",
    "image_id",
    "concept",
    "caption",
    "label",
    "gram",
    "split",
    "subject",
    "run",
    "channel_names",
    "sampling_rate",
    "unit",
    "rois",
    "roi_masks",
)


def load_values(path: Path, names: Mapping[str, str] | None = None) -> dict[str, NDArray[Any]]:
    """Arrays by our names.

    Args:
        path (`Path`): the .npz.
        names (mapping, *optional*): our name -> the file's, where they differ.

    Raises:
        InputError: if the file is missing, damaged or no .npz, or holds objects or an array of another name, or
            `names` has a name that is not ours, or not the file's.
    """
    ours = {theirs: name for name, theirs in (names or {}).items()}
    strange = [name for name in names or {} if name not in KEYS]
    if strange:
        raise InputError(f"no array is called {strange[0]!r} here: the names are {', '.join(KEYS)}.")
    if path.suffix != ".npz":
        raise InputError(f"{path} is not an .npz file: save the arrays with numpy.savez.")
    try:
        with np.load(path, allow_pickle=False) as file:
            called = {name: ours.get(name, name) for name in file.files}
            values = {called[name]: file[name] for name in file.files if called[name] in KEYS}
            unknown = [name for name in file.files if called[name] not in KEYS]
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: correct the path.") from None
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(
            f"{path} cannot be read ({error}): save plain arrays with numpy.savez (texts as numpy string arrays, not "
            "objects)."
        ) from None
    lacking = [name for name in ours if name not in called]
    if lacking:
        raise InputError(f"{path} lacks the array {lacking[0]!r}: it holds {', '.join(called) or 'nothing'}.")
    if unknown:
        raise InputError(
            f"{path} holds the unknown array {unknown[0]!r}: the names are {', '.join(KEYS)}; say which it is with "
            f"--arrays, as in brain={unknown[0]}."
        )
    if len(values) < len(called):
        raise InputError(f"{path}: two arrays would have one name ({', '.join(called.values())}): name each once.")
    return values


def need_array(values: dict[str, NDArray[Any]], name: str, path: Path) -> NDArray[Any]:
    """One of them, which must be there."""
    if name not in values:
        raise InputError(f"{path} lacks the array {name!r}: it holds {', '.join(values) or 'nothing'}.")
    return values[name]


def texts_of(values: dict[str, NDArray[Any]], name: str, count: int, path: Path, default: list[str]) -> list[str]:
    """One of them as so many texts; a single text stands for all of them, and `default` for an array that is missing.

    Raises:
        InputError: for another number of texts.
    """
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


def pictures_of(values: dict[str, NDArray[Any]], path: Path) -> tuple[list[Path | Image.Image], list[str]]:
    """The pictures, in memory or as files, and a name of each; without pictures, cards with the concepts' names.

    Raises:
        InputError: if there are neither, or they are no pictures, or two have one name.
    """
    if without_pictures(values):
        return _cards(values, path)
    if ("images" in values) == ("image_files" in values):
        raise InputError(
            f"{path} must hold either images or image_files, or concept alone where pictures are not at hand."
        )
    if not next(values[name] for name in ("images", "image_files") if name in values).size:
        raise InputError(f"{path}: images or image_files is empty: give the pictures that image_id counts.")
    if "image_files" in values:
        listed = texts_of(values, "image_files", values["image_files"].size, path, default=[])
        given = [PurePosixPath(name.replace("\\", "/")) for name in listed]
        for name in given:
            open_picture(path.parent / name)
        names = [str(name) if _inside(name) else name.name for name in given]
        twice, count = Counter(names).most_common(1)[0]
        if count > 1:
            raise InputError(f"{path}: {twice!r} occurs twice in image_files: list each picture once, under a name.")
        return [path.parent / name for name in given], names
    images = values["images"]
    if images.dtype == bool:
        images = images.astype(np.uint8)
    if images.dtype != np.uint8 or not (images.ndim == 3 or (images.ndim == 4 and images.shape[-1] == 3)):
        raise InputError(
            f"{path}: images has shape {images.shape} and type {images.dtype}: it must be uint8 of shape (n, H, W) or "
            "(n, H, W, 3)."
        )
    if images.max() == 1:  # two shades, which stand for black and white
        images = images * np.uint8(255)
    width = max(5, len(str(len(images) - 1)))
    return [Image.fromarray(image) for image in images], [f"{row:0{width}d}" for row in range(len(images))]


def without_pictures(values: dict[str, NDArray[Any]]) -> bool:
    """Whether the names of concepts are all that is known of what was shown."""
    return "concept" in values and not {"images", "image_files"} & set(values)


def _cards(values: dict[str, NDArray[Any]], path: Path) -> tuple[list[Path | Image.Image], list[str]]:
    concepts = texts_of(values, "concept", values["concept"].size, path, default=[])
    twice, count = Counter(concepts).most_common(1)[0] if concepts else ("", 2)
    if count > 1:
        raise InputError(
            f"{path}: without images or image_files, image_id counts the names in concept, and {twice!r} occurs "
            f"{count} times: list each once."
        )
    return [draw_name(concept) for concept in concepts], concepts


def _inside(name: PurePosixPath) -> bool:
    return not Path(name).is_absolute() and ".." not in name.parts
