"""What verbs that search a gallery are told: a folder of pictures, an index of them, or both."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuroclip_hf.errors import InputError

if TYPE_CHECKING:
    from neuroclip_hf.galleries import Gallery, SearchableGallery

Index = Annotated[
    str | None,
    typer.Option("--index", help="An index of them, or qdrant://HOST:PORT/COLLECTION. --gallery only draws then."),
]
Approximate = Annotated[
    bool,
    typer.Option("--approximate", help="Look through the nearest part of the index only; a picture may be missed."),
]


def check_choice(gallery: Path | None, index: str | None, approximate: bool) -> None:
    """Refuse what says nothing to search, or an approximate search of what has no index on this machine.

    Raises:
        InputError: naming the options.
    """
    if gallery is None and index is None:
        raise InputError("There is nothing to choose from: pass --gallery, a folder of pictures, or --index.")
    if approximate and (index is None or "://" in index):
        raise InputError("--approximate is for an index on this machine: pass --index, its folder, or leave it out.")


def open_pictures(folder: Path | None, index: str | None) -> "Gallery | None":
    """The pictures to choose from, each opened once; beside an index they are only drawn, and opened when they are.

    Raises:
        InputError: if the folder holds none, or one that is searched cannot be read.
    """
    from neuroclip_hf.data.pictures import PictureFolder
    from neuroclip_hf.galleries import as_gallery

    if folder is None:
        return None
    return as_gallery(folder if index is None else PictureFolder.scan(folder))


def open_index(index: str, approximate: bool) -> "SearchableGallery":
    """An index on this machine, or one that was sent to an engine.

    Raises:
        InputError: if it is missing or damaged, or the engine is not reachable.
    """
    from neuroclip_hf.galleries.engines import EngineGallery, is_engine
    from neuroclip_hf.galleries.index import GalleryIndex

    return EngineGallery(index) if is_engine(index) else GalleryIndex(index, approximate=approximate)
