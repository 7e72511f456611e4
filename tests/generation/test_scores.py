"""Scores whose answers are known by hand."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import structural_similarity

from neuroclip_hf.generation.scores import by_score, identification, picture_scores


def picture(seed=0, size=(24, 24)):
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def test_a_picture_is_like_itself_and_unlike_its_negative():
    same, negative = picture(), Image.eval(picture(), lambda value: 255 - value)
    assert picture_scores(same, same) == pytest.approx({"pixel_correlation": 1.0, "ssim": 1.0})
    assert picture_scores(same, negative)["pixel_correlation"] == pytest.approx(-1.0)
    assert picture_scores(same, negative)["ssim"] < 0


def test_noise_is_like_nothing_and_neither_is_one_colour():
    assert abs(picture_scores(picture(1), picture(2))["pixel_correlation"]) < 0.1
    assert picture_scores(picture(1), Image.new("RGB", (24, 24), "grey"))["pixel_correlation"] == 0


def test_ssim_is_scikit_images_of_the_luminance():
    one, other = picture(1), picture(2)
    grey = [np.asarray(each) / 255 @ [0.2125, 0.7154, 0.0721] for each in (one, other)]
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    assert picture_scores(one, other)["ssim"] == pytest.approx(structural_similarity(*grey, **settings))


def test_the_centre_of_a_wide_picture_is_compared_at_the_painted_size():
    wide = Image.new("RGB", (72, 24), "red")
    wide.paste(picture(), (24, 0))
    assert picture_scores(wide, picture())["pixel_correlation"] == pytest.approx(1.0)
    large = picture().resize((96, 96), Image.Resampling.NEAREST)
    assert picture_scores(large, picture())["pixel_correlation"] > 0.9


def test_pictures_below_the_window_have_no_ssim():
    small = picture(0, (8, 8))
    assert list(picture_scores(small, small)) == ["pixel_correlation"]


def test_identification_is_part_of_pairs_in_which_the_right_one_wins():
    gallery = torch.eye(4) + 10.0  # a large part in common, which says nothing
    painted = gallery[[0, 1, 2]].clone()
    painted[1] = gallery[0]
    mask = torch.eye(4, dtype=torch.bool)[:3]
    found = identification(painted, gallery, mask)
    assert found[0] == found[2] == 1.0
    assert found[1] < 0.5


def test_rows_become_columns():
    assert by_score([{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}]) == {"a": [1.0, 3.0], "b": [2.0, 4.0]}
