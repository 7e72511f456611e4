"""Pushed from one process, pulled in another with an empty cache: the same to the bit."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from neuroclip_hf import TrialStore
from neuroclip_hf.checkpoints import load_run
from neuroclip_hf.kinds import find_kind
from neuroclip_hf.protocols.evaluating import evaluate_run
from neuroclip_hf.protocols.run import save_run, train_on_store
from neuroclip_hf.training.settings import load_recipe

EMBED = """
import json, sys
import numpy as np
import torch
import neuroclip_hf
model_class, processor_class = (getattr(neuroclip_hf, name) for name in sys.argv[1:3])
values, pixels = (torch.from_numpy(np.load(path)) for path in sys.argv[3:5])
for place in sys.argv[5:]:
    repo, revision = place.split("@")
    model = model_class.from_pretrained(repo, revision=revision).eval()
    processor = processor_class.from_pretrained(repo, revision=revision)
    with torch.no_grad():
        brain, image = model.get_brain_features(values), model.get_image_features(pixel_values=pixels)
    said = {"brain": brain.numpy().tobytes().hex(), "image": image.numpy().tobytes().hex()}
    print(json.dumps({**said, "mean": processor.feature_extractor.mean, "included": model.config.tower_included}))
"""
PUSH_TO_HUB = """
import json, sys
from neuroclip_hf.checkpoints import load_run
model, processor = load_run(sys.argv[1])
model.push_to_hub("user/whole", include_backbone=True)
processor.push_to_hub("user/whole")
model.push_to_hub("user/small", private=True, revision="small")
print(json.dumps(processor.push_to_hub("user/small", revision="small").oid))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory, run_folder, store, pattern_stores):
    """A run of each kind that was evaluated, and its store."""
    folder = tmp_path_factory.mktemp("runs")
    eeg = shutil.copytree(run_folder, folder / "eeg")
    pattern_stores.write_patterns(folder / "patterns")
    patterns = TrialStore(folder / "patterns")
    fmri = folder / "fmri"
    recipe = load_recipe("brainclip", {"subjects": ["sub-01"], "epochs": 1, "batch_size": 16})
    save_run(train_on_store(recipe, patterns), recipe, fmri)
    evaluate_run(eeg, store)
    evaluate_run(fmri, patterns)
    return {"neuroclip": (eeg, store), "brainclip": (fmri, patterns)}


def embedded(model, values, pixels):
    with torch.no_grad():
        brain, image = model.get_brain_features(values), model.get_image_features(pixel_values=pixels)
    return {"brain": brain.numpy().tobytes().hex(), "image": image.numpy().tobytes().hex()}


@pytest.mark.parametrize("kind", ["neuroclip", "brainclip"])
def test_a_run_comes_back_to_the_same_numbers_to_the_bit(hub, runs, kind, tmp_path, snapshot):
    run, store = runs[kind]
    before = snapshot(run)
    made = hub.neuroclip("push", run, "--repo-id", "user/name", "--json").result
    assert snapshot(run) == before
    assert hub.state()["commits"]["models/user/name"] == {"main": ["initial commit", "Push a run of neuroclip_hf"]}
    pulled = hub.neuroclip("pull", "user/name", "--out", tmp_path / "pulled", "--json", home="other", who=None).result
    assert pulled["run"] == str(tmp_path / "pulled")
    found = snapshot(tmp_path / "pulled")
    assert {name: len(content) for name, content in found.items()} == made["files"]
    made_anew = {"README.md", "report.html", "from_neuroclip_hf.py"}
    made_anew |= {name for name in found if name.startswith("figures/")}
    # They say now where Auto classes look.
    described = {name for name in found if name.split("/")[-1] in ("config.json", "processor_config.json")}
    same = set(found) - made_anew - described
    assert {"model.safetensors", "recipe.yaml", "report.json", "trained_on.json"} <= same
    assert {name: found[name] for name in same} == {name: before[name] for name in same}
    for name in described:
        now = json.loads(found[name])
        assert now.pop("auto_map")
        assert now == json.loads(before[name])
    again = evaluate_run(tmp_path / "pulled", store, overwrite=True)
    assert json.loads(json.dumps(again.to_dict())) == json.loads(before["report.json"])


