"""`neuroclip download` from a mirror on the loopback."""

import functools
import http.server
import io
import shutil
import threading
import zipfile
from types import SimpleNamespace

import pytest

from neuroclip_hf.data.sources.layouts import recognise


@pytest.fixture
def mirror(tmp_path):
    """A folder that is served, and its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    folder = tmp_path / "mirror"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield SimpleNamespace(folder=folder, url=f"http://127.0.0.1:{server.server_address[1]}")
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def large_disk(monkeypatch):
    """The real files need more room than a machine that runs tests may have."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**12))


def archive(folder, source):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for path in sorted(source.rglob("*")):
            opened.write(path, f"{folder}/{path.relative_to(source).as_posix()}")
    return buffer.getvalue()


def test_what_was_downloaded_is_what_prepare_reads(neuroclip, mirror, simulated, tmp_path, snapshot, monkeypatch):
    monkeypatch.setenv("NEUROCLIP_PROGRESS", "1")  # the bars say when a file is fetched
    for folder in ("sub-01", "sub-02", "training_images", "test_images"):
        (mirror.folder / f"{folder}.zip").write_bytes(archive(folder, simulated / folder))
    to = tmp_path / "to"
    words = ("download", "things-eeg2", "--subjects", "1,2", "--what", "raw,pictures", "--to", to)
    done = neuroclip(*words, "--mirror", mirror.url, "--json")
    assert done.result["folder"] == str(to)
    assert [(one["path"], one["state"]) for one in done.result["files"]] == [
        (folder, "downloaded") for folder in ("test_images", "training_images", "sub-01", "sub-02")
    ]
    assert len(done.result["terms"]) == 2
    assert [done.err.count(terms) for terms in done.result["terms"]] == [1, 1]
    first_bar = min(done.err.index(f"{folder}.zip: ") for folder in ("test_images", "training_images", "sub-01"))
    assert max(map(done.err.index, done.result["terms"])) < first_bar
    assert snapshot(to / "sub-01") == snapshot(simulated / "sub-01")

    assert sorted(recognise(to).files(to)) == [1, 2]

    again = neuroclip(*words, "--mirror", mirror.url)
    assert again.out.count("kept") == 4


@pytest.mark.parametrize(
    ("what", "name", "message"),
    [
        ("metadata", "image_metadata.npy", "the server announces 14 bytes instead of 656579"),
        ("raw", "sub-01.zip", "the server answers 404"),
    ],
)
def test_what_is_wrong_or_missing_there_is_named(neuroclip, mirror, tmp_path, what, name, message):
    (mirror.folder / "image_metadata.npy").write_bytes(b"something else")
    done = neuroclip("download", "things-eeg2", "--what", what, "--to", tmp_path / "to", "--mirror", mirror.url)
    assert (done.code, done.out) == (2, "")
    assert f"Error: {name} from {mirror.url}/{name}: {message}" in done.err
    assert "Traceback" not in done.err
    assert [path.name for path in (tmp_path / "to").iterdir()] == [".downloads"]


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--subjects", "11"], "subject 11"),
        (["--subjects", "one"], "--subjects"),
        (["--what", "films"], "films"),
        (["--mirror", "here"], "mirror"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_made(refused, tmp_path, words, match):
    assert match in refused("download", "things-eeg2", "--to", tmp_path / "to", *words)
    assert not (tmp_path / "to").exists()
