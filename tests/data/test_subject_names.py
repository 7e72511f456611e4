"""Names of subjects that a dataset counts."""

import pytest

from neuroclip_hf.data.subject_names import subject_folder, subject_number


@pytest.mark.parametrize("number", [1, 10, 123])
def test_a_folder_gives_its_number_back(number):
    assert subject_number(subject_folder(number)) == subject_number(str(number)) == number


def test_numbers_have_two_digits():
    assert subject_folder(7) == "sub-07"


@pytest.mark.parametrize("name", ["", "sub-", "sub-x", "S1", "sub-01 ", "01a"])
def test_other_names_have_no_number(name):
    assert subject_number(name) is None
