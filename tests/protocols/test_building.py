"""Models from a recipe: sizes from the store, towers from folders, and every misspelt setting before training."""

import json
import math
from dataclasses import replace

import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel, Dinov2Config, Dinov2Model

from neuroclip_hf.checkpoints import load_run
from neuroclip_hf.columns import SMALL_CLIP
from neuroclip_hf.errors import InputError
from neuroclip_hf.models.towers import SMALL_CLIP_FOLDER
from neuroclip_hf.protocols.building import build_model, image_processor_for
from neuroclip_hf.protocols.run import save_run, train_on_store
from neuroclip_hf.training.settings import Recipe


@pytest.fixture
def trials(trained):
    return trained.processor.feature_extractor


@pytest.fixture
def tower(tmp_path):
    """A tiny CLIP vision tower as it lies in a folder, image processor included."""
    torch.manual_seed(3)
    config = CLIPVisionConfig(
        image_size=24, patch_size=12, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    model = CLIPVisionModel(config)
    model.save_pretrained(tmp_path / "tower")
    size = {"height": 24, "width": 24}
    CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size=size).save_pretrained(tmp_path / "tower")
    return tmp_path / "tower"


def settings(recipe, **changes):
    return replace(recipe.model, **changes)


def test_sizes_come_from_the_trials(recipe, trials):
    model = build_model(recipe.model, trials)
    encoder = model.config.encoder_config
    assert (encoder.num_channels, encoder.num_timesteps) == (4, 30)
    assert image_processor_for(recipe.model, model).crop_size == {"height": 32, "width": 32}


def test_the_small_clip_is_the_tower_where_none_is_named(recipe, trials):
    assert Recipe().model.tower == recipe.model.tower == SMALL_CLIP
    model = build_model(recipe.model, trials)
    shipped = CLIPVisionModel.from_pretrained(SMALL_CLIP_FOLDER, dtype=torch.float32).eval()
    pixels = torch.randn(2, 3, 32, 32)
    assert torch.equal(model.get_frozen_image_features(pixels), shipped(pixels).pooler_output[:, None])
    assert model.config.tower == SMALL_CLIP  # and not where it lies


def test_a_tower_with_random_weights_is_as_small_as_the_one_that_ships(recipe, trials):
    model = build_model(settings(recipe, tower="random"), trials)
    config = model.config.vision_config
    assert (config.image_size, config.patch_size, config.hidden_size, config.num_hidden_layers) == (32, 8, 128, 4)
    shipped = build_model(recipe.model, trials).vision_model.post_layernorm.weight
    assert not torch.equal(model.vision_model.post_layernorm.weight, shipped)


def test_a_tower_with_random_weights(recipe, trials):
    chosen = settings(recipe, tower="random", tower_settings={"image_size": 24, "patch_size": 8, "hidden_size": 24})
    model = build_model(replace(chosen, tower_settings={**chosen.tower_settings, "num_attention_heads": 2}), trials)
    assert (model.config.tower, model.config.vision_config.hidden_size) == ("random", 24)
    assert image_processor_for(chosen, model).crop_size == {"height": 24, "width": 24}


def test_a_random_tower_of_another_kind(recipe, trials):
    chosen = settings(recipe, tower="random", tower_settings={"model_type": "dinov2", "num_hidden_layers": 2})
    model = build_model(chosen, trials)
    config = model.config.vision_config
    assert (config.model_type, config.hidden_size, config.num_hidden_layers) == ("dinov2", 128, 2)
    assert image_processor_for(chosen, model).crop_size == {"height": 32, "width": 32}


