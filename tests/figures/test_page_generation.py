"""Generated pictures stand on the page beside their controls."""

import json

import pytest

from neuroclip_hf import generation
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.figures.page import PageSettings, write_page
from neuroclip_hf.figures.page import generation as on_page
from neuroclip_hf.figures.page.content import Section


def report(store):
    scores = {"ssim": {"estimate": 0.25}, "identification_tower": {"estimate": 0.75}}
    kinds = ("generated", "shuffled_brain", "mean_embedding", "nearest_training_picture")
    return {
        "scores": dict.fromkeys(kinds, scores),
        "differences": {kind: {name: {"p": 0.031} for name in scores} for kind in kinds[1:]},
        "chance": {"identification_tower": 0.5},
        "num_queries": 7,
        "trials": "imagery",
        "tier": "inductive",
        "data": "simulated",
        "space": {"kind": "direct"},
        "settings": {"store": store, "method": "unclip", "pipeline": "tiny", "steps": 2, "seed": 3},
        "flags": ["3 painted pictures are black"],
    }


@pytest.fixture
def run(made, tmp_path):
    """A run with generated pictures of the store "a store"."""
    folder = made.make_run(tmp_path / "run")
    (folder / "generated").mkdir()
    (folder / "generated" / "generation.json").write_text(json.dumps(report("a store")))
    (folder / "generated" / "sheet.png").write_bytes(b"a sheet")
    return folder


def test_kinds_are_those_of_generation():
    assert tuple(report("")["scores"]) == generation.KINDS


def test_scores_stand_beside_their_controls_and_without_the_store_there_is_no_sheet(run, tmp_path):
    made = write_page(run, tmp_path / "page.html", PageSettings())
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Generated pictures" not in made["figures"]
    for words in (
        "identification tower",
        "nearest training",
        "p, shuffled brain",
        "0.031",
        ">0.250<",
        ">0.500<",
        "7 queries of imagery",
    ):
        assert words in text
    assert "3 painted pictures are black" in text


def test_a_run_without_generated_pictures_says_nothing_of_them(made, tmp_path):
    write_page(made.make_run(tmp_path / "run"), tmp_path / "page.html", PageSettings())
    assert "enerated" not in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("fingerprint", "pictures", "words"),
    [("own", True, None), ("own", False, "made without pictures"), ("a store", True, "or of another store")],
)
def test_the_sheet_is_shown_for_its_store_alone(run, store_folder, fingerprint, pictures, words):
    store, section = TrialStore(store_folder), Section("", "", True)
    own = store.info.fingerprint if fingerprint == "own" else fingerprint
    (run / "generated" / "generation.json").write_text(json.dumps(report(own)))
    on_page.add_generation_sheet(section, run, store, pictures)
    assert [figure.png for figure in section.figures] == ([b"a sheet"] if words is None else [])
    assert words is None or words in section.left_out[0]
