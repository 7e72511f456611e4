"""Adapters beside the prompts, wherever they sit: switched as they were, and read from no file but the checkpoint."""

import json

import pytest
import torch
from peft import IA3Config, LoraConfig, inject_adapter_in_model
from transformers import AutoModel

from neuroclip_hf.adapters import NeuroPromptConfig
from neuroclip_hf.errors import InputError
from neuroclip_hf.models import NeuroCLIPModel, vision

# peft 0.21 asks transformers 5.23 for the old name of a property, whatever the method.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing. is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute"),
]


def lora(targets, **settings):
    return LoraConfig(r=2, target_modules=targets, init_lora_weights=False, **settings)


def linear_of(encoder):
    return next(name for name, each in encoder.named_modules() if isinstance(each, torch.nn.Linear))


def on_encoder(model):
    return lora(rf"encoder\.{linear_of(model.encoder)}")


def states_equal(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.mark.parametrize("active", [[], ["default"], ["extra"], ["default", "extra"]])
def test_a_lora_on_the_encoder_stays_switched_as_it_was(make_model, batch, tmp_path, active):
    model = make_model()
    model.add_adapter(on_encoder(model), "extra")
    outputs = {}
    for names in ([], ["extra"]):
        vision.set_active_adapters(model, names)
        outputs[bool(names)] = model.get_brain_features(batch["eeg_values"])
    assert not torch.equal(*outputs.values())
    vision.set_active_adapters(model, active)
    model.save_pretrained(tmp_path / "model")
    loaded = NeuroCLIPModel.from_pretrained(tmp_path / "model")
    assert states_equal(loaded, model)
    assert torch.equal(loaded.get_brain_features(batch["eeg_values"]), outputs["extra" in active])
    assert loaded.needs_pictures is ("default" in active)
    assert vision.active_adapters(loaded) == active


def test_an_adapter_on_the_encoder_comes_along_without_the_tower(make_model, batch, tmp_path):
    model = make_model()
    model.add_adapter(on_encoder(model), "encoders")
    model.add_adapter(lora(r"vision_model.*q_proj"), "towers")
    inject_adapter_in_model(lora(r".*v_proj"), model.vision_model, "inside")
    model.eval().save_pretrained(tmp_path / "model")
    alone = NeuroCLIPModel.from_pretrained(tmp_path / "model", vision=False)
    assert any("lora_" in key for key in alone.state_dict())
    expected = model.get_brain_features(batch["eeg_values"])
    assert torch.equal(alone.get_brain_features(batch["eeg_values"]), expected)
    alone.save_pretrained(tmp_path / "alone")
    again = AutoModel.from_pretrained(tmp_path / "alone")
    assert torch.equal(again.get_brain_features(batch["eeg_values"]), expected)
    assert list(again.config.tower_adapters) == ["encoders"]


def test_a_second_set_of_prompts_is_refused_before_anything_changes(make_model, batch):
    model = make_model()
    before, names = model(**batch).loss, model.trainable_parameter_names()
    with pytest.raises(InputError, match="the prompts 'default' are active, and 'second' would be a second set"):
        model.add_adapter(NeuroPromptConfig(), "second")
    assert torch.equal(model(**batch).loss, before)
    assert model.trainable_parameter_names() == names
    assert "second" not in getattr(model, "peft_config", {})


def test_prompts_added_by_hand_survive(make_model, batch, tmp_path):
    model = make_model(prompt_config=None)
    model.add_adapter(NeuroPromptConfig(num_prompt_tokens=2, init_std=0.5))
    expected = model(**batch).image_embeds
    assert not torch.equal(expected, make_model(prompt_config=None)(**batch).image_embeds)
    model.save_pretrained(tmp_path)
    assert torch.equal(NeuroCLIPModel.from_pretrained(tmp_path)(**batch).image_embeds, expected)


def test_what_could_not_be_brought_back_is_refused_when_it_is_added(make_model):
    model = make_model()
    for config in (IA3Config(feedforward_modules=[], target_modules=".*q_proj"), lora(".*q_proj", bias="all")):
        with pytest.raises(InputError, match=r"tower_adapters\.extra\.(peft_type is 'IA3'|bias is 'all')"):
            model.add_adapter(config, "extra")
    assert not any("extra" in key for key in model.state_dict())


def test_an_adapter_that_is_half_on_is_not_saved(make_model, tmp_path):
    model = make_model()
    model.add_adapter(on_encoder(model))  # called "default", as the prompts are
    model.save_pretrained(tmp_path / "whole")
    model.encoder.get_submodule(linear_of(make_model().encoder))._disable_adapters = True
    with pytest.raises(InputError, match=r"'default' is switched off in encoder\."):
        model.save_pretrained(tmp_path / "half")


def test_one_name_for_two_adapters_is_not_saved(make_model, tmp_path):
    model = make_model()
    inject_adapter_in_model(on_encoder(model), model, "twice")
    inject_adapter_in_model(lora(".*q_proj"), model.vision_model, "twice")
    with pytest.raises(InputError, match="two adapters are called 'twice'"):
        model.save_pretrained(tmp_path)


def test_a_recorded_adapter_that_does_not_fit_is_said(make_model, tmp_path):
    make_model().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    record = {"place": "model", "peft_type": "LORA", "target_modules": ["nowhere"]}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tower_adapters": {"x": record}}))
    with pytest.raises(InputError, match=r"tower_adapters\.x does not fit the model.*nowhere"):
        NeuroCLIPModel.from_pretrained(tmp_path)


@pytest.mark.parametrize("settings", [{}, {"vision_config": {"model_type": "siglip_vision_model"}}])
@pytest.mark.parametrize("put", ["model", "tower"])
def test_no_adapter_learns_above_the_highest_layer_that_is_read(make_model, batch, tmp_path, settings, put):
    size = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 16, "patch_size": 8}
    settings = {"vision_config": size | settings.get("vision_config", {})}
    model = make_model(vision_feature_layers=[1, 2], vision_feature_token="mean", **settings)
    config = lora(r"vision_model\..*(q_proj|fc1)" if put == "model" else r".*(q_proj|fc1)")
    if put == "model":
        model.add_adapter(config, "extra")
    else:
        inject_adapter_in_model(config, model.vision_model, "extra")
    model.save_pretrained(tmp_path)
    for each in (model, NeuroCLIPModel.from_pretrained(tmp_path)):
        each.train()
        with torch.no_grad():  # a gate has to leave zero before what is behind it can learn
            for name in each.trainable_parameter_names():
                if "neuro_prompt_" in name:
                    each.get_parameter(name).add_(torch.randn_like(each.get_parameter(name)), alpha=0.3)
        each(**batch).loss.backward()
        learning = each.trainable_parameter_names()
        assert any("layers.1." in name and "lora_" in name for name in learning)
        assert all(each.get_parameter(name).grad.abs().max() > 0 for name in learning)


