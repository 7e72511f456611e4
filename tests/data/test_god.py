"""Facts and names of Generic Object Decoding: ids of the published tables, known by hand, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroclip_hf.data.god import FACTS, category_of, image_file, stimulus_id, subject_path
from neuroclip_hf.errors import InputError


@pytest.mark.parametrize(
    ("stimulus", "file"),
    [
        (1443537.022563, "n01443537_22563.JPEG"),
        (2437971.005013, "n02437971_5013.JPEG"),
        (3767745.000109, "n03767745_109.JPEG"),
        (2916179.02485, "n02916179_24850.JPEG"),  # a zero is lost
        (3064758.03875, "n03064758_38750.JPEG"),
        (1855672.0159, "n01855672_15900.JPEG"),  # two
        (12.00047, "n00000012_470.JPEG"),
        (15102894.02256, "n15102894_22560.JPEG"),
        (99999999.999999, "n99999999_999999.JPEG"),
        (np.float64(1664990.000065), "n01664990_65.JPEG"),
    ],
)
def test_an_id_is_a_picture_and_back(stimulus, file):
    assert image_file(stimulus) == file
    category, number = file.removesuffix(".JPEG").split("_")
    assert category_of(stimulus) == category
    assert stimulus_id(int(category[1:]), int(number)) == stimulus


@given(st.integers(0, 99_999_999), st.integers(1, 999_999))
def test_every_id_finds_its_way_back(category, number):
    assert image_file(stimulus_id(category, number)) == f"n{category:08d}_{number}.JPEG"


def test_the_text_of_an_id_misleads():
    stimulus = stimulus_id(1443537, 22560)
    assert str(stimulus) == "1443537.02256"
    assert image_file(stimulus) == "n01443537_22560.JPEG"


@pytest.mark.parametrize(
    ("stimulus", "message"),
    [
        (float("nan"), "nan is no stimulus id"),
        (float("inf"), "inf is no stimulus id"),
        (-1.5, "-1.5 is no stimulus id"),
        (1e8, "100000000.0 is no stimulus id"),
        (1443537.0, "1443537.0 names the category n01443537 and no picture"),
        (1443537.0225634, "more than 6 decimals"),
        (7.9999999, "more than 6 decimals"),
    ],
)
def test_what_is_no_picture_is_refused(stimulus, message):
    with pytest.raises(InputError, match=message):
        image_file(stimulus)


@pytest.mark.parametrize(("category", "number"), [(-1, 5), (10**8, 5), (5, 0), (5, 10**6)])
def test_numbers_that_make_no_id_are_refused(category, number):
    with pytest.raises(InputError, match=f"category {category} and picture {number}"):
        stimulus_id(category, number)


def test_a_category_without_a_picture_has_a_name():
    assert category_of(1443537.0) == "n01443537"


def test_facts_agree_with_one_another():
    assert FACTS.trials == 3450
    assert FACTS.training_categories * FACTS.training_pictures == FACTS.training_runs * FACTS.trials_of_perception_run
    assert FACTS.test_categories * FACTS.test_repeats == FACTS.test_runs * FACTS.trials_of_perception_run
    assert FACTS.test_categories * FACTS.imagery_repeats == FACTS.imagery_runs * FACTS.trials_of_imagery_run


def test_a_subject_has_one_file(tmp_path):
    assert subject_path(tmp_path, 3) == tmp_path / "Subject3.h5"
