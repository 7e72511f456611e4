"""What a server answers that is no part of the file, what is refused, and what nobody may read in a log."""

import errno
import json
import logging
import shutil
import time
from types import SimpleNamespace

import pytest

from neuroclip_hf.data.download import transfer
from neuroclip_hf.data.download.transfer import Patience
from neuroclip_hf.errors import InputError


def test_wrong_bytes_are_fetched_once_more_and_then_refused(get, fails, source, server, content, left):
    wrong = source(sha256="0" * 64)
    fails(wrong, "SHA-256", "0" * 64, "--mirror")
    assert len(server.requests) == 2
    assert left() == []


def test_a_damaged_part_is_noticed_and_repaired(get, fails, source, server, content, tmp_path):
    server.script = ["break 1000", "status 404"]
    fails(source(), "404")
    (tmp_path / "file.part").write_bytes(b"x" * 1000)
    get(source())
    assert (tmp_path / "file").read_bytes() == content


def test_another_announced_size_is_refused_at_once(fails, source, server):
    fails(source(size=7), "640000 bytes instead of 7")
    assert len(server.requests) == 1


def test_a_size_that_is_announced_too_large_is_given_up(fails, source, server):
    server.script = ["announce 700000"] * 50
    words = ("3 times in a row", "640000 of the 700000 bytes that the server announces")
    fails(source(size=None, sha256=None, download_size=700_000), *words)


def test_a_size_that_is_announced_too_large_is_told_where_no_more_comes(fails, source, server):
    server.script = ["announce 700000", "status 416"] * 50
    fails(source(size=None, sha256="0" * 64, download_size=700_000), "announces 700000 bytes and has 640000")


def test_a_size_that_is_announced_too_small_is_noticed(fails, source, server):
    server.script = ["announce 1000"] * 50
    fails(source(size=None), "SHA-256")


def test_without_an_announced_size_the_known_one_decides(get, source, server, content, tmp_path):
    server.script = ["sizeless"]
    get(source())
    assert (tmp_path / "file").read_bytes() == content


@pytest.mark.parametrize("changes", [{"size": 1000}, {"size": None, "download_size": 9, "unpacked_size": 9}])
def test_more_bytes_than_there_may_be_are_not_written(fails, source, server, changes, left):
    server.script = ["sizeless"]
    fails(source(**changes), "more than")
    assert left() == []


def test_a_file_without_end_is_left_early(fails, source, server):
    server.script = ["endless"]
    fails(source(), "more than 640000 bytes")
    assert server.sent < 50_000_000


def test_too_few_bytes_are_noticed_without_a_checksum(fails, source, server):
    server.script = ["sizeless", "sizeless"]
    fails(source(size=640_001, sha256=None), "640000 bytes instead of 640001, twice")


def test_a_far_too_large_file_is_not_begun(fails, source, left):
    fails(source(size=None, download_size=9, unpacked_size=9), "640000")
    assert left() == []


def test_a_page_instead_of_an_archive_is_named(fails, source, server):
    page = b"<!DOCTYPE html><p>Log in" + b" " * 100
    fails(source(page, "sub-01.zip", sha256=None, size=None, folder="sub-01"), "no readable zip", "<!DOCTYPE")


def test_an_empty_file_is_none(fails, source):
    fails(source(b"", size=None, sha256=None), "empty")


@pytest.mark.parametrize(("status", "word"), [(404, "404"), (403, "so many downloads"), (401, "by hand")])
def test_a_refusal_is_not_tried_again(fails, source, server, status, word):
    server.script = [f"status {status}"] * 50
    fails(source(), str(status), word, "https://example.org/page")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_trouble_is_tried_again(get, source, server, content, tmp_path, status):
    server.script = [f"status {status}"] * 2
    get(source())
    assert (tmp_path / "file").read_bytes() == content


def test_pauses_grow_and_the_server_may_ask_for_longer(get, source, server, monkeypatch):
    pauses = []
    monkeypatch.setattr(transfer, "time", SimpleNamespace(sleep=pauses.append))
    server.script = ["status 500", "status 500", "status 500", "later 7", "later 99", "later Monday"]
    get(source(), Patience(attempts=8, timeout=20, pause=1.0, longest_pause=20.0))
    assert pauses == [1, 2, 4, 8, 20, 20]


def test_a_server_that_never_answers_is_given_up(get, source, server):
    server.script = ["silence"] * 50
    patience = Patience(attempts=2, timeout=0.5, pause=0.001, longest_pause=0.01)
    with pytest.raises(InputError, match=r"file\.bin .*does not answer"):
        get(source(), patience)
    until = time.monotonic() + 60  # a busy machine's server may come to them late
    while len(server.requests) < patience.attempts and time.monotonic() < until:
        time.sleep(0.01)
    assert len(server.requests) == patience.attempts


def test_nobody_there_is_given_up(fails, source, server):
    fails(source(url="http://127.0.0.1:9/file.bin"), "ConnectError")


def test_redirects_are_followed_and_their_secrets_kept(get, source, server, content, tmp_path, caplog, ranges):
    caplog.set_level(logging.DEBUG)
    server.script = ["redirect /file.bin?signature=SECRET", "break 1000", "redirect /file.bin?signature=SECRET"]
    wanted = source()
    wanted = source(url=wanted.url.replace("http://", "http://me:SECRET@").replace("file.bin", "door?token=SECRET"))
    get(wanted)
    assert (tmp_path / "file").read_bytes() == content
    assert ranges() == [None, None, "bytes=1000-", "bytes=1000-"]
    assert server.requests[0][3]["Authorization"].startswith("Basic ")
    assert "trying again" in caplog.text
    assert "SECRET" not in caplog.text


def test_secrets_are_in_no_message_and_no_file(fails, source, server, tmp_path):
    wanted = source()
    server.script = ["break 1000", "status 404"]
    message = fails(source(url=wanted.url.replace("http://", "http://me:SECRET@") + "?token=SECRET"), "404")
    assert "SECRET" not in message
    assert "SECRET" not in (tmp_path / "file.part.json").read_text()
    assert json.loads((tmp_path / "file.part.json").read_text())["url"] == wanted.url


def test_endless_redirects_end(fails, source, server):
    server.script = ["redirect /file.bin"] * 50
    fails(source(), "TooManyRedirects")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/file.bin", "file:///etc/passwd"])
def test_other_protocols_are_refused(fails, source, server, url):
    server.script = [f"redirect {url}"]
    fails(source(), "cannot be fetched")
    fails(source(url=url), "cannot be fetched")


def test_what_comes_compressed_is_refused(fails, source, server):
    server.script = ["zipped"]
    fails(source(), "compressed")
    assert server.requests[0][3]["Accept-Encoding"] == "identity"


def test_the_disk_is_looked_at_first(fails, source, server, content, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=len(content) - 1))
    fails(source(), "640000 more bytes", "639999", "free some space")
    server.requests.clear()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=len(content)))
    transfer.fetch(source(), tmp_path / "other", Patience())
    assert (tmp_path / "other").exists()


def test_a_disk_that_fills_up_keeps_what_came(get, fails, source, server, content, tmp_path, monkeypatch):
    class Full:
        def __init__(self, *arguments, **options):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def update(self, size):
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(transfer, "progress", Full)
        with pytest.raises(InputError, match=r"file\.part cannot be written: the disk is full"):
            get(source())
    assert 0 < (tmp_path / "file.part").stat().st_size < len(content)
    assert get(source()) is True
    assert (tmp_path / "file").read_bytes() == content
