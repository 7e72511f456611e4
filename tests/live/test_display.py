"""What is shown of answers and notices: on a terminal, as lines of text, as lines of JSON."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from neuroclip_hf.data.pictures import PictureFolder
from neuroclip_hf.galleries import EmbeddedGallery, as_gallery
from neuroclip_hf.live import LiveTrial, Notice, RunningDecoder
from neuroclip_hf.live.display import JsonLines, Screen, TextLines
from neuroclip_hf.live.thumbnails import thumbnail


@pytest.fixture
def answer(decoder, embedded, trained):
    shape = trained.processor.feature_extractor.trial_shape
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return decoder.add(LiveTrial(embedded.gallery.ids[0], values), 0.0)


def test_lines_of_json(answer, embedded, capsys):
    display = JsonLines()
    display.show(Notice("cap is back."))
    display.show(answer)
    notice, line = map(json.loads, capsys.readouterr().out.splitlines())
    assert notice == {"kind": "notice", "text": "cap is back."}
    assert (line["kind"], line["event"], line["repeats"]) == ("answer", embedded.gallery.ids[0], 1)
    assert line["target"]["image_id"] == embedded.gallery.ids[0]
    assert [set(one) for one in line["mean"]] == [{"image_id", "score", "right"}] * 3
    assert line["mean"] == line["single"]
    assert line["latency_ms"] > 0


def test_lines_of_text(answer, capsys):
    with TextLines() as display:
        display.show(Notice("cap is back."))
        display.show(answer)
    notice, line = capsys.readouterr().out.splitlines()
    assert notice == "cap is back."
    assert " (mean of 1) right: " in line or " (mean of 1) wrong: " in line
    assert f"{answer.mean.matches[0].score:.3f}" in line


def test_a_terminal_shows_pictures_means_and_notices(answer, decoder):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="truecolor", width=100, markup=False)
    with Screen(decoder, console=console) as screen:
        screen.show(Notice("Numbers come again from [O1]."))
        screen.show(answer)
    shown = out.getvalue()
    assert "\u2580" in shown
    assert "Numbers come again from [O1]." in shown
    assert "mean of 1" in shown
    assert f"best is right for {int(answer.mean.matches[0].right)} of 1 events, 1 in all" in shown


def test_a_gallery_of_texts_has_no_pictures(answer, trained, embedded):
    texts = EmbeddedGallery(as_gallery(["a cat", "a dog"]), embedded.embeds[:2])
    decoder = RunningDecoder(trained.model, trained.processor, texts, top_k=2)
    shape = trained.processor.feature_extractor.trial_shape
    found = decoder.add(LiveTrial("who knows", np.ones(shape, dtype=np.float32)), 0.0)
    out = io.StringIO()
    with Screen(decoder, console=Console(file=out, width=100)) as screen:
        screen.show(found)
    assert found.mean.matches[0].image_id in out.getvalue()
    assert "\u2580" not in out.getvalue()
    assert "is right for" not in out.getvalue()


def test_pictures_of_an_index_are_taken_from_their_folder(answer, decoder, embedded, simulated, tmp_path):
    decoder.embedded = SimpleNamespace()
    names = embedded.gallery.ids
    for folder, shown in ((simulated / "test_images", "\u2580"), (tmp_path, "no picture")):
        out = io.StringIO()
        with Screen(decoder, as_gallery(PictureFolder(folder, names)), Console(file=out, width=100)) as screen:
            screen.show(answer)
        assert shown in out.getvalue()


def test_a_thumbnail_has_the_colours_of_the_middle():
    picture = Image.new("RGB", (40, 20), (255, 0, 0))
    picture.paste((0, 0, 255), (10, 10, 30, 20))
    text = thumbnail(picture, size=4)
    assert text.plain == "\u2580\u2580\u2580\u2580\n\u2580\u2580\u2580\u2580"
    upper, lower = text.spans[0].style, text.spans[-1].style
    assert (upper.color.name, upper.bgcolor.name) == ("#ff0000", "#ff0000")
    assert (lower.color.name, lower.bgcolor.name) == ("#0000ff", "#0000ff")