@pytest.mark.parametrize("kind", ["neuroclip", "brainclip"])
def test_from_pretrained_finds_what_was_pushed_at_its_commit(hub, runs, kind, tmp_path):
    run, _ = runs[kind]
    model, processor = load_run(run)
    values = torch.randn(3, *model.config.encoder_config.trial_shape)
    pixels = torch.randn(2, 3, *[model.config.vision_config.image_size] * 2)
    np.save(tmp_path / "values.npy", values.numpy())
    np.save(tmp_path / "pixels.npy", pixels.numpy())
    wanted = {**embedded(model, values, pixels), "mean": processor.feature_extractor.mean}
    names = [one.__name__ for one in (find_kind(kind).model_class, find_kind(kind).processor_class)]
    words = (*names, tmp_path / "values.npy", tmp_path / "pixels.npy")

    commit = hub.python(PUSH_TO_HUB, run).result
    done = hub.python(EMBED, *words, "user/whole@main", f"user/small@{commit}", who="reader", home="other")
    assert done.code == 0, done.err
    whole, small = map(json.loads, done.out.splitlines())
    assert whole == {**wanted, "included": True}
    assert small == {**wanted, "included": False}
    assert hub.state()["private"] == ["user/small"]


def test_offline_a_warm_cache_is_enough_and_a_cold_one_says_what_is_missing(hub, run_folder, tmp_path):
    hub.verbs(("push", run_folder, "--repo-id", "user/name"))
    load = "import sys\nfrom neuroclip_hf import NeuroCLIPModel\nNeuroCLIPModel.from_pretrained('user/name')"
    cold = hub.python(load, offline=True)
    assert cold.code == 1
    assert "OSError: user/name: its config.json was not found." in cold.err
    assert [hub.python(load, offline=offline).code for offline in (False, True)] == [0, 0]


def test_a_run_is_pushed_with_its_backbone_to_a_branch_and_pulled_by_its_commit(hub, run_folder, tmp_path):
    words = ("push", run_folder, "--repo-id", "user/name", "--json")
    small, first, whole = (
        done.result
        for done in hub.verbs(
            (*words, "--dry-run"), (*words, "--private"), (*words, "--revision", "whole", "--include-backbone")
        )
    )
    assert small["commit"] is None
    assert hub.state()["private"] == ["user/name"]
    assert first["files"] == small["files"]
    assert whole["files"]["model.safetensors"] > small["files"]["model.safetensors"]

    pull = ("pull", "user/name", "--out")
    outs = {first["commit"]: first, "whole": whole}
    *pulled, unknown = hub.verbs(
        *((*pull, tmp_path / revision, "--revision", revision, "--json") for revision in outs),
        (*pull, tmp_path / "x", "--revision", "v9"),
    )
    assert [done.code for done in pulled] == [0, 0]
    for revision, wanted in outs.items():
        out = tmp_path / revision
        assert (out / "model.safetensors").stat().st_size == wanted["files"]["model.safetensors"]
        assert load_run(out)[0].config.tower_included == (revision == "whole")
    for lines in re.findall(r"```python\n(.*?)```", (tmp_path / "whole" / "README.md").read_text(), re.DOTALL):
        assert hub.python(f"{lines}\nprint(int(model.config.tower_included))", home="of the card").result == 1
    assert "model user/name at v9 does not exist: name a branch" in unknown.complaint
    for who in (None, "stranger"):
        refused = hub.neuroclip(*pull, tmp_path / "x", who=who, home=f"of {who}")
        assert "model user/name does not exist, or is private and not yours" in refused.complaint
    assert not (tmp_path / "x").exists()


PUSH_WITH_A_TOKEN = """
import sys
from neuroclip_hf import InputError
from neuroclip_hf.checkpoints import load_run
run, token, folder = sys.argv[1:4]
model, processor = load_run(run)
model.config.note = processor.feature_extractor.note = f"made with {token}"
for part in (model, processor, processor.feature_extractor):
    for push in (lambda: part.push_to_hub("user/name"),
                 lambda: part.save_pretrained(folder, push_to_hub=True, repo_id="user/name")):
        try:
            push()
        except InputError as error:
            assert "user/name: " in str(error) and "holds a Hugging Face token" in str(error), error
        else:
            sys.exit(f"{type(part)} was pushed")
"""


