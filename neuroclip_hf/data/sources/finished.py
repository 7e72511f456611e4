"""Whether a store that is there already is the one that would be made: the same command, given once more."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from neuroclip_hf import columns
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_info import StoreInfo, read_store_info
from neuroclip_hf.data.store_layout import PICTURE_COLUMNS, picture_name
from neuroclip_hf.data.store_writer import library_versions
from neuroclip_hf.data.verification import wrong_files
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import sha256
from neuroclip_hf.logging import progress

_FOUND_LATER = ("sources", "warnings", "checksums", "versions")
"""Fields of `StoreInfo` that are not known before a store is made."""


class ShownPicture(NamedTuple):
    """What a store would say of a picture, and its file; the fields are those of the picture table."""

    image_id: str
    concept: str
    caption: str
    gallery: str
    path: Path


def difference(path: Path, info: StoreInfo, files: Mapping[str, Path], pictures: Iterable[ShownPicture]) -> str | None:
    """What a store differs in from the one that would be made, or None. Its trials are not looked at.

    Args:
        path (`Path`): the store.
        info (`StoreInfo`): what store.json would say, as far as it is known before.
        files (mapping): what store.json would call each source -> the file.
        pictures (iterable of [`ShownPicture`]): in the order of the store; of those that were not shown, too.

    Raises:
        InputError: if it is no store, or a damaged one.
    """
    store = TrialStore(path)
    for name, wanted in _plain(info.to_dict()).items():
        if name not in _FOUND_LATER and _plain(store.info.to_dict())[name] != wanted:
            return f"its {name} {'are' if name.endswith('s') else 'is'} other than what is asked for"
    if store.info.versions != library_versions():
        return "it was made by other versions of the libraries"
    if set(store.info.sources) != set(files):
        return "it was made from other files"
    for name, file in progress(list(files.items()), desc="sources", unit="file"):
        if store.info.sources[name] != sha256(file):
            return f"{file} has changed since"
    return _other_picture(store, pictures)


def damage(path: Path) -> str | None:
    """What is wrong with the files of a store by its own checksums, or None.

    Args:
        path (`Path`): the store.
    """
    try:
        problem = next(wrong_files(path, read_store_info(path)), None)
    except InputError as error:
        return str(error).rpartition(": ")[0]
    return None if problem is None else f"{problem.file}: {problem.problem}"


def _other_picture(store: TrialStore, pictures: Iterable[ShownPicture]) -> str | None:
    shown = set(store.trials[columns.IMAGE_ID])
    wanted = [picture for picture in pictures if picture.image_id in shown]
    rows = [(one.image_id, one.concept, one.caption, picture_name(one.image_id), one.gallery) for one in wanted]
    if list(store.pictures[list(PICTURE_COLUMNS)].itertuples(index=False, name=None)) != rows:
        return "the table of pictures has changed since"
    for picture, row in zip(progress(wanted, desc="pictures", unit="picture"), rows, strict=True):
        if not picture.path.is_file() or sha256(picture.path) != store.info.checksums.get(row[3]):
            return f"{picture.path} has changed since"
    return None


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(values))
    return found
