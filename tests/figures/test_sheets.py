"""A retrieval sheet holds what it should, where it should, whatever the pictures and labels are like."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw

from neuroclip_hf.errors import InputError
from neuroclip_hf.figures import Found, PictureRow, SheetRow, picture_sheet, retrieval_sheet, sheets, style

FRAME = tuple(int(style.RIGHT[place : place + 2], 16) for place in (1, 3, 5))
PICTURE_COLORS = [(200, 40, 60), (40, 70, 200), (230, 170, 40), (120, 60, 150), (20, 20, 20), (250, 120, 200)]


def drawn(color, size=(48, 48)):
    picture = Image.new("RGB", size, color)
    ImageDraw.Draw(picture).ellipse([size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2], fill="white")
    return picture


def row(right=(), shown=True, count=5, label="kite"):
    found = [Found(drawn(PICTURE_COLORS[1 + n]), f"found {n}", 0.9 - 0.1 * n, n in right) for n in range(count)]
    return SheetRow(label, drawn(PICTURE_COLORS[0]) if shown else None, found)


def pixels_of(path):
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB")).astype(int)


def sheet(tmp_path, *rows, **options):
    retrieval_sheet(rows, tmp_path / "sheet.png", **options)
    return pixels_of(tmp_path / "sheet.png")


def places(pixels, color, tolerance=6):
    """Mask of the pixels of about that colour."""
    return np.abs(pixels - np.array(color)).max(axis=2) <= tolerance


def test_a_sheet_grows_by_the_row_and_holds_every_picture_from_left_to_right(tmp_path):
    one, three = sheet(tmp_path, row()), sheet(tmp_path, row(), row(), row())
    assert one.shape[1] == three.shape[1] > 900
    assert three.shape[0] - one.shape[0] == pytest.approx(2 * 1.86 * 120, abs=3)
    centers = [np.median(places(three, color).nonzero()[1]) for color in PICTURE_COLORS]
    assert centers == sorted(centers)
    for color in PICTURE_COLORS:
        assert places(three, color).sum() > 3 * 50 * 50


def test_right_ones_and_only_those_are_marked(tmp_path):
    assert places(sheet(tmp_path, row()), FRAME).sum() == 0
    pixels = sheet(tmp_path, row(right={2}))
    marked = places(pixels, FRAME)
    picture = places(pixels, PICTURE_COLORS[3]).nonzero()[1]
    columns = marked.nonzero()[1]
    assert columns.min() < picture.min()
    assert columns.max() > picture.max()
    assert columns.max() - columns.min() < 200  # nothing green elsewhere
    two = places(sheet(tmp_path, row(right={2, 4})), FRAME).sum()
    assert two == pytest.approx(2 * marked.sum(), rel=0.1)


def test_right_is_told_by_a_tick_and_not_by_colour_alone(tmp_path, monkeypatch):
    with_tick = places(sheet(tmp_path, row(right={0})), FRAME).sum()
    monkeypatch.setattr(sheets, "_tick", lambda axes: None)
    without = places(sheet(tmp_path, row(right={0})), FRAME).sum()
    assert with_tick - without > 100


def test_the_tick_stays_at_the_corner_of_a_wide_picture(tmp_path):
    wide = SheetRow("kite", drawn("red"), [Found(drawn((10, 10, 10), (200, 50)), "wide", 0.5, True)])
    pixels = sheet(tmp_path, wide)
    marked, picture = places(pixels, FRAME).nonzero()[0], places(pixels, (10, 10, 10)).nonzero()[0]
    above_frame = [line for line in marked if line < picture.min() - 25]
    assert above_frame == []


def texts_of(monkeypatch, tmp_path, *rows, **options):
    kept = []
    monkeypatch.setattr(sheets, "to_png", lambda figure, *_, **__: (kept.append(figure), b"")[1])
    retrieval_sheet(rows, tmp_path / "sheet.png", **options)
    texts = [*kept[0].texts, *(text for axes in kept[0].axes for text in axes.texts)]
    return [text.get_text() for text in texts]


def test_labels_scores_headers_and_counts_are_written(tmp_path, monkeypatch):
    texts = texts_of(monkeypatch, tmp_path, row(right={0}), row(right={3}), row(), title="NeuroCLIP, 200 pictures")
    assert {"NeuroCLIP, 200 pictures", "shown", "found 1st", "2nd", "5th", "kite", "found 4", "0.900"} <= set(texts)
    assert texts.count("✓") == 2
    assert any("Of 3 queries on this sheet 1 right at once, 2 among the first five" in text for text in texts)


def test_where_only_the_concept_is_known_the_cell_says_so(tmp_path, monkeypatch):
    texts = texts_of(monkeypatch, tmp_path, row(shown=False, label="house"))
    assert "any\nhouse" in texts
    assert "house" not in texts


def test_only_five_are_drawn_and_fewer_are_fine(tmp_path, monkeypatch):
    many = SheetRow("kite", None, row().found * 2)
    texts = texts_of(monkeypatch, tmp_path, many, row(count=2), row(count=0))
    assert sum(text.startswith("found ") and text != "found 1st" for text in texts) == 5 + 2


def test_labels_are_taken_literally(tmp_path):
    sheet(tmp_path, row(label="a_b $x^{ $ \\frac"), row(label="$broken{$", shown=False), title="$\\alpha{$ 100%")


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I", "I;16", "F"])
def test_pictures_of_every_mode_are_drawn(tmp_path, mode):
    gradient = Image.linear_gradient("L")
    grey = gradient.point(lambda value: value * 200, "I") if mode == "I;16" else gradient
    picture = (grey if mode != "RGBA" else gradient.convert("RGB")).convert(mode)
    pixels = sheet(tmp_path, SheetRow("kite", picture, []))
    cell = pixels[150:300, 50:180]
    assert cell.min() < 60
    assert cell.max() > 195


def test_what_is_transparent_is_white(tmp_path):
    pixels = sheet(tmp_path, SheetRow("kite", Image.new("RGBA", (9, 9), (0, 0, 0, 0)), []))
    assert (pixels[180:240, 60:150] == 255).all()


@pytest.mark.parametrize("count", [0, sheets.MAX_ROWS + 1])
def test_no_rows_and_too_many_are_refused(tmp_path, count):
    with pytest.raises(InputError, match=f"of {count} queries: choose 1 to 100"):
        retrieval_sheet([row(count=0)] * count, tmp_path / "sheet.png")
    assert list(tmp_path.iterdir()) == []


def test_the_same_sheet_gives_the_same_bytes(tmp_path):
    retrieval_sheet([row(right={1})], tmp_path / "one.png")
    retrieval_sheet([row(right={1})], tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as picture:
        assert "Software" not in picture.info  # it would hold a version


def picture_row(*colors, label="kite"):
    pictures = [None if color is None else drawn(color) for color in colors]
    return PictureRow(pictures, [label, *(f"column {place}" for place in range(1, len(colors)))])


def test_a_sheet_of_pictures_holds_a_column_a_header_in_order(tmp_path, monkeypatch):
    headers, words = ("shown", "generated", "nearest"), {"title": "Generated", "note": "The first."}
    colors = PICTURE_COLORS[:3]
    picture_sheet([picture_row(*colors), picture_row(*colors)], headers, tmp_path / "sheet.png", **words)
    pixels = pixels_of(tmp_path / "sheet.png")
    centers = [np.median(places(pixels, color).nonzero()[1]) for color in colors]
    assert centers == sorted(centers)
    assert all(places(pixels, color).sum() > 2 * 50 * 50 for color in colors)
    assert pixels.shape[1] < sheet(tmp_path, row()).shape[1]  # three columns, not six
    kept = []
    monkeypatch.setattr(sheets, "to_png", lambda figure, *_, **__: (kept.append(figure), b"")[1])
    picture_sheet([picture_row(None, *colors[1:], label="house")], headers, tmp_path / "sheet.png", **words)
    texts = [*kept[0].texts, *(text for axes in kept[0].axes for text in axes.texts)]
    written = [text.get_text() for text in texts]
    assert {"shown", "generated", "nearest", "Generated", "The first.", "any\nhouse", "column 2"} <= set(written)


@pytest.mark.parametrize("count", [0, sheets.MAX_ROWS + 1])
def test_a_sheet_of_no_pictures_or_too_many_is_refused(tmp_path, count):
    with pytest.raises(InputError, match=f"sheet of pictures of {count} queries: choose 1 to 100"):
        picture_sheet([picture_row("red")] * count, ("shown",), tmp_path / "sheet.png", title="", note="")


def test_drawing_leaves_matplotlib_as_it_was():
    program = """
import sys, tempfile, matplotlib
settings = lambda: [matplotlib.rcParams[name] for name in sorted(matplotlib.rcParams) if name != "backend"]
before = settings()
from neuroclip_hf.figures import SheetRow, retrieval_sheet
with tempfile.TemporaryDirectory() as folder:
    retrieval_sheet([SheetRow("kite", None, [])], folder + "/sheet.png")
assert settings() == before
assert matplotlib.get_backend(auto_select=False) is None
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)


def test_the_frame_goes_all_around(tmp_path):
    pixels = sheet(tmp_path, SheetRow("kite", drawn("red"), [Found(drawn(PICTURE_COLORS[4]), "found", 0.5, True)]))
    lines, columns = places(pixels, PICTURE_COLORS[4]).nonzero()
    frame = places(pixels, FRAME)
    middle_line, middle_column = round(lines.mean()), round(columns.mean())
    assert frame[middle_line, : columns.min()].any()
    assert frame[middle_line, columns.max() :].any()
    assert frame[: lines.min(), middle_column].any()
    assert frame[lines.max() :, middle_column].any()
