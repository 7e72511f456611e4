"""The retrieval sheet of a page: some queries, and what was found for them. No torch."""

import numpy as np

from neuroclip_hf.data.rankings import SavedRanking
from neuroclip_hf.figures.page.content import PageFigure, Section
from neuroclip_hf.figures.page.shared import caption, readable
from neuroclip_hf.figures.sheets import NUM_FOUND, SHEET_DOTS_PER_INCH, Found, SheetRow, draw_sheet
from neuroclip_hf.figures.style import to_png
from neuroclip_hf.figures.tiles import ShownPictures

SHEET_QUERIES = 8
"""So many queries are shown (ours): spread evenly over all, not the best."""
_TITLE = "Pictures shown and found"


def spread(count: int, number: int) -> list[int]:
    """So many of `count` places, evenly over all."""
    return np.unique(np.linspace(0, count - 1, min(number, count)).round().astype(int)).tolist()


def add_sheet(section: Section, ranking: SavedRanking, pictures: ShownPictures, recorded: str) -> None:
    """Add a sheet of some queries; tiles stand for pictures that may not be shown, or whose store is not at hand."""
    places = spread(len(ranking.queries), SHEET_QUERIES)
    found = ranking.found(NUM_FOUND)
    rows = []
    for place in places:
        query = ranking.queries[place]
        matches = [
            Found(
                pictures.open(ranking.image_ids[column], readable(ranking.concepts[column])),
                readable(ranking.concepts[column]),
                float(ranking.scores[place, column]),
                bool(ranking.mask[place, column]),
            )
            for column in found[place]
        ]
        concept = readable(query.concept)
        shown = pictures.open(query.image_id, concept) if query.image_id else None
        rows.append(SheetRow(concept, shown, matches))
    text = caption(
        f"{len(places)} of {len(ranking.queries)} queries, evenly over all and not the best, each with the pictures "
        f"found first in a gallery of {len(ranking.image_ids)}; the numbers are cosines.",
        "" if pictures.are_shown else "In place of each picture stand its concept and its id.",
        recorded,
    )
    png = to_png(draw_sheet(rows, title=_TITLE), SHEET_DOTS_PER_INCH, photographs=pictures.are_shown)
    section.figures.append(PageFigure("sheet", _TITLE, text, png, wide=True))
