"""What was retrieved, as a picture."""

from collections.abc import Sequence
from pathlib import Path

from neuroclip_hf.data.pictures import PictureFolder, open_picture
from neuroclip_hf.figures import Found, SheetRow, retrieval_sheet
from neuroclip_hf.galleries.retrieving import Retrieved

SHEET_QUERIES = 12
"""Queries on a sheet (ours): as many as one reads. They are the first, not the best."""


def write_sheet(found: Sequence[Retrieved], gallery: PictureFolder, path: str | Path) -> None:
    """Draw the first queries, at most [`SHEET_QUERIES`]: the picture shown and the best five, right ones marked."""
    rows = []
    for one in found[:SHEET_QUERIES]:
        shown = one.target.image_id if one.target is not None else ""
        label = Path(shown).stem if shown else (one.target.concept if one.target else one.name)
        matches = [
            Found(
                open_picture(gallery.path(match.image_id)), Path(match.image_id).stem, match.score, bool(match.right)
            )
            for match in one.matches
        ]
        rows.append(SheetRow(label, open_picture(gallery.path(shown)) if shown else None, matches))
    title = f"Retrieved: the first {len(rows)} of {len(found)} queries" if len(rows) < len(found) else None
    retrieval_sheet(rows, path, title=title)
