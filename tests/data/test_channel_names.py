"""Electrodes by what their names mean."""

import pytest

from neuroclip_hf.data.channel_names import match_channels, plain_name
from neuroclip_hf.errors import InputError


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Fp1", "fp1"),
        ("FP1", "fp1"),
        (" Fp1 ", "fp1"),
        ("Fp1.", "fp1"),
        ("Fc5..", "fc5"),
        ("EEG Fp1-REF", "fp1"),
        ("EEG FP1-LE", "fp1"),
        ("EEG_Fp1", "fp1"),
        ("C3-A2", "c3"),
        ("T3", "t7"),
        ("EEG T6-Ref", "p8"),
        ("MEG 0111", "meg0111"),
        ("Fp1-F7", "fp1-f7"),
        ("A1", "a1"),
    ],
)
def test_plain_names(name, plain):
    assert plain_name(name) == plain


def test_a_name_as_it_stands_comes_first():
    assert match_channels(["T7", "O1"], ["T3", "T7", "o1"], "it") == {"T7": "T7", "O1": "o1"}


def test_what_is_not_there_is_left_out():
    assert match_channels(["Oz", "O1"], ["O1", "Fp1-F7"], "it") == {"O1": "O1"}


def test_a_channel_serves_once():
    assert match_channels(["T7", "T3"], ["t7"], "it") == {"T7": "t7"}


@pytest.mark.parametrize("found", [["EEG T3", "t7"], ["T7", "T7"]])
def test_several_that_could_be_meant_are_refused(found):
    with pytest.raises(InputError, match=f"it: channel T7 could be any of {found[0]}, {found[1]}"):
        match_channels(["T7"], found, "it")
