"""`report`: from a run that was trained and evaluated to a page."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from neuroclip_hf.protocols.evaluating import evaluate_run


@pytest.fixture(scope="module")
def made():
    path = Path(__file__).parents[1] / "figures" / "made_up.py"
    spec = importlib.util.spec_from_file_location("made_up", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def evaluated_once(run_folder, store, made, tmp_path_factory):
    """A run with its report, and a ranking of the store's own gallery."""
    run = shutil.copytree(run_folder, tmp_path_factory.mktemp("evaluated") / "run")
    evaluate_run(run, store)
    gallery = store.gallery("test")
    made.ranking(run, list(gallery["concept"]), image_ids=list(gallery["image_id"]))
    return run


@pytest.fixture
def evaluated(evaluated_once, tmp_path):
    """A copy of it."""
    return shutil.copytree(evaluated_once, tmp_path / "run")


def test_a_run_becomes_a_page(neuroclip, evaluated):
    made = neuroclip("report", evaluated, "--json")
    assert made.result["page"] == str(evaluated / "report.html")
    assert (evaluated / "report.html").stat().st_size == made.result["bytes"]
    assert "Training" in made.result["figures"]
    assert "Training" in neuroclip("report", evaluated, "--overwrite").out


def test_with_the_store_what_the_model_does_is_shown(neuroclip, evaluated, store_folder, tmp_path):
    words = ("report", evaluated, "--data", store_folder, "--out", tmp_path / "page.html")
    made = neuroclip(*words, "--json")
    assert made.result["figures"][-3:] == ["Pictures shown and found", "Dynamic filters", "Attention over pictures"]
    assert any(
        "4 of the 4 channels have a place on the scalp; a map needs 8" in one for one in made.result["left_out"]
    )
    first = (tmp_path / "page.html").read_bytes()
    assert b"may not be redistributed" in first
    assert neuroclip(*words, "--overwrite").code == 0
    assert (tmp_path / "page.html").read_bytes() == first


def test_without_pictures_names_stand_in_their_place(neuroclip, evaluated, store_folder, store, tmp_path, monkeypatch):
    from neuroclip_hf.figures.page import insight

    shown = []
    for name in ("filter_figure", "attention_figure"):
        draw = getattr(insight, name)
        monkeypatch.setattr(
            insight, name, lambda *args, draw=draw, **options: (shown.append(options), draw(*args, **options))[1]
        )
    words = ("report", evaluated, "--data", store_folder, "--out", tmp_path / "page.html", "--without-pictures")
    made = neuroclip(*words, "--json")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Pictures shown and found" in made.result["figures"]
    assert "Made without pictures" in text
    assert [len(options["tiles"]) for options in shown] == [4, 4]
    monkeypatch.setattr(type(store), "open_picture", None)  # the sheet comes to none of them, and needs no store
    alone = neuroclip("report", evaluated, "--out", tmp_path / "alone.html", "--without-pictures", "--json")
    assert "Pictures shown and found" in alone.result["figures"]


def test_the_scalp_map_says_how_it_was_made(neuroclip, evaluated, store_folder, monkeypatch, tmp_path):
    from neuroclip_hf.figures import scalp

    monkeypatch.setattr(scalp, "FEWEST", 4)
    words = ("report", evaluated, "--data", store_folder, "--out", tmp_path / "page.html", "--overwrite")
    assert "Channels that carry the signal" in neuroclip(*words, "--json").result["figures"]
    assert "Occlusion: how far the right score" in (tmp_path / "page.html").read_text(encoding="utf-8")
    neuroclip(*words, "--scalp", "gradient")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Gradient x input: what the right score" in text
    assert "n = 12 queries" in text


def test_bad_input_is_refused(refused, evaluated, store_folder, array_store, tmp_path, snapshot):
    before = snapshot(evaluated)
    assert "is not a folder" in refused("report", tmp_path / "none")
    assert "--scalp magic" in refused("report", evaluated, "--scalp", "magic")
    assert ".html" in refused("report", evaluated, "--out", tmp_path / "page.png")
    assert "neuroclip prepare" in refused("report", evaluated, "--data", tmp_path / "none")
    assert "name their store with --data" in refused("report", evaluated, "--data", array_store().path)
    assert "columns concept and family" in refused("report", evaluated, "--families", evaluated / "report.json")
    (tmp_path / "page.html").write_text("mine")
    assert "--overwrite" in refused("report", evaluated, "--out", tmp_path / "page.html")
    assert snapshot(evaluated) == before


def test_a_damaged_checkpoint_is_named(refused, evaluated, store_folder):
    (evaluated / "model.safetensors").write_bytes(np.zeros(40, np.uint8).tobytes())
    assert "cannot be loaded" in refused("report", evaluated, "--data", store_folder)
    assert not (evaluated / "report.html").exists()
