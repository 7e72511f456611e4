"""Sections -> HTML, with everything inside it."""

import base64
import struct
from collections.abc import Sequence
from pathlib import Path

import jinja2

from neuroclip_hf.figures.page.content import PageFigure, PageTable, Section

_TEMPLATES = Path(__file__).parent / "templates"


def render(
    title: str, lead: str, notes: Sequence[str], overview: Sequence[PageFigure], sections: Sequence[Section]
) -> str:
    """Write a page.

    Every text is escaped, for names come from files; nothing on the page is fetched or run.

    Args:
        title (`str`): of the page.
        lead (`str`): its first line.
        notes (sequence of `str`): what must be said of the whole page.
        overview (sequence of `PageFigure`): figures of several sections together.
        sections (sequence of `Section`): one a result.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inlined"] = _inlined
    environment.filters["columns"] = _columns
    environment.filters["width"] = lambda png: _size(png)[0]
    environment.filters["height"] = lambda png: _size(png)[1]
    page = environment.get_template("page.html")
    return page.render(title=title, lead=lead, notes=notes, overview=overview, sections=sections)


def _inlined(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _columns(table: PageTable) -> list[str]:
    """Of each column what it holds: "words", where a cell begins with a letter, or else "numbers"."""
    rows = list(zip(*table.rows, strict=True)) or [() for _ in table.header]
    return [
        "words" if place == 0 or any(cell[:1].isalpha() for cell in cells) else "numbers"
        for place, cells in enumerate(rows)
    ]


def _size(png: bytes) -> tuple[int, int]:
    """Width and height in pixels, from the head of a PNG."""
    width, height = struct.unpack(">II", png[16:24])
    return int(width), int(height)
