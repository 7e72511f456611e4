"""What goes up of a run, what stays behind, and what is made anew."""

import json
from dataclasses import replace

import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image

from neuroclip_hf.errors import InputError
from neuroclip_hf.figures import sheets
from neuroclip_hf.figures.page import PageSettings, write_page
from neuroclip_hf.protocols.evaluating import evaluate_run
from neuroclip_hf.sharing.hub import push_data, push_run, pushing
from neuroclip_hf.sharing.hub.run_contents import run_contents

TOKEN = "hf_" + "aB3dE6gH9j" * 4


def drawn(monkeypatch):
    """The pictures that every sheet is made of."""
    found = []
    draw = sheets.Found.__init__

    def remember(self, picture, *others):
        found.append(picture)
        draw(self, picture, *others)

    monkeypatch.setattr(sheets.Found, "__init__", remember)
    return found


@pytest.fixture
def evaluated(run_copy, store):
    evaluate_run(run_copy, store)
    return run_copy


def test_the_checkpoint_and_its_results_go_up_and_nothing_else(evaluated, snapshot, store):
    write_page(evaluated, settings=PageSettings(store))  # with pictures
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(evaluated / "sheet.png")
    (evaluated / "generated" / "pictures").mkdir(parents=True)
    (evaluated / "generated" / "pictures" / "0.png").write_bytes((evaluated / "sheet.png").read_bytes())
    (evaluated / "notes.txt").write_text(TOKEN)
    before = snapshot(evaluated)
    with run_contents(evaluated, "user/name") as contents:
        found = snapshot(contents.folder)
        sizes = contents.sizes
    assert not contents.folder.exists()
    assert snapshot(evaluated) == before
    made = {name for name in found if name.startswith("figures/")}
    made |= {"README.md", "report.html", "from_neuroclip_hf.py"}
    assert {"figures/sheet.png", "figures/training.png"} <= made
    assert set(found) - made == set(before) - {
        "report.html",
        "sheet.png",
        "generated/pictures/0.png",
        "notes.txt",
        "README.md",
    }
    same = set(found) - made - {"config.json", "processor_config.json"}  # which say now where Auto classes look
    assert {name: found[name] for name in same} == {name: before[name] for name in same}
    assert sizes == {name: len(content) for name, content in found.items()}
    assert found["report.html"] != before["report.html"]
    assert 'from_pretrained("user/name")' in found["README.md"].decode()
    for name in ("generated/", "notes.txt", "sheet.png"):
        assert any(words.startswith(f"{name}: stays here") for words in contents.left_out)


@pytest.mark.parametrize("redistributable", [False, True])
def test_a_sheet_shows_pictures_only_if_the_store_says_so(evaluated, store, monkeypatch, redistributable):
    monkeypatch.setattr(store, "info", replace(store.info, redistribute_pictures=redistributable))
    for path in (evaluated / "report.json", evaluated / "run.json"):  # as if it was made of this store
        path.write_text(json.dumps({**json.loads(path.read_text()), "store": store.info.fingerprint}))
    pictures = drawn(monkeypatch)
    with run_contents(evaluated, "user/name", store=store) as contents:
        page = (contents.folder / "report.html").read_text()
    stored = [store.open_picture(one).tobytes() for one in store.gallery("test")["image_id"]]
    assert pictures
    assert {one.tobytes() in stored for one in pictures} == {redistributable}
    assert ("their concepts and ids stand in their place" in page) == (not redistributable)


def test_planted_secrets_and_paths_stop_a_push(evaluated, tmp_path):
    facts = json.loads((evaluated / "run.json").read_text())
    for planted, message in (
        ({"note": TOKEN}, r"run\.json holds a Hugging Face token \(hf_aB\.\.\., 43 letters\)"),
        ({"store_folder": "/data/people/anna/store"}, r"run\.json holds an absolute path \(/data/people/anna/store\)"),
        ({"log": f"{evaluated}/x"}, r"run\.json holds "),
    ):
        (evaluated / "run.json").write_text(json.dumps({**facts, **planted}))
        with pytest.raises(InputError, match=message):
            push_run(evaluated, "user/name", dry_run=True)


def test_the_tower_goes_along_when_asked_for(run_copy):
    small = push_run(run_copy, "user/name", dry_run=True)
    whole = push_run(run_copy, "user/name", dry_run=True, include_backbone=True)
    assert set(whole.files) == set(small.files)
    assert whole.files["model.safetensors"] > small.files["model.safetensors"]
    with run_contents(run_copy, "user/name", include_backbone=True) as contents:
        assert json.loads((contents.folder / "config.json").read_text())["tower_included"] is True


@pytest.mark.parametrize(("revision", "times"), [("v1", 4), (None, 0)])
def test_the_lines_of_the_card_load_the_branch_that_it_lies_on(run_copy, revision, times):
    with run_contents(run_copy, "user/name", revision=revision) as contents:
        card = (contents.folder / "README.md").read_text()
    assert card.count('from_pretrained("user/name"') == 4
    assert card.count('revision="v1"') == times


@pytest.mark.parametrize("licence", ["openrail++", None])
def test_a_licence_is_stated_in_the_card(run_copy, licence):
    with run_contents(run_copy, "user/name", licence=licence) as contents:
        card = ModelCard.load(contents.folder / "README.md")
    assert card.data.license == licence
    assert ("their own licence is openrail++." in card.text) == bool(licence)


@pytest.mark.parametrize("licence", ["", "CC BY 4.0", "MIT", "mit\nx: y", "-mit"])
def test_a_licence_that_the_hub_does_not_know_so_is_refused(run_copy, licence):
    for push in (push_run, push_data):
        with pytest.raises(InputError, match=r"--license .*in small letters, as in cc-by-4.0"):
            push(run_copy, "user/name", licence=licence, dry_run=True)


def test_a_dry_run_asks_the_hub_for_nothing(run_copy, monkeypatch):
    monkeypatch.setattr(pushing, "HfApi", None)
    made = push_run(run_copy, "user/name", revision="v1", dry_run=True)
    assert (made.commit, made.url, made.revision) == (None, None, "v1")
    assert made.files["model.safetensors"] == (run_copy / "model.safetensors").stat().st_size


@pytest.mark.parametrize("repo_id", ["name", "a/b/c", "/name", "user/", "user/na me", "user/..", ""])
def test_names_that_no_repository_has_are_refused(run_copy, repo_id):
    with pytest.raises(InputError, match="write the owner and a name, as in user/name"):
        push_run(run_copy, repo_id, dry_run=True)


def test_folders_without_a_run_are_refused(run_copy, god_reproduction, tmp_path):
    with pytest.raises(InputError, match="none is not a folder"):
        push_run(tmp_path / "none", "user/name", dry_run=True)
    with pytest.raises(InputError, match=r"holds many runs.*push a run of it, such as .*runs/"):
        push_run(god_reproduction, "user/name", dry_run=True)
    one = next(god_reproduction.rglob("run.json")).parent
    assert "model.safetensors" in push_run(one, "user/name", dry_run=True).files
    for name in ("model.safetensors", "run.json"):
        (run_copy / name).unlink()
        with pytest.raises(InputError, match=f"holds no {name}"):
            push_run(run_copy, "user/name", dry_run=True)
