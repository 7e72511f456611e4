"""The grammar: lists, pairs, ranges, and names that look like markup."""

import pytest

from neuroclip_hf.cli.options import (
    as_list,
    as_mapping,
    as_names,
    as_numbers,
    as_open_range,
    as_range,
    print_result,
    table,
)
from neuroclip_hf.errors import InputError


def test_lists():
    assert as_list("1, 2", "--subjects") == ("1", "2")
    assert as_list("1", "--subjects") == ("1",)
    assert as_list(None, "--subjects") == as_list(" ", "--subjects") == ()
    assert as_names("b, a", ("c",), "--channels") == ("b", "a")
    assert as_names(None, ("c",), "--channels") == ("c",)


@pytest.mark.parametrize("text", ["Oz,,O1", "Oz,O1,", ",Oz", "Oz, ,O1", ","])
def test_empty_entries_are_refused_in_every_kind_of_list(text):
    message = f"^--channels '{text}': an entry is empty: write one comma between two entries"
    for read in (as_list, lambda text, option: as_names(text, (), option), as_mapping):
        with pytest.raises(InputError, match=message):
            read(text, "--channels")
    with pytest.raises(InputError, match="--subjects '1,,2': write whole numbers"):
        as_numbers("1,,2", "--subjects")


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
