"""What was retrieved, as a picture."""

from collections.abc import Sequence
from pathlib import Path

from neuroclip_hf.errors import InputError
from neuroclip_hf.figures import Found, SheetRow, retrieval_sheet
from neuroclip_hf.galleries.gallery import Gallery
from neuroclip_hf.galleries.retrieving import Retrieved

SHEET_QUERIES = 12
"""Queries on a sheet (ours): as many as one reads. They are the first, not the best."""


def write_sheet(found: Sequence[Retrieved], gallery: Gallery, path: str | Path) -> None:
    """Draw the first queries, at most [`SHEET_QUERIES`]: the picture shown and the best five, right ones marked.

    Args:
        found (sequence of [`Retrieved`]): in this gallery.
        gallery ([`Gallery`]): of pictures, from [`as_gallery`].
        path (`str` or `Path`): the PNG to be written.

    Raises:
        InputError: for a gallery of texts.
    """
    if gallery.open_picture is None:
        raise InputError("A sheet shows pictures, and this gallery is of texts: print what was found instead.")
    rows = []
    for one in found[:SHEET_QUERIES]:
        shown = one.target.image_id if one.target is not None else ""
        label = Path(shown).stem if shown else (one.target.concept if one.target else one.name)
        matches = [
            Found(gallery.open_picture(match.image_id), Path(match.image_id).stem, match.score, bool(match.right))
            for match in one.matches
        ]
        rows.append(SheetRow(label, gallery.open_picture(shown) if shown else None, matches))
    title = f"Retrieved: the first {len(rows)} of {len(found)} queries" if len(rows) < len(found) else None
    retrieval_sheet(rows, path, title=title)
