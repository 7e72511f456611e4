"""One file over HTTP, from a server that misbehaves in every way that a test can name."""

import httpx2
import pytest

from neuroclip_hf.data.download import transfer
from neuroclip_hf.data.download.part import Part
from neuroclip_hf.errors import InputError


def test_a_whole_file_arrives_and_nothing_else(get, source, content, tmp_path, left, ranges):
    assert get(source()) is False
    assert (tmp_path / "file").read_bytes() == content
    assert left() == ["file"]
    assert ranges() == [None]


def test_a_broken_connection_goes_on_where_it_broke(get, source, server, content, tmp_path, ranges):
    server.script = ["break 1000", "break 5000"]
    assert get(source()) is False
    assert (tmp_path / "file").read_bytes() == content
    assert ranges() == [None, "bytes=1000-", "bytes=6000-"]
    assert [request[2] for request in server.requests] == [None, '"one"', '"one"']


def test_the_next_process_goes_on(get, fails, source, server, content, tmp_path, left, ranges):
    server.script = ["break 1000", *["status 503"] * 3]
    fails(source(), "503", "1000 of the 640000 bytes that the server announces are kept", "run the same command")
    assert left() == ["file.part", "file.part.json"]
    server.requests.clear()
    assert get(source()) is True
    assert ranges() == ["bytes=1000-"]
    assert (tmp_path / "file").read_bytes() == content


def test_a_complete_part_needs_no_request(get, source, server, content, tmp_path):
    server.script = ["break 1000", "status 404"]
    with pytest.raises(InputError):
        get(source())
    (tmp_path / "file.part").write_bytes(content)
    server.requests.clear()
    assert get(source()) is True
    assert server.requests == []


def test_progress_renews_the_patience(get, source, server, content, tmp_path):
    server.script = ["break 10"] * 10
    get(source())
    assert (tmp_path / "file").read_bytes() == content


def test_a_server_without_ranges_begins_again(get, source, server, content, tmp_path):
    server.script = ["break 1000", "rangeless"]
    get(source())
    assert (tmp_path / "file").read_bytes() == content


def test_a_server_without_ranges_that_always_breaks_is_given_up(fails, source, server):
    server.script = ["rangeless 1000"] * 50
    fails(source(), "3 times in a row")
    assert len(server.requests) == 1 + 3


@pytest.mark.parametrize("word", ["change", "change careless"])
def test_a_file_that_changes_in_between_is_never_glued(get, source, server, content, tmp_path, word):
    server.script = ["break 1000", word]
    get(source(size=None, sha256=None))
    assert (tmp_path / "file").read_bytes() == content[::-1]


@pytest.mark.parametrize("word", ["elsewhere 900", "elsewhere 1100", "vague", "vague bytes */640000", "vague lines 1"])
def test_another_range_than_was_asked_for_is_not_glued(get, source, server, content, tmp_path, word):
    server.script = ["break 1000", word]
    get(source(size=None, sha256=None))
    assert (tmp_path / "file").read_bytes() == content


def test_a_range_that_nobody_asked_for_is_not_taken(get, source, server, content, tmp_path):
    server.script = ["elsewhere 1000"]
    get(source(size=None, sha256=None))
    assert (tmp_path / "file").read_bytes() == content


def test_no_redirect_leaves_encryption(source, tmp_path):
    answer = httpx2.Response(200, request=httpx2.Request("GET", "http://127.0.0.1/file.bin"))
    with pytest.raises(InputError, match="without encryption"):
        transfer._check_answer(answer, source(url="https://127.0.0.1/file.bin"), Part(tmp_path / "file"))


def test_a_changed_date_is_a_changed_file(get, source, server, content, tmp_path):
    server.etag, server.modified = 'W/"weak"', "Mon, 01 Jan 2024 00:00:00 GMT"
    server.script = ["break 1000"]
    get(source())
    assert server.requests[-1][2] == server.modified
    assert (tmp_path / "file").read_bytes() == content


@pytest.mark.parametrize(("known", "asked"), [({}, "bytes=1000-"), ({"size": None, "sha256": None}, None)])
def test_without_a_version_only_a_checked_file_is_continued(
    get, source, server, content, tmp_path, known, asked, ranges
):
    server.etag = None
    server.script = ["break 1000"]
    get(source(**known))
    assert ranges() == [None, asked]
    assert (tmp_path / "file").read_bytes() == content


def test_bytes_of_another_address_are_not_continued(get, fails, source, server, ranges):
    server.script = ["break 1000", "status 404"]
    fails(source(), "404")
    server.files["other.bin"] = server.files["file.bin"]
    server.requests.clear()
    assert get(source(url=f"{server.address}/other.bin")) is False
    assert ranges() == [None]


def test_more_bytes_than_the_server_has_are_thrown_away(get, fails, source, server, content, tmp_path):
    server.script = ["break 1000", "status 404"]
    fails(source(), "404")
    server.script = ["status 416"]
    assert get(source()) is False
    assert (tmp_path / "file").read_bytes() == content


@pytest.mark.parametrize("note", ["", "[]", '{"url": 1}'])
def test_an_unreadable_note_begins_again(get, source, server, content, tmp_path, note):
    (tmp_path / "file.part").write_bytes(b"something else")
    (tmp_path / "file.part.json").write_text(note)
    assert get(source()) is False
    assert (tmp_path / "file").read_bytes() == content
