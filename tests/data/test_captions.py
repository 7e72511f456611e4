"""Texts by name, from JSON or a table."""

import pytest

from neuroclip_hf.data.captions import read_texts
from neuroclip_hf.errors import InputError


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("texts.json", '{"a": "a cat, asleep", "b": "a dog"}'),
        ("texts.csv", '\ufeffa,"a cat, asleep"\n\n b , a dog \n'),
        ("texts.TSV", "a\ta cat, asleep\nb\ta dog\n"),
    ],
)
def test_the_same_texts_in_every_form(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_texts(tmp_path / name) == {"a": "a cat, asleep", "b": "a dog"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("texts.csv", b"a,a cat\nb,a dog,c\n", r"texts\.csv, line 2: 3 columns, not 2"),
        ("texts.csv", b"a,a cat\na,a dog\n", r"texts\.csv: 'a' comes twice"),
        ("texts.csv", b"a,\n", r"texts\.csv must hold one text by name, none of them empty"),
        ("texts.csv", b"a,\xff\n", r"texts\.csv cannot be read as a table"),
        ("texts.json", b'["a cat"]', r"texts\.json must hold one text by name"),
        ("texts.json", b'{"a": 1}', r"texts\.json must hold one text by name"),
    ],
)
def test_what_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_texts(tmp_path / name)