def test_push_to_hub_pushes_no_secret(hub, run_folder, tmp_path):
    done = hub.python(PUSH_WITH_A_TOKEN, run_folder, "hf_" + "aB3dE6gH9j" * 4, tmp_path / "saved")
    assert done.code == 0, done.err
    assert hub.state()["commits"]["models/user/name"] == {"main": ["initial commit"]}


PUSH_PARTS = """
import sys
from neuroclip_hf.checkpoints import load_run
model, processor = load_run(sys.argv[1])
for part in (model, processor):
    part.push_to_hub(sys.argv[2], tags=["mine"], **({"revision": sys.argv[3]} if sys.argv[3:] else {}))
"""
FIND = """
import json, sys
from transformers import AutoModel, AutoProcessor
place = {"revision": sys.argv[2]} if sys.argv[2:] else {}
found = [one.from_pretrained(sys.argv[1], trust_remote_code=True, **place) for one in (AutoModel, AutoProcessor)]
print(json.dumps([type(one).__name__ for one in found]))
"""
READ_CARD = """
import json, sys
from huggingface_hub import ModelCard, hf_hub_download
card = ModelCard.load(hf_hub_download(sys.argv[1], "README.md", revision=sys.argv[2]))
print(json.dumps([card.data.to_dict(), card.text]))
"""


@pytest.mark.parametrize("kind", ["neuroclip", "brainclip"])
def test_push_to_hub_leaves_a_repository_that_strangers_can_load(hub, runs, kind):
    run, _ = runs[kind]
    assert hub.python(PUSH_PARTS, run, "user/name", "v1").code == 0
    names = [one.__name__ for one in (find_kind(kind).model_class, find_kind(kind).processor_class)]
    assert hub.python(FIND, "user/name", "v1", who=None, home="other").result == names
    data, text = hub.python(READ_CARD, "user/name", "v1", who=None, home="other").result
    assert data["library_name"] == "neuroclip_hf"
    assert {"mine", "brain-decoding"} <= set(data["tags"])
    (lines,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert lines.startswith("import neuroclip_hf")
    assert hub.python(f"{lines}\nprint('true')", who=None, home="of the card").result is True


def test_push_to_hub_keeps_the_card_of_a_run_and_the_way_for_auto_classes(hub, run_folder, snapshot, tmp_path):
    before, after = (("pull", "user/name", "--out", tmp_path / name) for name in ("before", "after"))
    hub.verbs(("push", run_folder, "--repo-id", "user/name"), before)
    assert hub.python(PUSH_PARTS, run_folder, "user/name").code == 0
    hub.verbs(after)
    assert "Upload model" in hub.state()["commits"]["models/user/name"]["main"]
    kept = snapshot(tmp_path / "before")
    again = snapshot(tmp_path / "after")
    assert again.keys() == kept.keys()
    assert again["README.md"].split(b"\n---\n", 1)[1] == kept["README.md"].split(b"\n---\n", 1)[1]
    assert hub.python(FIND, "user/name", who=None, home="other").result == ["NeuroCLIPModel", "NeuroCLIPProcessor"]


def test_figures_of_a_pushed_run_hold_no_picture_that_may_not_go_up(hub, runs, tmp_path):
    run, store = runs["neuroclip"]
    done = hub.verbs(
        ("push", run, "--repo-id", "user/name", "--data", store.path, "--json"),
        ("pull", "user/name", "--out", tmp_path / "pulled", "--json"),
    )
    assert [one.code for one in done] == [0, 0]
    assert (tmp_path / "pulled" / "figures" / "sheet.png").is_file()
    assert (tmp_path / "pulled" / "figures" / "attention.png").is_file()
    colours = [np.asarray(store.open_picture(one)).reshape(-1, 3) for one in store.gallery("test")["image_id"]]
    shown = {tuple(each) for each in np.concatenate(colours).tolist() if max(each) - min(each) > 60}
    with Image.open(tmp_path / "pulled" / "figures" / "sheet.png") as sheet:
        found = {tuple(each) for each in np.asarray(sheet.convert("RGB")).reshape(-1, 3).tolist()}
    assert shown
    assert not shown & found