def test_pictures_of_another_size_for_a_tower_that_takes_any(recipe, trials, tmp_path):
    size = {"image_size": 24, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    Dinov2Model(Dinov2Config(**size)).save_pretrained(tmp_path / "dino")
    small = {"height": 16, "width": 16}
    CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=small).save_pretrained(tmp_path / "dino")
    chosen = settings(recipe, tower=str(tmp_path / "dino"))
    model = build_model(chosen, trials)
    pixels = image_processor_for(chosen, model)(Image.new("RGB", (20, 20)), return_tensors="pt")["pixel_values"]
    assert model.get_image_features(pixels).isfinite().all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tower": "random", "tower_settings": {"model_type": "resnet"}}, "of type 'resnet'"),
        ({"encoder": "eeg_projekt"}, "eeg_project, ts_conv"),
        ({"encoder_settings": {"hiden_size": 3}}, "no setting hiden_size"),
        ({"encoder_settings": {"hidden_size": "wide"}}, "hidden_size is 'wide'"),
        ({"encoder_settings": {"num_channels": 3}}, "num_channels comes from the store"),
        ({"prompt": {"num_tokens": 3}}, "num_prompt_tokens"),
        ({"prompt": {"prompt_depth": 9}}, "prompt_depth is 9"),
        ({"tower": "random", "tower_settings": {"hidden_sise": 3}}, "hidden_size"),
        ({"tower": "random", "tower_settings": {"hidden_size": 15, "num_attention_heads": 2}}, "multiple"),
        ({"tower": "random", "tower_settings": {"patch_size": 64, "image_size": 16}}, "patch_size is 64"),
        ({"tower": "random", "tower_settings": {"hidden_act": "gelo"}}, "hidden_act is 'gelo'"),
        ({"tower": "random", "tower_settings": {"intermediate_size": 0}}, "at least 1"),
        ({"tower": "random", "tower_settings": {"num_channels": 1}}, "3 colours"),
        ({"tower_settings": {"hidden_size": 16}}, "the tower is small-clip"),
        ({"projection_dim": 0}, "projection_dim is 0"),
        ({"kind_settings": {"softening": 2.0}}, "softening is 2"),
        ({"kind": "neuroklip"}, "kind is 'neuroklip': there are models of the kinds neuroclip"),
        ({"logit_scale_init_value": 9.0}, "logit_scale_init_value is 9"),
        (
            {"lora": {"rank": 3}},
            r"lora\.rank is 3: lora has no such setting, but alpha_pattern, .*lora_alpha, .*, r, ",
        ),
        ({"lora": {"r": 0, "target_modules": ["q_proj"]}}, "tower_adapters.lora"),
        ({"lora": {"r": 2, "target_modules": ["query"]}}, "tower_adapters.lora does not fit the model"),
        ({"lora": {"r": "x"}}, "lora.r is 'x': it must be of the type int"),
        ({"lora": {"lora_alpha": "a"}}, "lora.lora_alpha is 'a': it must be of the type float"),
        ({"lora": {"r": 2, "place": "model"}}, "lora.place is 'model'"),
        ({"lora": {"r": 2, "base_model_name_or_path": "a/b"}}, "base_model_name_or_path"),
    ],
)
def test_impossible_settings(recipe, trials, changes, message):
    with pytest.raises(InputError, match=message):
        build_model(settings(recipe, **changes), trials)


LORA = {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "v_proj"]}


@pytest.mark.parametrize(("prompt", "active"), [(None, ["lora"]), ({"num_prompt_tokens": 2}, ["default", "lora"])])
def test_a_lora_on_the_tower_beside_the_prompts_or_instead_of_them(recipe, trials, prompt, active):
    model = build_model(settings(recipe, lora=LORA, prompt=prompt), trials)
    names = [name for name in model.trainable_parameter_names() if name.startswith("vision_model.")]
    adapters = [name for name in names if ".lora_A.lora." in name or ".lora_B.lora." in name]
    assert len(adapters) == 16  # two maps of four layers, two matrices each
    assert {"neuro_prompt" in name for name in names if name not in adapters} == ({True} if prompt else set())
    assert model.needs_pictures
    assert model.config.active_adapters == active
    layer = model.vision_model.encoder.layers[0].self_attn.q_proj
    assert (layer.r["lora"], layer.scaling["lora"]) == (2, 2.0)
    plain = build_model(settings(recipe, prompt=prompt), trials)
    assert plain.config.tower_adapters == {}


