"""A server on the loopback that does what a test tells it, and sources that point to it."""

import hashlib
import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from neuroclip_hf.data.download import Patience, Source
from neuroclip_hf.data.download.transfer import fetch
from neuroclip_hf.errors import InputError


class Server(ThreadingHTTPServer):
    """Serves `files`; `script` holds a word for each of the next answers, of which the rest are "good"."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.script, self.requests = {}, [], []
        self.etag = '"one"'
        self.modified = None
        self.sent = 0
        self.release = threading.Event()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        """Clients hang up on purpose."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.close_connection = True
        word, _, value = (self.server.script.pop(0) if self.server.script else "good").partition(" ")
        self.server.requests.append((self.path, self.headers.get("Range"), self.headers.get("If-Range"), self.headers))
        getattr(self, f"answer_{word.replace('-', '_')}")(value)

    def body(self):
        return self.server.files[self.path.partition("?")[0].lstrip("/")]

    def send(self, status, body, size=None, **headers):
        self.send_response(status)
        self.send_header("Connection", "close")
        if size != "none":
            self.send_header("Content-Length", str(len(body) if size is None else size))
        if self.server.etag:
            self.send_header("ETag", self.server.etag)
        if self.server.modified:
            self.send_header("Last-Modified", self.server.modified)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def answer_good(self, value, cut=None, honour_if_range=True):
        body = self.body()
        wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
        if wanted and (not honour_if_range or condition in (None, self.server.etag, self.server.modified)):
            begin = int(wanted.removeprefix("bytes=").rstrip("-"))
            if begin >= len(body):
                return self.send(416, b"")
            extent = f"bytes {begin}-{len(body) - 1}/{len(body)}"
            return self.send(206, body[begin:][:cut], len(body) - begin, Content_Range=extent)
        return self.send(200, body[:cut], len(body))

    def answer_break(self, value):
        """Hang up after so many bytes."""
        self.answer_good(value, cut=int(value))

    def answer_stall(self, value):
        """Send so many bytes, and then nothing."""
        self.answer_good("", cut=int(value))
        self.wfile.flush()
        self.server.release.wait(60)

    def answer_careless(self, value):
        """Send a range without asking whether it is still the same file."""
        self.answer_good(value, honour_if_range=False)

    def answer_elsewhere(self, value):
        """Send another range than was asked for."""
        body, begin = self.body(), int(value)
        self.send(206, body[begin:], Content_Range=f"bytes {begin}-{len(body) - 1}/{len(body)}")

    def answer_vague(self, value):
        """Send a range without saying which."""
        self.send(206, self.body(), Content_Range=value)

    def answer_rangeless(self, value):
        self.send(200, self.body()[: int(value) if value else None], len(self.body()))

    def answer_sizeless(self, value):
        self.send(200, self.body(), "none")

    def answer_endless(self, value):
        """Send until the client hangs up, or a lot has gone out."""
        self.send(200, b"", "none")
        while self.server.sent < 200_000_000:
            self.wfile.write(self.body())
            self.server.sent += len(self.body())

    def answer_announce(self, value):
        self.send(200, self.body(), int(value))

    def answer_status(self, value):
        self.send(int(value), b"no")

    def answer_later(self, value):
        self.send(503, b"", Retry_After=value)

    def answer_redirect(self, value):
        self.send(302, b"", Location=value)

    def answer_zipped(self, value):
        self.send(200, self.body(), Content_Encoding="gzip")

    def answer_silence(self, value):
        self.server.release.wait(60)

    def answer_change(self, value):
        """Another version of the file is there from now on; this answer is already of it."""
        self.server.files[self.path.lstrip("/")] = bytes(reversed(self.body()))
        self.server.etag = '"two"'
        self.answer_good("") if not value else getattr(self, f"answer_{value}")("")


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()
    thread.join(60)


@pytest.fixture
def impatient():
    return Patience(attempts=3, timeout=20, pause=0.001, longest_pause=0.01)  # a busy machine may be slow to answer


@pytest.fixture
def content():
    """More than one read of a socket."""
    return hashlib.sha256(b"seed").digest() * 20_000


@pytest.fixture
def source(server, content):
    """Put bytes on the server and get the source that describes them."""

    def make(body=content, name="file.bin", **changes):
        server.files[name] = body
        given = {
            "name": name,
            "kind": "raw",
            "url": f"{server.address}/{name}",
            "page": "https://example.org/page",
            "terms": "These are the terms.",
            "download_size": len(body),
            "unpacked_size": len(body),
            "size": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        return Source(**{**given, **changes})

    return make


@pytest.fixture
def zipped():
    """The bytes of a zip archive of the given files."""

    def make(files):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, body in files.items():
                archive.writestr(name, body)
        return buffer.getvalue()

    return make


@pytest.fixture
def archive_source(source, zipped):
    """The source of a zip archive, about which no more is known than about the real ones."""

    def make(files, name="sub-01.zip", folder="sub-01"):
        body = zipped(files)
        return source(body, name, size=None, sha256=None, folder=folder, unpacked_size=100_000)

    return make


@pytest.fixture
def get(tmp_path, impatient):
    """Fetch a source to `tmp_path / "file"`."""
    return lambda source, patience=impatient: fetch(source, tmp_path / "file", patience)


@pytest.fixture
def fails(get, tmp_path):
    """Fetching raises an error with these words; nothing is left under the final name."""

    def check(source, *words):
        with pytest.raises(InputError) as caught:
            get(source)
        assert not (tmp_path / "file").exists()
        message = str(caught.value)
        assert [word for word in (source.name, *words) if word not in message] == [], message
        return message

    return check


@pytest.fixture
def left(tmp_path):
    """Names of what lies in the test's folder."""
    return lambda: sorted(path.name for path in tmp_path.iterdir())


@pytest.fixture
def ranges(server):
    """The ranges that the server was asked for."""
    return lambda: [request[1] for request in server.requests]
