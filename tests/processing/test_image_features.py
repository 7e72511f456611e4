"""The cache of frozen features: what it depends on, what it does not, and what becomes of a damaged file."""

import pytest
import torch
from PIL import Image

from neuroclip_hf.errors import InputError
from neuroclip_hf.processing.collator import PictureSet
from neuroclip_hf.processing.image_features import ImageFeatureCache

TOWER = {"tower": "abc", "layers": [1, 2], "token": "cls"}


class ImageProcessor:
    def __init__(self, size):
        self.size = size

    def to_dict(self):
        return {"size": self.size}


class Processor:
    """The picture's red, as one pixel."""

    def __init__(self, size=1):
        self.image_processor = ImageProcessor(size)

    def __call__(self, images):
        return {"pixel_values": torch.full((1, 3, 1, 1), float(images.getpixel((0, 0))[0]))}


def pictures(reds, size=1, names=None):
    colours = dict(zip(names or [str(number) for number in range(len(reds))], reds, strict=True))
    return PictureSet(lambda name: Image.new("RGB", (4, 4), (colours[name], 0, 0)), list(colours), Processor(size))


class Encode:
    """Two layers of two numbers from a picture's red; counts pictures."""

    def __init__(self):
        self.count = 0

    def __call__(self, part):
        self.count += len(part)
        red = part.pixel_values(range(len(part)))[:, 0, 0, 0]
        return torch.stack([red, red + 0.5, -red, red * 2], dim=1).reshape(-1, 2, 2)


@pytest.fixture
def encode():
    return Encode()


def test_each_picture_is_encoded_once(encode):
    cache = ImageFeatureCache()
    found = cache.features(pictures([3, 1, 3]), TOWER, encode)
    assert found.tolist() == [[[3, 3.5], [-3, 6]], [[1, 1.5], [-1, 2]], [[3, 3.5], [-3, 6]]]
    assert encode.count == 2  # two names of one picture
    assert torch.equal(cache.features(pictures([1, 3], names=["x", "y"]), TOWER, encode), found[[1, 0]])
    assert encode.count == 2
    assert cache.features(pictures([3, 9]), TOWER, encode)[1, 0, 0] == 9
    assert encode.count == 3


@pytest.mark.parametrize("change", [{"tower": "abd"}, {"layers": [2]}, {"layers": None}, {"token": "mean"}])
def test_it_depends_on_the_tower_and_what_is_read(encode, change, tmp_path):
    ImageFeatureCache(tmp_path).features(pictures([3]), TOWER, encode)
    ImageFeatureCache(tmp_path).features(pictures([3]), TOWER | change, encode)
    assert encode.count == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_it_depends_on_the_preprocessing_and_the_pixels(encode):
    cache = ImageFeatureCache()
    for part in (pictures([3]), pictures([3], size=2), pictures([4])):
        cache.features(part, TOWER, encode)
    assert encode.count == 3


def test_on_disk_it_outlives_the_process_and_grows(encode, tmp_path):
    first = ImageFeatureCache(tmp_path / "features").features(pictures([3, 1]), TOWER, encode)
    later = ImageFeatureCache(tmp_path / "features").features(pictures([5, 1]), TOWER, encode)
    assert encode.count == 3
    assert torch.equal(later[1], first[1])
    assert torch.equal(ImageFeatureCache(tmp_path / "features").features(pictures([3, 1]), TOWER, encode), first)
    assert encode.count == 3
    assert [path.suffix for path in (tmp_path / "features").iterdir()] == [".safetensors"]


@pytest.mark.parametrize("damage", [b"", b"no safetensors at all"])
def test_a_damaged_file_is_made_anew(encode, tmp_path, damage, caplog):
    first = ImageFeatureCache(tmp_path).features(pictures([3]), TOWER, encode)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage)
    assert torch.equal(ImageFeatureCache(tmp_path).features(pictures([3]), TOWER, encode), first)
    assert encode.count == 2
    ImageFeatureCache(tmp_path).features(pictures([3]), TOWER, encode)
    assert encode.count == 2


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(InputError, match="mine is a file"):
        ImageFeatureCache(tmp_path / "mine")