def test_the_factor_of_the_cosines_starts_where_it_is_told(recipe, trials):
    model = build_model(settings(recipe, logit_scale_init_value=2.0), trials)
    assert float(model.scale()) == pytest.approx(math.exp(2))
    assert float(build_model(recipe.model, trials).scale()) == pytest.approx(1 / 0.07)


def test_a_tower_from_a_folder_is_trained_on_and_comes_back(recipe, store, tower, tmp_path):
    trained = train_on_store(replace(recipe, model=settings(recipe, tower=str(tower))), store)
    weights = CLIPVisionModel.from_pretrained(tower).state_dict()
    kept = trained.model.vision_model.state_dict()
    assert torch.equal(kept["post_layernorm.weight"], weights["post_layernorm.weight"])
    assert torch.equal(
        kept["encoder.layers.0.self_attn.q_proj.weight"], weights["encoder.layers.0.self_attn.q_proj.weight"]
    )
    assert trained.processor.image_processor.crop_size["height"] == 24
    save_run(trained, recipe, tmp_path / "run")
    model, processor = load_run(tmp_path / "run")
    assert model.config.tower == tower.name
    assert processor.image_processor.crop_size["height"] == 24


@pytest.mark.parametrize("name", ["/nowhere/at/all", "./nowhere", "nobody/no-such-clip"])
def test_a_tower_that_is_not_there(recipe, trials, name):
    with pytest.raises(InputError, match=name):
        build_model(settings(recipe, tower=name), trials)


def test_a_tower_without_image_processor(recipe, trials, tower):
    (tower / "preprocessor_config.json").unlink()
    chosen = settings(recipe, tower=str(tower))
    model = build_model(chosen, trials)
    with pytest.raises(InputError, match="image processor"):
        image_processor_for(chosen, model)


@pytest.mark.parametrize("known", [True, False])
def test_code_beside_a_tower_is_neither_run_nor_asked_for(recipe, trials, tower, monkeypatch, known):
    path, ran = tower / "preprocessor_config.json", tower / "ran"
    (tower / "remote.py").write_text(f"open({str(ran)!r}, 'w')\nclass Remote: pass\n")
    described = json.loads(path.read_text()) | {"auto_map": {"AutoImageProcessor": ["remote.Remote", "remote.Remote"]}}
    path.write_text(json.dumps(described if known else described | {"image_processor_type": "Remote"}))
    asked = []
    monkeypatch.setattr("builtins.input", lambda *words: asked.append(words) or "y")
    chosen = settings(recipe, tower=str(tower))
    model = build_model(chosen, trials)
    if known:
        assert type(image_processor_for(chosen, model)).__name__ == "CLIPImageProcessorPil"
    else:
        with pytest.raises(InputError, match="image processor"):
            image_processor_for(chosen, model)
    assert not asked
    assert not ran.exists()


def test_the_home_folder_has_its_short_name(recipe, trials, tower, monkeypatch):
    monkeypatch.setenv("HOME", str(tower.parent))
    monkeypatch.setenv("USERPROFILE", str(tower.parent))
    chosen = settings(recipe, tower="~/tower")
    model = build_model(chosen, trials)
    assert model.config.tower == "tower"
    assert image_processor_for(chosen, model).crop_size["height"] == 24


def test_an_image_processor_of_another_size(recipe, trials, tower):
    size = {"height": 32, "width": 32}
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=size).save_pretrained(tower)
    chosen = settings(recipe, tower=str(tower))
    model = build_model(chosen, trials)
    with pytest.raises(InputError, match=r"32, 32.*24, 24"):
        image_processor_for(chosen, model)
