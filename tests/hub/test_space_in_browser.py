"""The Space in headless Chromium: load, an example, a good and a bad upload; at a laptop's and a telephone's width."""

import importlib.util
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("gradio")
pytestmark = pytest.mark.browser

LAPTOP, TELEPHONE = 1280, 390
OUTSIDE = """[...document.querySelectorAll(".gradio-container *")].filter(
    (node) => node.getBoundingClientRect().right > window.innerWidth + 0.5 && node.getBoundingClientRect().width
  ).map((node) => node.outerHTML.slice(0, 80))"""
FETCHED = """performance.getEntriesByType("resource").map((entry) => entry.name).filter(
    (name) => !name.startsWith(location.origin) && !name.startsWith("data:"))"""
BROKEN = "[...document.images].filter((one) => !one.complete || !one.naturalWidth).length"
ANSWERED = """!!document.querySelector("#status [role=status]")
    && !!document.querySelector("#averaging p, #averaging img")
    && document.querySelectorAll("#found img").length"""


@pytest.fixture(scope="module")
def shelf_folder(run_folder, store, tmp_path_factory):
    from neuroclip_hf.space.shelf import write_shelf

    folder = tmp_path_factory.mktemp("space") / "shelf"
    write_shelf(run_folder, store, folder)
    return folder


@pytest.fixture(scope="module")
def address(shelf_folder, project, tmp_path_factory):
    """hub/space/app.py as the Hub runs it, on this machine."""
    log = tmp_path_factory.mktemp("log") / "log"
    variables = {**os.environ, "NEUROCLIP_SPACE": str(shelf_folder), "PYTHONPATH": str(project)}
    with log.open("w") as file:
        command = [sys.executable, str(project / "hub" / "space" / "app.py")]
        with subprocess.Popen(command, env=variables, stdout=file, stderr=file) as running:
            try:
                yield _said(log, running)
            finally:
                running.terminate()


def _said(log, running):
    for _ in range(1200):
        found = re.search(r"http://[\d.]+:\d+/", log.read_text())
        if found:
            return found.group()
        assert running.poll() is None, log.read_text()
        time.sleep(0.25)
    raise AssertionError(log.read_text())


@pytest.fixture
def browser(tmp_path):
    spec = importlib.util.spec_from_file_location("browser", Path(__file__).parents[1] / "browser.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if module.find_browser() is None:
        pytest.skip(f"no browser: none of {', '.join(module.BROWSERS)} is installed")
    opened = module.Browser(tmp_path / "profile")
    yield opened
    opened.close()


@pytest.mark.parametrize("width", [LAPTOP, TELEPHONE])
def test_a_visit(address, browser, shelf_folder, tmp_path, width):
    shots = Path(os.environ.get("NEUROCLIP_SCREENSHOTS", tmp_path))

    def look(what):
        browser.picture(shots / f"{width}-{what}.png")
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert (browser.run(OUTSIDE), browser.run(FETCHED), browser.run(BROKEN)) == ([], [], 0)

    browser.open(address, width)
    assert browser.wait("document.querySelectorAll('#examples input').length") == 2
    assert "are simulated" in browser.run("document.body.innerText")
    look("load")

    browser.run("document.querySelectorAll('#examples input')[0].click()")
    assert browser.wait(ANSWERED) == 6
    assert "sub 01, pictures 01 to 06: 24 trials" in browser.run("document.querySelector('#status').innerText")
    assert browser.run("[...document.querySelectorAll('#epochs img, #mattered img, #averaging img')].length") >= 3
    look("example")

    bad = tmp_path / "bad.npy"
    bad.write_bytes(b"x")
    browser.upload("#upload input[type=file]", bad)
    said = browser.wait("document.querySelector('#status [role=alert]')?.innerText")
    assert said.startswith("bad.npy was not opened, since files of type .npy may hold a pickle")
    assert not browser.run("document.querySelector('#found')?.offsetParent")
    look("refused")

    browser.open(address, width)
    browser.wait("document.querySelectorAll('#upload input[type=file]').length")
    good = sorted((shelf_folder / "examples").iterdir())[1]
    browser.upload("#upload input[type=file]", good)
    assert browser.wait(ANSWERED) == 6
    assert f"{good.name}: 24 trials" in browser.run("document.querySelector('#status').innerText")
    look("uploaded")
    trials = "document.querySelector('#found p')?.innerText.includes('From one trial')"
    browser.run("document.querySelector('#count input[type=range]').focus()")
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="Home", code="Home", windowsVirtualKeyCode=36)
    assert browser.wait(trials)

    # Each of the two ways to choose a recording empties the other, so that the same can be chosen again.
    first = "document.querySelectorAll('#examples input')[0]"
    answered = "document.querySelector('#status').innerText.includes('pictures 01 to 06: 24 trials')"
    for _ in range(2):
        browser.run(f"{first}.click()")
        browser.wait(answered)
        assert browser.wait("!!document.querySelector('#upload input[type=file]')")
        browser.upload("#upload input[type=file]", good)
        browser.wait(f"document.querySelector('#status').innerText.includes('{good.name}')")
        assert not browser.run(f"{first}.checked")

    browser.open(address, width)
    browser.wait("document.querySelectorAll('#upload input[type=file]').length")
    large = tmp_path / "large.edf"
    with large.open("wb") as file:
        file.truncate((100 << 20) + 1)
    browser.upload("#upload input[type=file]", large)
    said = browser.wait("document.querySelector('#too-large')?.innerText")
    assert said.startswith("large.edf: the upload has 101 MB, and 100 MB are taken: crop the recording")
    look("too-large")