def test_prompts_are_of_the_layers_that_run(make_model, batch):
    model = make_model(vision_feature_layers=[2]).train()
    tokens = model.vision_model.embeddings.neuro_prompt_tokens["default"]
    assert len(tokens) == 2
    model(**batch).loss.backward()
    assert (tokens.grad.abs().amax(dim=(1, 2)) > 0).all()


def test_pickles_and_code_of_others_are_refused(make_model, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match="use_safetensors is False: checkpoints are read from safetensors only"):
        NeuroCLIPModel.from_pretrained(tmp_path, use_safetensors=False)
    with pytest.raises(OSError, match="safetensors"):
        NeuroCLIPModel.from_pretrained(tmp_path, use_safetensors=None)
    with pytest.raises(InputError, match="trust_remote_code is true"):
        NeuroCLIPModel.from_pretrained(tmp_path, trust_remote_code=True)


@pytest.mark.filterwarnings("ignore:The following device_map keys do not match any submodules")
def test_weights_left_on_disk_are_refused_in_words(tmp_path):
    NeuroCLIPModel.from_vision_pretrained(encoder_settings={"num_channels": 5, "num_timesteps": 20}).save_pretrained(
        tmp_path / "model"
    )
    places = {"encoder": "cpu", "brain_projection": "cpu", "image_projection": "cpu", "scale": "cpu"}
    places |= {"vision_model": "disk", "image_features_mean": "cpu"}
    with pytest.raises(InputError, match=r"device_map leaves vision_model\.\S+ on disk.*vision=False"):
        NeuroCLIPModel.from_pretrained(tmp_path / "model", device_map=places, offload_folder=tmp_path / "off")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("part", ["model", "vision_model"])
def test_a_tower_brought_into_another_precision_is_named_all_the_same(tmp_path, dtype, part):
    model = NeuroCLIPModel.from_vision_pretrained(encoder_settings={"num_channels": 5, "num_timesteps": 20})
    (model if part == "model" else model.vision_model).to(dtype)
    model.save_pretrained(tmp_path)
    assert not model.config.tower_included
    loaded = NeuroCLIPModel.from_pretrained(tmp_path)
    own = dict(loaded.vision_model.state_dict())
    assert {each.dtype for name, each in own.items() if "neuro_prompt" not in name} == {dtype}
    for name, value in model.vision_model.state_dict().items():
        torch.testing.assert_close(own[name], value, rtol=0, atol=0, check_dtype="neuro_prompt" not in name)


def test_a_tower_that_lost_precision_on_the_way_is_written_whole(tmp_path):
    model = NeuroCLIPModel.from_vision_pretrained(encoder_settings={"num_channels": 5, "num_timesteps": 20})
    model.to(torch.bfloat16).to(torch.float32).save_pretrained(tmp_path)
    assert model.config.tower_included


def test_a_file_of_peft_leads_to_no_other_model(make_model, tmp_path):
    make_model().save_pretrained(tmp_path / "model")
    config = lora(["q_proj"])
    config.base_model_name_or_path = "somebody/else"
    config.save_pretrained(tmp_path / "model")
    for load in (NeuroCLIPModel.from_pretrained, AutoModel.from_pretrained):
        with pytest.raises(InputError, match=r"holds an adapter_config\.json"):
            load(tmp_path / "model")
