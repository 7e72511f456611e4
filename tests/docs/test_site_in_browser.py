"""The site in headless Chromium, at a laptop's and at a telephone's width, served and from a folder."""

import functools
import http.server
import json
import queue
import shutil
import subprocess
import threading

import pytest

pytestmark = pytest.mark.browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LAPTOP, TELEPHONE = 1280, 390
# Frames have the width that they are given, also below the 500 pixels that a window of Chromium has at least.
MEASURE = """<!DOCTYPE html><body><script>
const pages = {pages}, found = {{}};
const look = (place) => {{
  if (place == pages.length) {{
    fetch("{server}/found", {{method: "POST", mode: "no-cors", body: JSON.stringify(found)}});
    return;
  }}
  const frame = document.createElement("iframe");
  frame.width = {width};
  frame.height = 900;
  frame.src = "{root}/" + pages[place];
  frame.onload = () => setTimeout(() => {{
    const inside = frame.contentDocument;
    const scrolls = (node) => node.closest(".md-typeset__scrollwrap, pre, code");
    found[pages[place]] = {{
      width: inside.documentElement.scrollWidth,
      outside: [...inside.querySelectorAll(".md-content *")].filter(
        (node) => !scrolls(node) && node.getBoundingClientRect().right > {width} + 0.5
      ).map((node) => node.outerHTML.slice(0, 80)),
      broken: [...inside.images].filter((image) => !image.complete || !image.naturalWidth).map((image) => image.src),
      fetched: frame.contentWindow.performance.getEntriesByType("resource").map((entry) => entry.name).filter(
        (name) => !name.startsWith("{root}")),
    }};
    frame.remove();
    look(place + 1);
  }}, 50);
  document.body.append(frame);
}};
look(0);
</script>"""
SEARCH = """<!DOCTYPE html><body><iframe src="/index.html?q=fusion" width="1280" height="900"></iframe><script>
const frame = document.querySelector("iframe");
const look = () => {
  const links = [...frame.contentDocument.querySelectorAll(".md-search-result__link")];
  if (links.length) {
    fetch("/found", {method: "POST", body: JSON.stringify(links.map((link) => link.href))});
  } else {
    setTimeout(look, 200);
  }
};
frame.onload = look;
</script>"""


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and takes what a page has found."""

    def do_POST(self):
        self.server.found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server(site):
    """A server of the site on this machine; `found` is the queue of what pages said."""
    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=site))
    serving.found = queue.Queue()
    serving.address = f"http://127.0.0.1:{serving.server_port}"
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield serving
    serving.shutdown()


@pytest.fixture
def see(server, tmp_path):
    """Open an address, and return what the page there has found."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")

    def look(address):
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
        command += [f"--user-data-dir={tmp_path / 'profile'}", "--remote-debugging-port=0", address]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
            try:
                return server.found.get(timeout=120)
            finally:
                running.terminate()

    return look


@pytest.fixture
def placed(site):
    """Put a page beside those of the site, for as long as the test runs."""
    page = site / "looking.html"
    yield lambda text: page.write_text(text) and "/looking.html"
    page.unlink()


@pytest.mark.parametrize("width", [LAPTOP, TELEPHONE])
def test_no_page_scrolls_sideways_or_fetches_from_elsewhere(site, server, see, placed, width):
    pages = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    facts = {"pages": json.dumps(pages), "width": width, "root": server.address, "server": server.address}
    found = see(server.address + placed(MEASURE.format(**facts)))
    assert sorted(found) == pages
    for page, seen in found.items():
        assert seen["width"] <= width, page
        assert (seen["outside"], seen["broken"], seen["fetched"]) == ([], [], []), page


def test_the_search_finds_a_section(server, see, placed):
    assert any("/method.html" in link for link in see(server.address + placed(SEARCH)))


def test_pages_open_from_a_folder(site, server, see, tmp_path):
    facts = {"pages": '["index.html", "api/models.html"]', "root": site.as_uri(), "server": server.address}
    (tmp_path / "measure.html").write_text(MEASURE.format(width=LAPTOP, **facts))
    found = see((tmp_path / "measure.html").as_uri())
    assert list(found) == ["index.html", "api/models.html"]
    assert [(seen["width"] <= LAPTOP, seen["fetched"]) for seen in found.values()] == [(True, [])] * 2


def test_this_measurement_sees_what_is_wrong(site, server, see, placed):
    (site / "wide.html").write_text(
        '<!DOCTYPE html><body style="margin:0"><div class="md-content"><div style="width:600px">x</div></div>'
        '<img src="none.png"><script src="http://127.0.0.1:9/far.js"></script>'
    )
    facts = {"pages": '["wide.html"]', "width": TELEPHONE, "root": server.address, "server": server.address}
    (seen,) = see(server.address + placed(MEASURE.format(**facts))).values()
    (site / "wide.html").unlink()
    assert (seen["width"], len(seen["outside"]), len(seen["broken"])) == (600, 1, 1)
    assert seen["fetched"] == ["http://127.0.0.1:9/far.js"]
