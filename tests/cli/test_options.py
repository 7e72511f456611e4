"""The grammar: lists, pairs, ranges, and names that look like markup."""

import pytest

from neuroclip_hf.cli.options import as_list, as_mapping, as_open_range, as_range, print_result, table
from neuroclip_hf.errors import InputError


def test_lists():
    assert as_list("1, 2,") == ("1", "2")
    assert as_list("1") == ("1",)
    assert as_list(None) == as_list("") == ()


def test_pairs():
    assert as_mapping("Stimulus/S  1=face,b=house=x", "--events") == {"Stimulus/S  1": "face", "b": "house=x"}
    for text in ("a", "a=", "=b"):
        with pytest.raises(InputError, match="--events"):
            as_mapping(text, "--events")


def test_ranges():
    assert as_range("-0.1,0.8", "--window") == (-0.1, 0.8)
    assert as_range("none", "--window") is None
    assert as_open_range(",30", "--filter") == (None, 30.0)
    assert as_open_range("1,", "--filter") == (1.0, None)
    assert as_open_range("off", "--filter") == (None, None)
    for text in ("1", "a,b", "1,2,3", ""):
        with pytest.raises(InputError, match="--filter"):
            as_open_range(text, "--filter")
    with pytest.raises(InputError, match="--window"):
        as_range("1,", "--window")


def test_names_with_brackets_and_colons_are_printed_as_they_are(capsys):
    print_result({}, False, table(("a", "b"), [("[bold]x[/nothing]", ":smile:")]))
    out = capsys.readouterr().out
    assert "[bold]x[/nothing]" in out
    assert ":smile:" in out


def test_json_has_no_nan():
    with pytest.raises(ValueError):
        print_result({"a": float("nan")}, True)
