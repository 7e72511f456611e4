"""What cannot be used is named and refused before any work; nothing is ever unpickled."""

import json
import shutil
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from neuroclip_hf.errors import InputError
from neuroclip_hf.generation.loading import load_painter
from neuroclip_hf.generation.settings import IP_ADAPTER, KANDINSKY, UNCLIP, GenerationSettings

CPU = torch.device("cpu")


@pytest.fixture
def changed(pipelines, tmp_path):
    """A copy of a tiny pipeline: `changed("unclip")`."""
    return lambda name: shutil.copytree(pipelines / name, tmp_path / name)


def refusal(settings):
    with pytest.raises(InputError) as caught:
        load_painter(settings, CPU)
    return str(caught.value)


@pytest.fixture
def never_loaded(monkeypatch):
    """Fails a test in which weights are loaded."""
    from diffusers import DiffusionPipeline

    def load(*_, **__):
        raise AssertionError("weights were loaded")

    monkeypatch.setattr(DiffusionPipeline, "from_pretrained", load)


def test_facts_name_the_pipeline_and_no_place_on_this_machine(named, pipelines):
    _, facts = load_painter(named(IP_ADAPTER), CPU)
    assert facts["pipeline_class"] == "StableDiffusionPipeline"
    assert (facts["pipeline"], facts["image_encoder"]) == ("stable-diffusion", "encoder")
    assert (facts["method"], facts["guidance"], facts["embedding_width"]) == ("ip-adapter", 7.5, 32)
    assert facts["prompt"].startswith("zeros")
    assert str(pipelines) not in json.dumps(facts)


def test_another_weight_is_another_commit(named, changed):
    _, before = load_painter(named(UNCLIP), CPU)
    folder = changed("unclip")
    assert load_painter(GenerationSettings(str(folder)), CPU)[1]["commit"] == before["commit"]
    config = folder / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace('"steps_offset": 1', '"steps_offset": 0'))
    assert load_painter(GenerationSettings(str(folder)), CPU)[1]["commit"] != before["commit"]


@pytest.mark.parametrize("name", ["StableDiffusionXLPipeline", ["my_pipeline", "Mine"], None])
def test_an_unknown_class_is_refused(changed, never_loaded, name):
    folder = changed("unclip")
    index = folder / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "_class_name": name}))
    message = refusal(GenerationSettings(str(folder)))
    assert f"is of class {name!r}" in message
    assert "StableUnCLIPImg2ImgPipeline" in message


def test_code_that_comes_beside_weights_is_never_run(changed, never_loaded):
    folder = changed("unclip")
    index = folder / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "unet": ["mine", "Net"]}))
    (folder / "unet" / "mine.py").write_text("raise SystemExit")
    assert "takes its unet from 'mine'" in refusal(GenerationSettings(str(folder)))


def test_another_method_than_the_class_says_is_refused(named, never_loaded):
    assert "is for 'unclip': leave --method out" in refusal(replace(named(UNCLIP), method=KANDINSKY))


@pytest.mark.parametrize("part", ["unet", "vae", "image_encoder"])
def test_pickled_weights_alone_are_refused(changed, never_loaded, part):
    folder = changed("unclip")
    (weights,) = (folder / part).glob("*.safetensors")
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    message = refusal(GenerationSettings(str(folder)))
    assert f"has the weights of its {part} only as a pickle ({weights.stem}.bin)" in message


def test_pickled_weights_of_an_image_encoder_are_refused(named, pipelines, tmp_path):
    folder = shutil.copytree(pipelines / "encoder", tmp_path / "encoder")
    weights = folder / "image_encoder" / "model.safetensors"
    torch.save(load_file(weights), weights.with_name("pytorch_model.bin"))
    weights.unlink()
    assert "only as a pickle (pytorch_model.bin)" in refusal(named(KANDINSKY, image_encoder=str(folder)))


def test_an_image_encoder_without_its_projection_is_refused(tiny, named, tmp_path):
    from transformers import CLIPVisionModel

    whole = tiny.image_encoder()
    bare = CLIPVisionModel(whole.config)
    bare.save_pretrained(tmp_path / "bare" / "image_encoder")
    message = refusal(named(KANDINSKY, image_encoder=str(tmp_path / "bare")))
    assert "lacks visual_projection.weight: name a CLIP vision tower with its projection" in message


def test_a_pickled_adapter_is_refused(named):
    assert "a pickle is never opened" in refusal(named(IP_ADAPTER, ip_adapter="adapter.bin"))


def test_missing_weights_are_bad_input(changed):
    folder = changed("unclip")
    next((folder / "unet").glob("*.safetensors")).unlink()
    assert "cannot be loaded as safetensors" in refusal(GenerationSettings(str(folder)))


def test_widths_that_do_not_fit_are_named(tiny, named, tmp_path):
    tiny.save(tiny.unclip(encoder=tiny.image_encoder(16)), tmp_path / "narrow")
    message = refusal(GenerationSettings(str(tmp_path / "narrow")))
    assert "takes image embeddings 32 wide, and its image encoder makes them 16 wide" in message
    tiny.save_encoder(tmp_path / "encoder", width=16)
    for method in (KANDINSKY, IP_ADAPTER):
        assert "makes them 16 wide" in refusal(named(method, image_encoder=str(tmp_path / "encoder")))


def test_a_pipeline_without_image_encoder_asks_for_one(named):
    assert "name the one that it was trained with by --image-encoder" in refusal(named(KANDINSKY, image_encoder=None))


def test_a_pipeline_without_adapter_asks_for_one(named):
    assert "IP-Adapters are of type none" in refusal(named(IP_ADAPTER, ip_adapter=None))


def test_an_adapter_for_another_method_is_refused(named, pipelines):
    adapter = str(pipelines / "adapter.safetensors")
    assert "the method is unclip: leave it out" in refusal(named(UNCLIP, ip_adapter=adapter))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pipeline": "nobody/has-this"}, "pipeline 'nobody/has-this' cannot be loaded"),
        ({"pipeline": "not a name"}, "pipeline 'not a name' cannot be loaded"),
        ({"revision": "main"}, "revision is 'main', and"),
    ],
)
def test_names_that_lead_nowhere_are_bad_input(named, changes, words):
    assert words in refusal(named(UNCLIP, **changes))


def test_a_folder_that_is_no_pipeline_is_refused(tmp_path):
    assert "holds no model_index.json" in refusal(GenerationSettings(str(tmp_path)))


def test_without_diffusers_the_extra_is_named(named, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    assert "pip install 'neuroclip-hf[generate]'" in refusal(named(UNCLIP))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "gan"}, "method is 'gan': choose one of unclip, kandinsky, ip-adapter"),
        ({"trials": "train"}, "trials is 'train': choose one of test, imagery"),
        ({"moments": "none"}, "moments is 'none'"),
        ({"steps": 0}, "steps is 0: it must be a whole number of at least 1"),
        ({"seed": -1}, "seed is -1"),
        ({"limit": 0}, "limit is 0"),
        ({"guidance": float("nan")}, "guidance is nan"),
    ],
)
def test_impossible_settings_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        GenerationSettings("anything", **changes)
