"""Sections -> HTML, with everything inside it."""

import base64
import struct
from dataclasses import fields
from pathlib import Path

import jinja2

from neuroclip_hf.figures.page.content import Page, PageTable

_TEMPLATES = Path(__file__).parent / "templates"


def render(page: Page) -> str:
    """Write a page.

    Every text is escaped, for names come from files; nothing on the page is fetched or run.
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
    parts = {one.name: getattr(page, one.name) for one in fields(page)}
    return environment.get_template("page.html").render(parts)


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
