"""A run, a store and a tiny pipeline -> pictures, controls, scores, a sheet: whole, repeatable, resumable."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPVisionModelWithProjection

from neuroclip_hf import columns
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation import rank_test_split
from neuroclip_hf.generation import KINDS, GenerationSettings, generate, read_generation
from neuroclip_hf.generation import embeddings as embedding
from neuroclip_hf.generation.pipelines import Painter
from neuroclip_hf.generation.settings import METHODS, UNCLIP
from neuroclip_hf.models.towers import SMALL_CLIP_FOLDER

LIMIT = 4


def helper(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def painted(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


@pytest.fixture(scope="module")
def made(named, run_folder, store, tmp_path_factory):
    """The first four queries through unCLIP, in a folder; not to be changed."""
    out = tmp_path_factory.mktemp("made") / "out"
    return generate(run_folder, store, named(UNCLIP, limit=LIMIT), out=out), out


@pytest.fixture
def calls(monkeypatch):
    """Seeds of what is painted from now on."""
    seeds, paint = [], Painter.paint
    monkeypatch.setattr(Painter, "paint", lambda self, embed, seed: (seeds.append(seed), paint(self, embed, seed))[1])
    return seeds


def test_the_folder_holds_what_the_report_says(made):
    report, out = made
    assert read_generation(out) == json.loads(json.dumps(report.to_dict()))
    files = [sample["file"] for sample in report.samples]
    assert len(set(files)) == report.num_queries == LIMIT
    for kind in ("generated", "shuffled_brain", "mean_embedding"):
        assert sorted(path.name for path in (out / "pictures" / kind).iterdir()) == sorted(files)
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.width > 900
    assert sorted(path.name for path in out.iterdir()) == [
        "generation.json", "lock", "pictures", "settings.json", "sheet.png"
    ]  # fmt: skip


def test_the_report_says_how_and_against_what(made, store, run_folder):
    report, _ = made
    assert tuple(report.scores) == KINDS
    names = {"pixel_correlation", "ssim", "identification_pipeline", "identification_tower"}
    assert all(set(found) == names for found in [*report.scores.values(), *report.differences.values()])
    assert all(
        each["low"] <= each["estimate"] <= each["high"] for found in report.scores.values() for each in found.values()
    )
    assert (report.tier, report.trials, report.data) == ("inductive", "test", "simulated")
    assert report.num_training_embeddings == len(store.gallery(columns.TRAIN))
    assert report.num_recordings == 2 * len(store.gallery(columns.TRAIN))  # two subjects
    assert report.gallery_size == len(store.gallery(columns.TEST))
    assert report.space["kind"] == "ridge on training pictures"  # another tower than the pipeline's
    settings = report.settings
    assert (settings["steps"], settings["seed"], settings["device"], settings["method"]) == (2, 0, "cpu", "unclip")
    assert {"diffusers", "torch", "neuroclip_hf"} <= set(settings["versions"])
    assert str(run_folder) not in json.dumps(report.to_dict())
    assert any("AlexNet" in words for words in report.left_out)


def test_scores_are_means_over_the_samples(made):
    report, _ = made
    for kind, found in report.scores.items():
        for name, interval in found.items():
            mine = np.mean([sample["scores"][kind][name] for sample in report.samples])
            assert interval["estimate"] == pytest.approx(mine)


def test_queries_are_those_of_evaluation(trained, store, named, run_folder):
    ranking = rank_test_split(trained.model, trained.processor, store)
    asked = embedding.ask(store, columns.TEST, None)
    assert asked.queries == ranking.queries
    assert torch.equal(asked.mask, ranking.mask)


def test_the_same_seed_gives_the_same_bytes_and_more_are_added(made, named, run_folder, store, tmp_path, calls):
    report, out = made
    seeds = [sample["seed"] for sample in report.samples]
    generate(run_folder, store, named(UNCLIP, limit=2), out=tmp_path / "out")
    assert calls == [seed for seed in seeds[:2] for _ in range(3)]  # controls share their query's noise
    generate(run_folder, store, named(UNCLIP, limit=LIMIT), out=tmp_path / "out")
    assert calls == [seed for seed in seeds for _ in range(3)]
    assert len(set(seeds)) == LIMIT
    assert painted(tmp_path / "out") == painted(out)


def test_what_was_stopped_goes_on_and_keeps_what_is_there(made, named, run_folder, store, tmp_path, calls):
    out = shutil.copytree(made[1], tmp_path / "out")
    before = painted(out)
    kept = out / "pictures" / "generated" / made[0].samples[0]["file"]
    stamp = kept.stat().st_mtime_ns
    for sample in made[0].samples[2:]:
        (out / "pictures" / "mean_embedding" / sample["file"]).unlink()
    (out / "generation.json").unlink()
    report = generate(run_folder, store, named(UNCLIP, limit=LIMIT), out=out)
    assert len(calls) == LIMIT - 2
    assert kept.stat().st_mtime_ns == stamp
    assert painted(out) == before
    assert report == made[0]


def test_a_killed_painter_leaves_no_half_picture(named, run_folder, store, tmp_path, monkeypatch):
    def stop(self, embed, seed):
        raise KeyboardInterrupt

    monkeypatch.setattr(Painter, "paint", stop)
    with pytest.raises(KeyboardInterrupt):
        generate(run_folder, store, named(UNCLIP, limit=1), out=tmp_path / "out")
    assert painted(tmp_path / "out") == {}
    assert not (tmp_path / "out" / "generation.json").exists()


def test_pictures_of_other_settings_are_not_mixed_in(made, named, run_folder, store, tmp_path, calls):
    out = shutil.copytree(made[1], tmp_path / "out")
    settings = named(UNCLIP, limit=1, seed=1)
    with pytest.raises(InputError, match=r"other settings \(seed\): seed was 0 and is 1; name another --out"):
        generate(run_folder, store, settings, out=out)
    assert painted(out) == painted(made[1])
    generate(run_folder, store, settings, out=out, overwrite=True)
    assert len(calls) == 3
    assert len(painted(out)) == 4  # and the sheet


@pytest.mark.parametrize("method", [method for method in METHODS if method != UNCLIP])
def test_every_method_paints(named, run_folder, store, tmp_path, method):
    report = generate(run_folder, store, named(method, limit=1), out=tmp_path / "out")
    assert report.settings["method"] == method
    assert len(painted(tmp_path / "out" / "pictures")) == 3


def test_moments_of_the_queries_are_said_to_be_transductive(named, run_folder, store, tmp_path):
    settings = named(UNCLIP, limit=1, moments="queries")
    report = generate(run_folder, store, settings, out=tmp_path / "out", subjects=["2"])
    assert report.tier == "transductive"
    assert report.settings["moments"] == "queries"
    assert report.num_recordings == 6  # the queries of the one subject
    assert [sample["subject"] for sample in report.samples] == report.settings["subjects"] == ["sub-02"]


def test_black_pictures_are_flagged(named, run_folder, store, tmp_path, monkeypatch):
    monkeypatch.setattr(Painter, "paint", lambda self, embed, seed: Image.new("RGB", (16, 16)))
    report = generate(run_folder, store, named(UNCLIP, limit=1), out=tmp_path / "out")
    assert any(flag.startswith("3 painted pictures are black") for flag in report.flags)
    assert report.scores["generated"]["pixel_correlation"]["estimate"] == 0


def test_brain_embeddings_that_are_nan_are_refused_before_painting(
    named, run_folder, store, tmp_path, monkeypatch, calls
):
    embed = embedding.embed_queries
    monkeypatch.setattr(embedding, "embed_queries", lambda *given: embed(*given) * torch.nan)
    with pytest.raises(InputError, match="brain embeddings of the queries: 12 of 12 hold NaN"):
        generate(run_folder, store, named(UNCLIP), out=tmp_path / "out")
    assert calls == []


def test_what_a_store_lacks_is_said(named, run_folder, store, tmp_path):
    with pytest.raises(InputError, match="holds no imagery trials of these subjects; it holds test, train"):
        generate(run_folder, store, named(UNCLIP, trials="imagery"), out=tmp_path / "out")
    with pytest.raises(InputError, match="holds no training trials of nobody, whose moments"):
        embedding.training_recordings(store, ["nobody"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("module", "name"), [("diffusers", "diffusers"), ("skimage.metrics", "scikit-image")])
def test_a_missing_library_is_named_before_anything(named, run_folder, store, tmp_path, monkeypatch, module, name):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"needs {name}, which is not installed: run pip install 'neuroclip-hf\["):
        generate(run_folder, store, named(UNCLIP), out=tmp_path / "out")


def test_an_unknown_device_is_refused(named, run_folder, store, tmp_path):
    with pytest.raises(InputError, match="device is 'quantum', which torch cannot use here"):
        generate(run_folder, store, named(UNCLIP), out=tmp_path / "out", device="quantum")


@pytest.fixture(scope="module")
def patterns(tmp_path_factory):
    """A store of voxels with imagery, and a run of BrainCLIP on the tower that ships with the package."""
    from neuroclip_hf.data.store import TrialStore
    from neuroclip_hf.protocols.run import save_run, train_on_store
    from neuroclip_hf.training.settings import load_recipe

    folder = tmp_path_factory.mktemp("patterns")
    helper(Path(__file__).parents[1] / "patterns.py").write_patterns(folder / "store")
    store = TrialStore(folder / "store")
    own = {"split": "intra-subject", "subjects": ["sub-01"], "validation": "concepts"}
    recipe = load_recipe("brainclip-linear", {**own, "epochs": 1, "batch_size": 4})
    save_run(train_on_store(recipe, store), recipe, folder / "run")
    return folder / "run", store


def test_brainclip_on_the_pipelines_own_clip_needs_no_map_and_imagery_is_painted(tiny, patterns, tmp_path):
    run, store = patterns
    encoder = CLIPVisionModelWithProjection.from_pretrained(SMALL_CLIP_FOLDER, dtype=torch.float32, projection_dim=128)
    tiny.save(tiny.unclip(128, encoder), tmp_path / "own")
    settings = GenerationSettings(str(tmp_path / "own"), steps=1, trials="imagery")
    report = generate(run, store, settings, out=tmp_path / "out")
    assert report.space["kind"] == "direct: the run's space is the pipeline's"
    assert report.space["likeness"] > 0.999
    assert report.space["alpha"] is None
    assert (report.trials, report.num_queries, report.num_training_embeddings) == ("imagery", 2, 4)
    assert report.num_recordings == 4  # of the one subject that trained
    assert {sample["subject"] for sample in report.samples} == {"sub-01"}
    assert "small-clip" in report.features["identification_tower"]
    assert "the pipeline's own" in report.features["identification_pipeline"]
