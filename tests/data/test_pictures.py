"""What a name means, and which files are opened as pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from neuroclip_hf.data import pictures as module
from neuroclip_hf.data.pictures import PictureFolder, Target, as_rgb, check_picture, open_picture
from neuroclip_hf.errors import InputError


def test_a_folder_lists_its_pictures_in_order_and_nothing_else(pictures: Path):
    for name in ("notes.txt", "._cat_9.png", ".hidden/cat_9.png", "cat/.cat_9.png"):
        (pictures / name).parent.mkdir(exist_ok=True)
        (pictures / name).write_bytes(b"")
    folder = PictureFolder.scan(pictures)
    assert len(folder.image_ids) == 16
    assert folder.image_ids == tuple(sorted(folder.image_ids))
    assert list(folder.concepts) == ["bird", "cat", "dog", "fish"]
    assert folder.concepts["cat"] == tuple(f"cat/cat_{number}.png" for number in range(1, 5))


def test_pictures_without_a_folder_have_the_roots_name_as_concept(pictures: Path):
    assert PictureFolder.scan(pictures / "cat").concept("cat_1.png") == "cat"


@pytest.mark.parametrize(
    "name",
    [
        "cat/cat_1.png",
        "cat/cat_1",
        "cat_1.png",
        "cat_1",
        " cat_1 ",
        "./cat/cat_1.png",
        "cat\\cat_1.png",
        "C:\\stimuli\\cat\\cat_1.png",
        "somewhere/else/cat_1.png",
        "Stimulus/cat_1",
        "Comment/cat/cat_1",
    ],
)
def test_names_of_a_picture(pictures: Path, name: str):
    assert PictureFolder.scan(pictures).find(name) == Target("cat", "cat/cat_1.png")


@pytest.mark.parametrize("name", ["cat", "Stimulus/cat", "Comment/cat", "cat "])
def test_names_of_a_concept(pictures: Path, name: str):
    assert PictureFolder.scan(pictures).find(name) == Target("cat")


@pytest.mark.parametrize("name", ["Cat", "S  1", "Response/cat", "block1/cat", "", "cat_1.jpg", "/"])
def test_what_means_nothing(pictures: Path, name: str):
    assert PictureFolder.scan(pictures).find(name) is None


def test_a_name_that_two_pictures_have_needs_the_folder(pictures: Path):
    for concept in ("cat", "dog"):
        Image.new("RGB", (8, 8)).save(pictures / concept / "1.png")
    folder = PictureFolder.scan(pictures)
    assert folder.find("1.png") is None
    assert folder.find("cat/1") == Target("cat", "cat/1.png")
    assert folder.suggestion("old/1.png") == (
        "2 pictures are called so (cat/1.png, dog/1.png): the name must say the folder too."
    )


def test_a_concept_of_several_pictures_comes_before_a_picture_of_its_name(pictures: Path):
    Image.new("RGB", (8, 8)).save(pictures / "cat" / "cat.png")
    folder = PictureFolder.scan(pictures)
    assert folder.find("cat") == Target("cat")
    assert folder.find("cat.png") == Target("cat", "cat/cat.png")
    for number in range(1, 5):
        (pictures / "cat" / f"cat_{number}.png").unlink()
    assert PictureFolder.scan(pictures).find("cat") == Target("cat", "cat/cat.png")


def test_suggestions(pictures: Path):
    folder = PictureFolder.scan(pictures)
    assert folder.suggestion("fisch") == "Did you mean 'fish'?"
    assert folder.suggestion("Stimulus/S  1") == "Concepts there: bird, cat, dog, fish."


def test_missing_and_empty_folders_are_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"nowhere is not a folder: name the folder"):
        PictureFolder.scan(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty holds no picture .*: name the folder"):
        PictureFolder.scan(tmp_path / "empty")


def test_pictures_are_opened_as_rgb_and_upright(tmp_path: Path):
    grey = Image.fromarray(np.array([[0, 255]], dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to see it upright
    grey.save(tmp_path / "turned.png", exif=exif)
    opened = open_picture(tmp_path / "turned.png")
    assert opened.mode == "RGB"
    assert np.asarray(opened)[:, :, 0].tolist() == [[0], [255]]


def test_sixteen_bits_of_grey_become_eight(tmp_path: Path):
    Image.fromarray(np.array([[0, 256 * 128, 65535]], dtype=np.uint16)).save(tmp_path / "deep.png")
    assert np.asarray(open_picture(tmp_path / "deep.png"))[0, :, 0].tolist() == [0, 128, 255]


def test_grey_without_a_fixed_range_is_stretched():
    for values in ([[-1.0, 0.0, 1.0]], [[0.0, 500.0, 1000.0]]):
        grey = as_rgb(Image.fromarray(np.array(values, dtype=np.float32)))
        assert np.asarray(grey)[0, :, 0].tolist() == [0, 127, 255]
    whole = as_rgb(Image.fromarray(np.array([[0, 100_000]], dtype=np.int32)))
    assert np.asarray(whole)[0, :, 0].tolist() == [0, 255]
    odd = as_rgb(Image.fromarray(np.array([[np.nan, 2.0, 4.0]], dtype=np.float32)))
    assert np.asarray(odd)[0, :, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L"])
def test_what_is_transparent_is_white(tmp_path: Path, mode: str):
    picture = Image.new("RGBA", (2, 1), (0, 0, 0, 255))
    picture.putpixel((0, 0), (200, 0, 0, 0))
    settings: dict[str, Any] = {}
    if mode not in ("RGBA", "LA"):  # these name one colour that stands for nothing
        settings = {"transparency": {"P": 1, "RGB": (200, 0, 0), "L": 60}[mode]}
    if mode == "P":
        saved = Image.new("P", (2, 1))
        saved.putpalette([0, 0, 0, 200, 0, 0])
        saved.putpixel((0, 0), 1)
    else:
        saved = picture.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 2  # mirrored: the transparency has to come along
    saved.save(tmp_path / "a.png", exif=exif, **settings)
    assert np.asarray(open_picture(tmp_path / "a.png"))[0].tolist() == [[0, 0, 0], [255, 255, 255]]


def test_half_transparent_pictures_are_mixed_with_white(tmp_path: Path):
    Image.new("RGBA", (1, 1), (0, 0, 0, 51)).save(tmp_path / "a.png")
    assert open_picture(tmp_path / "a.png").getpixel((0, 0)) == (204, 204, 204)


def test_every_suffix_has_its_format_and_no_other_format_is_opened(tmp_path: Path, monkeypatch):
    formats = Image.registered_extensions()
    assert {formats[suffix] for suffix in module.PICTURE_SUFFIXES} == set(module.PICTURE_FORMATS)
    for suffix in module.PICTURE_SUFFIXES:
        Image.new("RGB", (8, 8)).save(tmp_path / f"a{suffix}")
        assert open_picture(tmp_path / f"a{suffix}").size == (8, 8)
    # Pillow looks at the content, not at the name, and would let Ghostscript run the PostScript.
    asked = []
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *arguments, **named: asked.append(arguments))
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    (tmp_path / "x.png").write_bytes(script)
    with pytest.raises(InputError, match=r"x\.png cannot be read as a picture"):
        open_picture(tmp_path / "x.png")
    assert asked == []
    Image.new("RGB", (8, 8)).save(tmp_path / "x.ppm")
    (tmp_path / "x.ppm").rename(tmp_path / "x.jpg")
    with pytest.raises(InputError, match=r"x\.jpg cannot be read as a picture"):
        open_picture(tmp_path / "x.jpg")


@pytest.mark.parametrize("look", [open_picture, check_picture])
def test_damaged_pictures_are_named(tmp_path: Path, look):
    generator = np.random.default_rng(0)
    noise = Image.fromarray(generator.integers(0, 256, (32, 32, 3), dtype=np.uint8))
    for suffix in ("png", "jpg", "gif", "bmp", "tif", "webp"):
        path = tmp_path / f"noise.{suffix}"
        noise.save(path)
        whole = path.read_bytes()
        for length in (0, 3, 20, len(whole) // 2):
            path.write_bytes(whole[:length])
            with pytest.raises(
                InputError, match=rf"noise\.{suffix} cannot be read as a picture .*: replace or remove it"
            ):
                look(path)
    with pytest.raises(InputError, match=r"none\.png does not exist: put the picture there"):
        look(tmp_path / "none.png")


@pytest.mark.parametrize("look", [open_picture, check_picture])
def test_a_picture_larger_than_memory_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch, look):
    Image.new("L", (40, 50)).save(tmp_path / "large.png")
    monkeypatch.setattr(module, "MAX_PIXELS", 1999)
    with monkeypatch.context() as patched:
        patched.setattr(PngImageFile, "load", lambda self: pytest.fail("it was decoded"))
        with pytest.raises(
            InputError, match=r"large\.png has 40 x 50 pixels, more than the 1,999 .*: make it smaller"
        ):
            look(tmp_path / "large.png")
    monkeypatch.setattr(module, "MAX_PIXELS", 2000)
    assert open_picture(tmp_path / "large.png").size == (40, 50)


def test_a_sound_picture_of_any_kind_passes_the_check(tmp_path: Path):
    modes = {"a.jpg": "RGB", "b.jpg": "CMYK", "c.png": "LA", "d.png": "P", "e.tif": "F", "f.gif": "L"}
    for name, mode in modes.items():
        Image.new(mode, (33, 9)).save(tmp_path / name)
        check_picture(tmp_path / name)
