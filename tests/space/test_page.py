"""What is on the page, without a browser."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from neuroclip_hf.galleries.retrieving import events_of
from neuroclip_hf.processing.inputs import read_trials
from neuroclip_hf.space import page
from neuroclip_hf.space.decoding import answer, averaging_curve
from neuroclip_hf.space.drawing import epochs_figure, strongest_moments
from neuroclip_hf.space.shelf import shelf_of_store

gradio = pytest.importorskip("gradio")


@pytest.fixture(scope="module")
def shelf(run_folder, store, tmp_path_factory):
    return shelf_of_store(run_folder, store, tmp_path_factory.mktemp("examples"))


@pytest.fixture(scope="module")
def trials(shelf):
    return read_trials(next(iter(shelf.examples.values())), shelf.processor.feature_extractor)


@pytest.fixture
def opened(shelf):
    from neuroclip_hf.space.app import _friendly, _open_upload

    return lambda files: _friendly(lambda given: _open_upload(shelf, given, False), 10)(files)


def test_the_picture_shown_is_marked_once(shelf, trials):
    events = events_of(trials)
    for event, rows in events.items():
        found = answer(shelf, trials, event, len(rows))
        html = page.found_html(shelf, found)
        assert html.count('class="shown"') == 1
        assert html.count('class="right"') == html.count("✓") == int(found.place <= 5)
        assert len(re.findall(r"score -?\d\.\d{3}", html)) == 5


def test_words_say_place_and_chance(shelf, trials):
    event = next(iter(events_of(trials)))
    found = replace(answer(shelf, trials, event, 1), place=3)
    assert "From one trial, the picture shown comes 3rd of 6; guessing" in page.verdict(found)
    assert "on average at place 3.5" in page.verdict(found)
    assert "is unknown" in page.verdict(replace(found, place=None))


def test_tiles_stand_for_pictures_that_may_not_be_shown(shelf, trials):
    found = answer(shelf, trials, next(iter(events_of(trials))), 1)
    hidden = replace(shelf, pictures_shown=False)
    pictures, tiles = (re.findall(r'src="([^"]+)"', page.found_html(one, found)) for one in (shelf, hidden))
    assert len(pictures) == len(tiles)
    assert not set(pictures) & set(tiles)


def test_names_from_files_are_text():
    assert "<b>" not in page.refused("<b>x</b>") + page.said("<b>x</b>")


def test_nothing_on_the_page_is_fetched_from_elsewhere(shelf, trials):
    found = answer(shelf, trials, next(iter(events_of(trials))), 2)
    html = page.found_html(shelf, found) + page.epochs_html(shelf.processor.feature_extractor, found)
    html += page.mattered_html(found) + page.averaging_html(averaging_curve(shelf, trials), 6)
    assert html.count("<img ") == html.count('src="data:image/png;base64,') == html.count(' alt="')
    assert "http" not in html


def test_epochs_are_drawn_with_and_without_a_scalp():
    generator = np.random.default_rng(0)
    names = ["P7", "P3", "PZ", "P4", "P8", "O1", "Oz", "O2", "extra"]
    mean = generator.standard_normal((9, 50)) * 1e-6
    with_scalp = epochs_figure(mean, names, 50.0, -0.1, "V")
    assert len(with_scalp.axes) >= 4
    assert with_scalp.axes[0].get_ylabel() == "µV"
    drawn = [np.abs(line.get_ydata()) for line in with_scalp.axes[0].get_lines() if len(line.get_ydata()) == 50]
    assert np.max(drawn) == pytest.approx(np.abs(mean).max() * 1e6, rel=1e-3)
    without = epochs_figure(mean[:3], ["a", "b", "c"], 50.0, 0.0, "sd")
    assert without.axes[0].get_ylabel() == "sd of the noise"


def test_scalps_are_spoken_of_where_they_are_drawn(shelf, trials):
    found = answer(shelf, trials, next(iter(events_of(trials))), 1)
    said = page.epochs_html(shelf.processor.feature_extractor, found)  # of four channels
    assert "<p>One trial: every channel over time.</p>" in said
    names = ["P7", "P5", "P3", "P1", "Pz", "P2", "P4", "P6", "P8", "O1", "Oz", "O2"]
    form = SimpleNamespace(channel_names=names, sampling_rate=50.0, window_start=0.0, unit="sd")
    of_more = replace(found, mean=np.random.default_rng(0).standard_normal((len(names), 30)))
    assert "and scalps at the strongest moments (red above zero" in page.epochs_html(form, of_more)


def test_the_strongest_moments_are_peaks_in_order():
    values = np.zeros((2, 60))
    values[0, [10, 30, 50]] = [3.0, 5.0, 1.0]
    values[0, 20] = 0.5
    assert strongest_moments(values) == [10, 30, 50]
    assert strongest_moments(np.arange(12.0).reshape(2, 6)[:, :1]) == [0]


def test_an_upload_is_opened(opened, shelf):
    found = opened([str(next(iter(shelf.examples.values())))])
    assert found[0].values.shape[0] == 24
    assert 'role="status"' in found[4]
    assert "24 trials of 6 pictures" in found[4]
    assert all("<img" in found[place] for place in (3, 6, 7, 8))


def test_a_bad_upload_is_said_and_nothing_of_before_stays(opened, tmp_path):
    (tmp_path / "bad.npy").write_bytes(b"x")
    found = opened([str(tmp_path / "bad.npy")])
    assert found[0] is None
    assert found[1].visible is False
    assert 'role="alert"' in found[4]
    assert "bad.npy was not opened" in found[4]


def test_a_recording_that_was_forgotten_is_said_and_no_upload_changes_nothing(opened, tmp_path):
    assert "was forgotten after a while" in opened([str(tmp_path / "gone.fif")])[4]
    assert opened(None) == opened([]) == [gradio.skip()] * 10


def test_a_missing_channel_is_said_in_words_of_the_page(opened, shelf, tmp_path):
    with np.load(next(iter(shelf.examples.values()))) as arrays:
        found = dict(arrays)
    found["channel_names"] = np.array(["Fp1", *found["channel_names"][1:]])
    np.savez(tmp_path / "other.npz", **found)
    said = opened([str(tmp_path / "other.npz")])[4]
    assert "are missing" in said
    assert "interpolate them (tick the box)" in said


def test_a_defect_is_logged_and_not_shown(caplog, opened, monkeypatch, shelf):
    from neuroclip_hf.space import app

    monkeypatch.setattr(app, "averaging_curve", lambda *_: 1 / 0)
    found = opened([str(next(iter(shelf.examples.values())))])
    assert "was logged" in found[4]
    assert "division" not in found[4]


def test_the_page_asks_for_no_statistics_and_no_fonts(shelf):
    from neuroclip_hf.space.app import MONO, SANS, build

    blocks = build(shelf)
    assert blocks.analytics_enabled is False
    theme = gradio.themes.Default(font=list(SANS), font_mono=list(MONO))
    assert not any("googleapis" in str(sheet) for sheet in theme._stylesheets)
