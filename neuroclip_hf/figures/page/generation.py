"""What was generated from a run's recordings: scores beside their controls, and the sheet."""

from pathlib import Path
from typing import Any

from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.figures.page.content import PageFigure, PageTable, Section
from neuroclip_hf.figures.page.numbers import number
from neuroclip_hf.figures.page.shared import caption, recorded_words
from neuroclip_hf.files import read_json
from neuroclip_hf.run_files import GENERATED_FOLDER, GENERATION_FILE, GENERATION_KINDS, GENERATION_SHEET


def add_generation(section: Section, folder: Path) -> None:
    """A table of scores, if pictures were generated into the run's own folder.

    Raises:
        KeyError, TypeError: if the report lacks an entry or holds a wrong one.
    """
    report = _read(folder)
    if report is None:
        return
    scores, differences = report["scores"], report["differences"]
    kinds = list(scores)
    rows = [
        (
            name.replace("_", " "),
            *(f"{number(scores[kind][name]['estimate']):.3f}" for kind in kinds),
            *(f"{number(differences[kind][name]['p']):.3g}" for kind in differences),
            f"{number(report['chance'][name]):.3f}" if name in report["chance"] else "",
        )
        for name in next(iter(scores.values()))
    ]
    header = (
        "",
        *(GENERATION_KINDS[kind] for kind in kinds),
        *(f"p, {GENERATION_KINDS[kind]}" for kind in differences),
    )
    section.tables.append(PageTable("Generated pictures", (*header, "chance"), rows, _words(report)))
    section.flags += [flag for flag in map(str, report["flags"]) if flag not in section.flags]


def add_generation_sheet(section: Section, folder: Path, store: TrialStore, pictures: bool) -> None:
    """The sheet of a generation of this store, or in words why there is none.

    Args:
        section (`Section`): where it is added.
        folder (`Path`): the run.
        store (`TrialStore`): whose pictures the page may show.
        pictures (`bool`): whether it may.
    """
    report = _read(folder)
    if report is None:
        return
    sheet = folder / GENERATED_FOLDER / GENERATION_SHEET
    if report["settings"]["store"] != store.info.fingerprint or not sheet.is_file():
        section.left_out.append("sheet of generated pictures: it is not there, or of another store.")
    elif not pictures:
        section.left_out.append("sheet of generated pictures: the page is made without pictures.")
    else:
        text = caption("The first queries, not the best, each with its three controls.", _words(report))
        section.figures.append(PageFigure("generated", "Generated pictures", text, sheet.read_bytes(), wide=True))


def _read(folder: Path) -> dict[str, Any] | None:
    path = folder / GENERATED_FOLDER / GENERATION_FILE
    return read_json(path) if path.is_file() else None


def _words(report: dict[str, Any]) -> str:
    settings = report["settings"]
    return caption(
        f"{report['num_queries']} queries of {report['trials']} trials, {settings['method']} pipeline "
        f"{settings['pipeline']}, {settings['steps']} steps, seed {settings['seed']}, {report['tier']}; space: "
        f"{report['space']['kind']}; p of the paired difference from each control.",
        recorded_words(report["data"]),
    )
