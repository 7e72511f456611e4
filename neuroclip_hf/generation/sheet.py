"""The sheet of a generation: what was shown, what was generated, and what it is held against."""

from pathlib import Path

from neuroclip_hf.data.pictures import open_picture
from neuroclip_hf.figures import PictureRow, picture_sheet
from neuroclip_hf.generation.controls import PAINTED
from neuroclip_hf.generation.inputs import GenerationInputs
from neuroclip_hf.generation.report import GenerationReport
from neuroclip_hf.run_files import GENERATION_KINDS

SHEET_QUERIES = 12
"""Queries on a sheet (ours): as many as one reads. They are the first, not the best."""
HEADERS = ("shown", *GENERATION_KINDS.values())


def write_generation_sheet(inputs: GenerationInputs, report: GenerationReport, path: Path) -> None:
    """Draw the first queries of a generation, at most [`SHEET_QUERIES`]."""
    painted = [inputs.files(kind) for kind in PAINTED]
    rows = []
    for place, (query, shown, nearest) in enumerate(
        zip(inputs.queries[:SHEET_QUERIES], inputs.shown, inputs.nearest, strict=False)
    ):
        pictures = [
            None if shown is None else inputs.store.open_picture(shown),
            *(open_picture(files[place]) for files in painted),
            inputs.store.open_picture(nearest),
        ]
        rows.append(PictureRow(pictures, [Path(query.image_id).stem or query.concept, "", "", "", Path(nearest).stem]))
    title = f"Generated from {report.data} {report.trials} trials by {report.settings['pipeline']}"
    note = (
        f"The first {len(rows)} of {report.num_queries} queries, not the best.  The three painted columns share "
        "their start noise."
    )
    picture_sheet(rows, HEADERS, path, title=title, note=note)
