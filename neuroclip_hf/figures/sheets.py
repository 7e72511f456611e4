"""Sheets of pictures, a row a query: what was shown, and the five pictures found first, or what was made of it."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from neuroclip_hf.data.pictures import as_rgb
from neuroclip_hf.errors import InputError
from neuroclip_hf.figures.style import EMPTY, FAINT_INK, INK, LINE, RIGHT, shortened, styled, to_png
from neuroclip_hf.files import new_file

NUM_FOUND = 5
MAX_ROWS = 100
SHEET_DOTS_PER_INCH = 120

# Measures in inches. One cell is a square picture with two lines of text below it.
_PICTURE = 1.3
_TEXT = 0.4
_GAP = 0.16
_GUTTER = 0.42  # between what was shown and what was found
_MARGIN = 0.3
_COLUMN_HEADER = 0.34
_TITLE = 0.66

_ORDINALS = ("1st", "2nd", "3rd", "4th", "5th")


@dataclass(frozen=True)
class Found:
    """One gallery entry that a query found.

    Attributes:
        picture: the gallery picture, of any size and mode.
        label: what it shows, or its name.
        score: similarity with the query, as the ranking used it.
        right: whether it counts as right.
    """

    picture: Image.Image
    label: str
    score: float
    right: bool


@dataclass(frozen=True)
class SheetRow:
    """One query of a retrieval sheet.

    Attributes:
        query_label: what was shown, or its name.
        shown: the picture that was shown; None where only the concept is known, which `query_label` then names.
        found: gallery entries, best first; the first five are drawn.
    """

    query_label: str
    shown: Image.Image | None
    found: Sequence[Found]


@dataclass(frozen=True)
class PictureRow:
    """One query of a sheet whose columns each hold another kind of picture.

    Attributes:
        pictures: one a column; None where there is none, which the label then names.
        labels: a line below each picture; "" for none.
    """

    pictures: Sequence[Image.Image | None]
    labels: Sequence[str]


def picture_sheet(
    rows: Sequence[PictureRow], headers: Sequence[str], path: str | Path, *, title: str, note: str
) -> None:
    """Write a PNG with a row of pictures for each query; a file under `path` is replaced.

    Args:
        rows: one a query, from top to bottom.
        headers: a word above each column; the first stands apart.
        path: the PNG to write.
        title: a line above the sheet.
        note: a smaller line below it.

    Raises:
        InputError: if there are no rows, more than fit one sheet, or `path` cannot be written.
    """
    figure = draw_picture_sheet(rows, headers, title=title, note=note)
    with new_file(path) as temporary:
        temporary.write_bytes(to_png(figure, SHEET_DOTS_PER_INCH, photographs=True))


@styled
def draw_picture_sheet(rows: Sequence[PictureRow], headers: Sequence[str], *, title: str, note: str) -> Figure:
    """The figure that [`picture_sheet`] writes."""
    _check_rows("sheet of pictures", len(rows))
    page = _Page(len(rows), len(headers))
    _draw_titles(page, title, note, headers)
    for row_number, row in enumerate(rows):
        for column, (picture, label) in enumerate(zip(row.pictures, row.labels, strict=True)):
            if picture is None:
                _draw_words(page, row_number, column, label)
            else:
                axes = page.square(row_number, column)
                _show(axes, picture)
                _frame(axes, LINE, 0.8)
                _label(page, row_number, column, label, INK)
    return page.figure


def retrieval_sheet(rows: Sequence[SheetRow], path: str | Path, *, title: str | None = None) -> None:
    """Write a PNG with, for each query, the picture that was shown and the top five found.

    What is right has a thick green frame and a tick; the sheet says so at its top, and how many of its queries were
    right at once. A file under `path` is replaced.

    Args:
        rows: one a query, from top to bottom.
        path: the PNG to write.
        title: a line above the sheet, such as the model and the size of the gallery.

    Raises:
        InputError: if there are no rows, more than fit one sheet, or `path` cannot be written.
    """
    figure = draw_sheet(rows, title=title)
    with new_file(path) as temporary:
        temporary.write_bytes(to_png(figure, SHEET_DOTS_PER_INCH, photographs=True))


@styled
def draw_sheet(rows: Sequence[SheetRow], *, title: str | None = None) -> Figure:
    """The figure that [`retrieval_sheet`] writes."""
    _check_rows("retrieval sheet", len(rows))
    page = _Page(len(rows), 1 + NUM_FOUND)
    _draw_header(page, rows, title or "Retrieval")
    for row_number, row in enumerate(rows):
        _draw_shown(page, row_number, row)
        for column, found in enumerate(row.found[:NUM_FOUND], start=1):
            _draw_found(page, row_number, column, found)
    return page.figure


def _check_rows(what: str, queries: int) -> None:
    if not 0 < queries <= MAX_ROWS:
        raise InputError(f"A {what} of {queries} queries: choose 1 to {MAX_ROWS}.")


class _Page:
    """A white figure on which places are given in inches from the top left corner."""

    def __init__(self, num_rows: int, num_columns: int) -> None:
        self.width = 2 * _MARGIN + num_columns * _PICTURE + _GUTTER + (num_columns - 2) * _GAP
        self.top_of_rows = _MARGIN + _TITLE + _COLUMN_HEADER
        self.height = self.top_of_rows + num_rows * (_PICTURE + _TEXT + _GAP) - _GAP + _MARGIN
        self.figure = Figure(figsize=(self.width, self.height), facecolor="white")
        FigureCanvasAgg(self.figure)

    def left(self, column: int) -> float:
        """Left edge of a column of pictures; column 0 is what was shown."""
        return _MARGIN + column * (_PICTURE + _GAP) + (_GUTTER - _GAP if column else 0)

    def top(self, row_number: int) -> float:
        """Upper edge of a row of pictures."""
        return self.top_of_rows + row_number * (_PICTURE + _TEXT + _GAP)

    def text(self, x: float, y: float, text: str, **style: Any) -> None:
        """Write at a point; nothing in `text` is taken for mathematics."""
        style = {"color": INK, "fontsize": 8.5, "ha": "left", "va": "center", "family": "DejaVu Sans", **style}
        self.figure.text(x / self.width, 1 - y / self.height, text, parse_math=False, **style)

    def line(self, x: float, top: float, bottom: float) -> None:
        """A thin upright line."""
        size = (0.8 / 72 / self.width, (bottom - top) / self.height)
        corner = (x / self.width, 1 - bottom / self.height)
        self.figure.add_artist(Rectangle(corner, *size, color=LINE, linewidth=0))

    def square(self, row_number: int, column: int) -> Axes:
        """Axes without ticks over the place of one picture, which it holds in pixels of its own size."""
        corner = (self.left(column) / self.width, 1 - (self.top(row_number) + _PICTURE) / self.height)
        axes = self.figure.add_axes((*corner, _PICTURE / self.width, _PICTURE / self.height))
        axes.set(xticks=[], yticks=[], facecolor=EMPTY)
        return axes


def _draw_header(page: _Page, rows: Sequence[SheetRow], title: str) -> None:
    at_once = sum(bool(row.found) and row.found[0].right for row in rows)
    among = sum(any(found.right for found in row.found[:NUM_FOUND]) for row in rows)
    queries = "1 query" if len(rows) == 1 else f"{len(rows)} queries"
    note = (
        f"Green frame and ✓: right.  Of {queries} on this sheet {at_once} right at once, "
        f"{among} among the first five.  Below each picture its score."
    )
    _draw_titles(page, title, note, ("shown", f"found {_ORDINALS[0]}", *_ORDINALS[1:]))


def _draw_titles(page: _Page, title: str, note: str, headers: Sequence[str]) -> None:
    letters = round(78 * page.width / _Page(1, 1 + NUM_FOUND).width)
    page.text(_MARGIN, _MARGIN + 0.1, shortened(title, letters), fontsize=13, fontweight="bold")
    page.text(_MARGIN, _MARGIN + 0.38, note, color=FAINT_INK)
    middle = page.top_of_rows - 0.17
    for column, header in enumerate(headers):
        page.text(page.left(column) + _PICTURE / 2, middle, header, ha="center", fontsize=9.5, fontweight="bold")
    page.line(page.left(1) - _GUTTER / 2, page.top_of_rows - 0.3, page.height - _MARGIN)


def _draw_shown(page: _Page, row_number: int, row: SheetRow) -> None:
    if row.shown is None:
        _draw_words(page, row_number, 0, row.query_label)
        return
    axes = page.square(row_number, 0)
    _show(axes, row.shown)
    _frame(axes, LINE, 0.8)
    _label(page, row_number, 0, row.query_label, INK)


def _draw_words(page: _Page, row_number: int, column: int, label: str) -> None:
    """In place of a picture that is not known: any of what it shows."""
    axes = page.square(row_number, column)
    words = f"any\n{_wrapped(label)}"
    axes.text(0.5, 0.5, words, ha="center", va="center", fontsize=10, color=INK, parse_math=False)
    _frame(axes, LINE, 0.8)


def _draw_found(page: _Page, row_number: int, column: int, found: Found) -> None:
    axes = page.square(row_number, column)
    _show(axes, found.picture)
    _frame(axes, RIGHT if found.right else LINE, 3.2 if found.right else 0.8)
    ink = RIGHT if found.right else INK
    _label(page, row_number, column, found.label, ink, bold=found.right)
    score_style = {"ha": "center", "color": ink if found.right else FAINT_INK}
    center = page.left(column) + _PICTURE / 2
    page.text(center, page.top(row_number) + _PICTURE + 0.31, f"{found.score:.3f}", **score_style)
    if found.right:
        _tick(axes)


def _label(page: _Page, row_number: int, column: int, label: str, ink: str, bold: bool = False) -> None:
    center, below = page.left(column) + _PICTURE / 2, page.top(row_number) + _PICTURE + 0.14
    weight = "bold" if bold else "normal"
    page.text(center, below, shortened(label, 18 if bold else 20), ha="center", color=ink, fontweight=weight)


def _show(axes: Axes, picture: Image.Image) -> None:
    """Fit the whole picture into the axes without changing its shape."""
    picture = as_rgb(picture)
    pixels = round(_PICTURE * SHEET_DOTS_PER_INCH)
    scale = pixels / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    # The pixels of a tiny pattern are the picture: they stay sharp.
    picture = picture.resize(size, Image.Resampling.NEAREST if scale > 6 else Image.Resampling.LANCZOS)
    axes.imshow(picture, interpolation="nearest")


def _frame(axes: Axes, color: str, width: float) -> None:
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor=color, linewidth=width)


def _tick(axes: Axes) -> None:
    """A white tick on a green disc at the upper right corner of the picture."""
    tick = axes.annotate(
        "✓",
        xy=(1, 1),
        xycoords="axes fraction",
        xytext=(-3, -3),
        textcoords="offset points",
        bbox={"boxstyle": "circle,pad=0.25", "facecolor": RIGHT, "edgecolor": "white", "linewidth": 1.5},
    )
    tick.set(color="white", fontsize=10, fontweight="bold", ha="center", va="center", zorder=5, family="DejaVu Sans")


def _wrapped(text: str, width: int = 14, lines: int = 4) -> str:
    return textwrap.fill(text, width, max_lines=lines, placeholder=" …")
