"""Each view alone, with its answer known; equal seeds give equal pictures."""

import pickle

import numpy as np
import pytest
from PIL import Image

from neuroclip_hf.errors import InputError
from neuroclip_hf.processing.picture_views import PictureView, ViewOpener


@pytest.fixture
def picture():
    """64 x 48 pixels of noise."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))


def shown(picture, seed=0, **settings):
    before = picture.tobytes()
    made = PictureView.of(settings).show(picture, np.random.default_rng(seed))
    assert picture.tobytes() == before
    assert (made.mode, made.size) == ("RGB", picture.size)
    return np.asarray(made).astype(float)


def dot():
    """White at the centre of black, 65 x 65."""
    values = np.zeros((65, 65, 3), dtype=np.uint8)
    values[32, 32] = 255
    return Image.fromarray(values)


def test_without_settings_it_is_the_picture_itself(picture):
    np.testing.assert_array_equal(shown(picture), np.asarray(picture))
    grey = picture.convert("L")
    np.testing.assert_array_equal(shown(grey), np.asarray(grey.convert("RGB")))


def test_blur_is_a_gaussian_in_parts_of_the_shorter_side():
    values = np.zeros((80, 160, 3), dtype=np.uint8)
    values[:, 80:] = 255  # an edge: its slope is the Gaussian
    slope = np.diff(shown(Image.fromarray(values), blur=0.05)[40, :, 0]) / 255
    places = np.arange(159) + 0.5
    deviation = np.sqrt((slope * (places - (slope * places).sum()) ** 2).sum())
    assert deviation == pytest.approx(0.05 * 80, rel=0.1)


def test_a_fovea_keeps_half_of_the_centre_and_less_of_the_corner():
    values = np.random.default_rng(0).integers(0, 256, (65, 65, 3), dtype=np.uint8)
    picture, sharp = Image.fromarray(values), values.astype(float)
    blurred, made = shown(picture, blur=0.2), shown(picture, blur=0.2, fovea=3)
    for place, share in (((32, 32), 0.5), ((32, 0), 0.5 * np.exp(-3 / np.sqrt(2))), ((0, 64), 0.5 * np.exp(-3))):
        np.testing.assert_allclose(made[place], share * sharp[place] + (1 - share) * blurred[place], atol=0.51)


def test_a_mosaic_has_so_many_blocks_along_the_shorter_side(picture):
    made = shown(picture, mosaic=12)
    blocks = made.reshape(12, 4, 16, 4, 3)
    assert (blocks == blocks[:, :1, :, :1]).all()
    means = np.asarray(picture).reshape(12, 4, 16, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(blocks[:, 0, :, 0], means, atol=1)


def test_low_resolution_takes_the_detail_out_and_keeps_the_mean(picture):
    made = shown(picture, low_resolution=0.125)
    assert np.abs(np.diff(made, axis=1)).mean() < np.abs(np.diff(np.asarray(picture).astype(float), axis=1)).mean() / 5
    assert made.mean() == pytest.approx(np.asarray(picture).mean(), rel=0.03)
    assert shown(picture, low_resolution=0.001).std(axis=(0, 1)).max() == 0  # a single pixel


def test_noise_is_in_parts_of_the_range_of_a_colour():
    grey = Image.new("RGB", (64, 64), (128, 128, 128))
    added = shown(grey, noise=0.1) - 128
    assert added.std() / 255 == pytest.approx(0.1, rel=0.05)
    assert abs(np.corrcoef(added[..., 0].ravel(), added[..., 1].ravel())[0, 1]) < 0.05
    black = shown(Image.new("RGB", (64, 64)), noise=0.1)  # below it there is nothing
    assert (black == 0).mean() == pytest.approx(0.5, abs=0.05)
    assert black.max() < 160


def test_several_are_done_together():
    assert 0 < shown(dot(), mosaic=13, blur=0.05).max() < shown(dot(), mosaic=13).max()


def test_equal_seeds_pictures_and_views_give_equal_bytes(picture):
    def opened(name="a", **changes):
        settings = {"open_picture": lambda _: picture, "view": PictureView(noise=0.2), "seed": 1, "number": 0}
        return ViewOpener(**{**settings, **changes})(name).tobytes()

    assert opened() == opened()
    assert len({opened(), opened("b"), opened(seed=2), opened(number=1)}) == 4


def test_processes_that_load_data_can_be_given_one():
    opener = pickle.loads(pickle.dumps(ViewOpener(Image.open, PictureView(blur=0.1), 3)))
    assert opener == ViewOpener(Image.open, PictureView(blur=0.1), 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"blurr": 1}, "'blurr' is unknown: a view has low_resolution, mosaic, blur, fovea, noise"),
        ({"blur": -0.1}, "blur is -0.1"),
        ({"blur": float("nan")}, "blur is nan"),
        ({"blur": "much"}, "blur is 'much'"),
        ({"noise": True}, "noise is True"),
        ({"mosaic": 2.5}, "mosaic is 2.5: it must be a whole number"),
        ({"low_resolution": 0}, "low_resolution is 0"),
        ({"low_resolution": 2}, "low_resolution is 2"),
        ({"fovea": 3}, "fovea is 3, but blur is 0"),
    ],
)
def test_impossible_views_are_named(settings, message):
    with pytest.raises(InputError, match=message):
        PictureView.of(settings)
