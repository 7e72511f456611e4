"""The page in a real browser: headless Chromium, at a laptop's and at a telephone's width."""

import re
import shutil
import subprocess

import pytest

from neuroclip_hf.figures.page import PageSettings, write_page

pytestmark = pytest.mark.browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LAPTOP, TELEPHONE = 1280, 390
# Frames have the width that they are given, also below the 500 pixels that a window of Chromium has at least.
MEASURE = """<!DOCTYPE html><body>
<iframe id="page" src="{page}" width="{width}" height="900" style="border:0"></iframe>
<script>
const frame = document.getElementById("page");
frame.onload = () => {{
  const inside = frame.contentDocument;
  const root = inside.documentElement;
  const outside = [...inside.querySelectorAll("body *")].filter(
    (one) => !one.closest(".scroll") && one.getBoundingClientRect().right > {width} + 0.5);
  const broken = [...inside.images].filter((one) => !one.complete || !one.naturalWidth);
  const widest = Math.max(0, ...[...inside.images].filter(
    (one) => !one.closest(".wide")).map((one) => one.getBoundingClientRect().width));
  const title = document.createElement("pre");
  title.id = "found";
  title.textContent = [root.scrollWidth, outside.length, inside.images.length, broken.length, widest,
    inside.querySelectorAll(".scroll").length,
    Math.max(0, ...[...inside.querySelectorAll("tr")].map((one) => one.getBoundingClientRect().height)),
    [...inside.querySelectorAll(".scroll")].filter((one) => one.scrollWidth > one.clientWidth + 1).length].join(" ");
  document.body.append(title);
}};
</script>"""


@pytest.fixture(scope="session")
def browser():
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    return found


@pytest.fixture
def open_page(browser, tmp_path):
    """Open a page at a width.

    Scroll width, elements beyond the edge, pictures, broken ones, widest one, boxes, highest row of a table, boxes
    that hold more than shows.
    """

    def measure(page, width):
        document = tmp_path / f"measure-{width}.html"
        document.write_text(MEASURE.format(page=page.resolve().as_uri(), width=width))
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
        command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000"]
        command += [f"--window-size={width + 40},1000", "--dump-dom", document.resolve().as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        found = re.search(r'<pre id="found">([^<]+)</pre>', done.stdout)
        assert found, done.stderr[-2000:]
        return [float(word) for word in found[1].split()]

    return measure


@pytest.fixture
def everything(made, tmp_path):
    """A page of results of every kind, with names as long as they come."""
    folder = tmp_path / "all"
    made.make_run(folder / "run", flags=["long" * 60], subjects=["sub-" + "x" * 80, "sub-02"])
    made.make_reproduction(folder / "nice", recipe="nice", tower="tower/" + "y" * 150)
    made.make_reproduction(folder / "inter", recipe="shallow-alignment" * 3, protocol="inter")
    made.make_ablation(folder / "segments", over="segments", names=made.segments())
    made.make_ablation(folder / "encoders", over="encoders", names=["eeg_project", "z" * 90])
    write_page(folder, tmp_path / "page.html")
    return tmp_path / "page.html"


@pytest.mark.parametrize("width", [LAPTOP, TELEPHONE])
def test_the_page_never_scrolls_sideways(everything, open_page, width):
    scroll_width, outside, pictures, broken, widest, boxes, *_ = open_page(everything, width)
    assert scroll_width <= width
    assert outside == 0
    assert pictures == everything.read_text(encoding="utf-8").count("data:image/png") > 15
    assert broken == 0
    assert widest <= min(width, 560)
    assert boxes > pictures


def test_tables_show_whole_on_a_laptop_and_without_gaps_on_a_telephone(made, open_page, tmp_path):
    run = made.run_report()
    words = "the test queries themselves, each picture given to one query of a subject at most"
    method, whitening = "whitening of both sides", "own-session whitening"
    tiers = [{**tier, "fitted_on": words, "method": method, "whitening": whitening} for tier in run["tiers"]]
    made.make_run(tmp_path / "all" / "run", tiers=tiers)
    made.make_reproduction(tmp_path / "all" / "nice", recipe="nice")
    made.make_ablation(tmp_path / "all" / "segments", over="segments", names=made.segments())
    write_page(tmp_path / "all", tmp_path / "page.html")
    assert open_page(tmp_path / "page.html", LAPTOP)[-1] == 0
    made.make_run(tmp_path / "run", tiers=tiers)
    write_page(tmp_path / "run", tmp_path / "run.html")
    # What is out of sight, behind the edge of its box, does not make rows high.
    assert open_page(tmp_path / "run.html", TELEPHONE)[-2] < 110


@pytest.mark.parametrize("width", [LAPTOP, TELEPHONE])
def test_retrieval_sheets_scroll_inside_their_box(made, run_copy, store, open_page, tmp_path, width):
    report = made.run_report(subjects=store.subjects, store=store.info.fingerprint, gallery_size=6)
    made.write(run_copy, "report.json", report)
    gallery = store.gallery("test")
    made.ranking(run_copy, list(gallery["concept"]), image_ids=list(gallery["image_id"]))
    write_page(run_copy, tmp_path / "page.html", PageSettings(store))
    scroll_width, outside, _, broken, *_ = open_page(tmp_path / "page.html", width)
    assert (scroll_width <= width, outside, broken) == (True, 0, 0)


def test_this_measurement_sees_what_is_too_wide(open_page, tmp_path):
    page = tmp_path / "wide.html"
    page.write_text('<!DOCTYPE html><body style="margin:0"><div style="width:600px">x</div><img src="none.png">')
    scroll_width, outside, pictures, broken, *_ = open_page(page, TELEPHONE)
    assert (scroll_width, outside, pictures, broken) == (600, 1, 1, 1)
