"""A folder of results -> one HTML page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroclip_hf import columns
from neuroclip_hf.data.rankings import read_ranking
from neuroclip_hf.errors import InputError
from neuroclip_hf.figures.families import read_families
from neuroclip_hf.figures.page.content import Page, PageFigure, Section
from neuroclip_hf.figures.page.html import render
from neuroclip_hf.figures.page.overview import methods_figure
from neuroclip_hf.figures.page.reading import ABLATION, Result, find_results
from neuroclip_hf.figures.page.results import build_section
from neuroclip_hf.figures.page.shared import recorded_words
from neuroclip_hf.figures.page.sheet import add_sheet
from neuroclip_hf.figures.scalp import METHODS
from neuroclip_hf.figures.tiles import ShownPictures
from neuroclip_hf.files import new_file, refuse_existing
from neuroclip_hf.run_files import PAGE_FILE, REPORT_FILE

if TYPE_CHECKING:
    from neuroclip_hf.data.store import TrialStore

_PRIVATE = (
    "This page shows pictures that may not be redistributed: keep it to yourself, or make it again with "
    "--without-pictures, which shows names in their place."
)
_HIDDEN = "Made without pictures: their concepts and ids stand in their place."


@dataclass(frozen=True)
class PageSettings:
    """What goes on a page, beside what its folder holds.

    Args:
        store (`TrialStore`, *optional*): what the runs were tested on; with it retrieval sheets, filters, attention
            and scalp maps are drawn.
        families (path, *optional*): a CSV file with the columns `concept` and `family`, for the confusion.
        pictures (`bool`): show pictures of the store; otherwise their ids and concepts stand in their place, for
            which retrieval sheets need no store.
        scalp (`str`): how channels are weighed: "occlusion" or "gradient".
    """

    store: "TrialStore | None" = None
    families: str | Path | None = None
    pictures: bool = True
    scalp: str = "occlusion"


def write_page(
    folder: str | Path, out: str | Path | None = None, settings: PageSettings | None = None, *, overwrite: bool = False
) -> dict[str, Any]:
    """Write one self-contained page of everything in a folder; the same files give the same bytes.

    Args:
        folder (path): a run, a reproduction, an ablation, or a folder of them.
        out (path, *optional*): the HTML file; report.html in the folder by default.
        settings (`PageSettings`, *optional*): what is added.
        overwrite (`bool`): replace an existing file.

    Returns:
        `page` (its path), `results`, `figures` and `left_out`, each a list of words, and `bytes`.

    Raises:
        InputError: if the folder holds no result, a file of it is damaged, or the page exists.
    """
    settings = settings or PageSettings()
    path = Path(out) if out is not None else Path(folder) / PAGE_FILE
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out {path}: the page is HTML, so give it a name that ends in .html.")
    refuse_existing(path, overwrite)
    page = build_page(folder, settings)
    text = render(page).encode("utf-8")
    with new_file(path, overwrite) as temporary:
        temporary.write_bytes(text)
    return {
        "page": str(path),
        "results": [section.title for section in page.sections],
        "figures": [figure.title for figure in page.figures],
        "left_out": page.left_out,
        "bytes": len(text),
    }


def build_page(folder: str | Path, settings: PageSettings) -> Page:
    """What a page of a folder says and shows, before it is HTML; arguments and errors as for [`write_page`]."""
    if settings.scalp not in METHODS:
        raise InputError(f"--scalp {settings.scalp}: choose one of {', '.join(METHODS)}.")
    results = find_results(folder)
    families = None if settings.families is None else read_families(settings.families)
    sections = [_section(result, families) for result in results]
    overview = _overview(results)
    notes = _add_insights(sections, results, settings)
    return Page(_title(results), _lead(sections), notes, overview, sections)


# What entries of another kind, or missing ones, raise while a report is read.
_DAMAGED = (KeyError, TypeError, ValueError, AttributeError, IndexError)


def _section(result: Result, families: dict[str, str] | None) -> Section:
    try:
        return build_section(result, families)
    except InputError:
        raise
    except _DAMAGED as error:
        raise _damaged(result.folder / REPORT_FILE, error) from error


def _overview(results: Sequence[Result]) -> list[PageFigure]:
    try:
        figure = methods_figure(results)
    except InputError:
        raise
    except _DAMAGED as error:
        raise _damaged(results[0].folder.parent, error) from error
    return [] if figure is None else [figure]


def _damaged(path: Path, error: Exception) -> InputError:
    what = f"lacks {error}" if isinstance(error, KeyError) else f"holds a wrong entry ({error})"
    return InputError(f"{path} {what}: evaluate again, or restore the file.")


def _add_insights(sections: Sequence[Section], results: Sequence[Result], settings: PageSettings) -> list[str]:
    """Add what needs the store; the notes of the page that this asks for."""
    store = settings.store
    if store is None:
        for section, result in zip(sections, results, strict=True):
            _add_what_needs_no_store(section, result, settings.pictures)
        return [] if settings.pictures else [_HIDDEN]

    from neuroclip_hf.figures.page.insight import add_insight  # torch, which a page of files alone does not need

    fits = [
        add_insight(section, result, store, pictures=settings.pictures, method=settings.scalp)
        for section, result in zip(sections, results, strict=True)
    ]
    if not any(fits):
        raise InputError(f"{store.path} is not what any of the results was made of: name their store with --data.")
    if not settings.pictures:
        return [_HIDDEN]
    return [] if store.info.redistribute_pictures else [_PRIVATE]


def _add_what_needs_no_store(section: Section, result: Result, pictures: bool) -> None:
    ranking = None if pictures or result.kind == ABLATION or not result.runs else read_ranking(result.runs[0])
    if ranking is None:
        section.left_out.append("retrieval sheets, filters, attention, scalp map: they need --data STORE.")
        return
    add_sheet(section, ranking, ShownPictures(), recorded_words((result.report or result.facts).get("data")))
    section.left_out.append("filters, attention, scalp map: they need --data STORE.")


def _title(results: Sequence[Result]) -> str:
    return f"Report: {results[0].name}" if len(results) == 1 else f"Report: {len(results)} results"


def _lead(sections: Sequence[Section]) -> str:
    simulated = [section.simulated for section in sections if section.tables]
    if not simulated:
        return ""
    if all(simulated):
        return f"{columns.SIMULATED.capitalize()} recordings: these numbers say nothing about real brains."
    if any(simulated):
        return "Some of these recordings are simulated, and say nothing about real brains: each result says which."
    return "Recorded brains."
