"""NeuroCLIP's settings: parts, round trip, and what is refused."""

import dataclasses
import json

import pytest
import torch
from transformers import AutoConfig, CLIPVisionConfig, ViTConfig

from neuroclip_hf.errors import InputError
from neuroclip_hf.models import NeuroCLIPConfig
from neuroclip_hf.models.brain_image import recorded_adapters
from neuroclip_hf.models.encoders.ts_conv import TSConvConfig


def lora(**settings):
    return {"place": "model", "peft_type": "LORA", "target_modules": ["q_proj"], **settings}


def test_defaults_are_the_documented_ones():
    config = NeuroCLIPConfig()
    assert config.encoder_config.model_type == "eeg_project"
    prompts = {"num_prompt_tokens": 8, "prompt_depth": None, "init_std": 0.02}
    assert prompts.items() <= config.prompt_config.items()
    parts = ("shared_prompts", "instance_prompts", "dual_stream", "dynamic_filter", "cross_attention")
    assert all(config.prompt_config[part] is True for part in parts)
    assert (config.vision_feature_layers, config.vision_feature_token) == (None, "cls")
    assert (config.brain_projection, config.image_projection) == ("linear", "linear")
    assert (config.softening, config.softening_temperature, config.projection_dim) == (0.2, 0.05, 512)
    assert config.logit_scale_init_value == pytest.approx(2.65926)


def test_dicts_become_configs_and_configs_stay(make_config):
    encoder = TSConvConfig(num_channels=4)
    config = make_config(encoder_config=encoder, vision_config=CLIPVisionConfig(num_hidden_layers=2))
    assert config.encoder_config is encoder
    assert config.vision_config.num_hidden_layers == 2
    assert isinstance(make_config(encoder_config={"model_type": "ts_conv"}).encoder_config, TSConvConfig)


@pytest.mark.parametrize("prompt", [None, {}, {"num_prompt_tokens": 2, "prompt_depth": 1}])
def test_saved_and_loaded(make_config, tmp_path, prompt):
    config = make_config(prompt_config=prompt, softening=0.4, tower="somebody/clip", tower_revision="abc")
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert type(loaded) is NeuroCLIPConfig
    assert loaded.to_diff_dict() == config.to_diff_dict()
    assert (loaded.prompt_config is None) == (prompt is None)


def test_transformers_own_fields_are_accepted(make_config):
    config = make_config(architectures=["NeuroCLIPModel"], dtype="float32", transformers_version="5", model_type="x")
    assert config.architectures == ["NeuroCLIPModel"]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"softning": 0.1}, "no setting softning: .*softening"),
        ({"encoder_config": {"hiden_size": 3}}, "EEGProjectConfig has no setting hiden_size"),
        ({"vision_config": {"num_layers": 3}}, "CLIPVisionConfig has no setting num_layers"),
        ({"vision_config": {"model_type": "dinov2", "intermediate_size": 3}}, "Dinov2Config has no setting inter"),
        ({"prompt_config": {"depth": 3}}, "prompt_config has no setting depth: .*prompt_depth"),
        ({"prompt_config": {"target_modules": ["x"]}}, "prompt_config has no setting target_modules"),
        ({"temperature": 0.1}, "no setting temperature"),
    ],
)
def test_misspelt_names_are_refused(make_config, settings, named):
    with pytest.raises(InputError, match=named):
        make_config(**settings)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"projection_dim": 0}, "projection_dim is 0"),
        ({"vision_feature_layers": 2}, "vision_feature_layers is 2"),
        ({"vision_feature_layers": []}, r"vision_feature_layers is \[\]"),
        ({"vision_feature_layers": [4]}, "vision_feature_layers names 4: the tower has 3 layers"),
        ({"vision_feature_layers": [0]}, "vision_feature_layers names 0"),
        ({"vision_feature_layers": [-4]}, "vision_feature_layers names -4"),
        ({"vision_feature_layers": [1.0]}, r"vision_feature_layers names 1\.0"),
        ({"vision_feature_layers": [True]}, "vision_feature_layers names True"),
        ({"vision_feature_layers": [1, 3, -1]}, r"vision_feature_layers is \[1, 3, -1\]: it names layer 3 more"),
        ({"vision_feature_token": "max"}, "vision_feature_token is 'max'"),
        ({"vision_feature_token": "mean"}, "vision_feature_token is 'mean', but the pooled output is read"),
        ({"vision_config": {"model_type": "siglip_vision_model", "vision_use_head": False}}, "vision_use_head"),
        ({"vision_config": {"model_type": "resnet"}}, "of type 'resnet'"),
        ({"vision_config": ViTConfig()}, "of type 'vit'"),
        ({"vision_config": "clip"}, "vision_config is 'clip'"),
        ({"brain_projection": "cubic"}, "brain_projection is 'cubic'"),
        ({"image_projection": None}, "image_projection is None"),
        ({"tower_dtype": "int8"}, "tower_dtype is 'int8'"),
        ({"vision": "no"}, "vision is 'no'"),
        ({"tower_adapters": ["lora"]}, "tower_adapters is"),
        ({"tower": None}, "tower is None"),
        ({"tower_revision": 5}, "tower_revision is 5"),
        ({"tower_fingerprint": [1]}, r"tower_fingerprint is \[1\]"),
        ({"active_adapters": "default"}, "active_adapters is 'default'"),
        ({"active_adapters": ["defualt"]}, "active_adapters names 'defualt': the adapters are default"),
        ({"tower_adapters": {"x": 3}}, r"tower_adapters\.x is 3"),
        ({"tower_adapters": {"x": {"peft_type": "LORA"}}}, r"tower_adapters\.x\.place is None"),
        ({"tower_adapters": {"x": {"place": "model"}}}, r"tower_adapters\.x\.peft_type is None"),
        ({"tower_adapters": {"x": {"place": "model", "peft_type": ["LORA"]}}}, r"x\.peft_type is \['LORA'\]"),
        ({"tower_adapters": {"x": {"place": "model", "peft_type": "XLORA", "adapters": {"a": "b/c"}}}}, "is 'XLORA'"),
        ({"tower_adapters": {"x": lora(megatron_core="os", megatron_config={})}}, r"x\.megatron_core is 'os'"),
        ({"tower_adapters": {"x": lora(modules_to_save=["encoder"])}}, r"x\.modules_to_save is"),
        ({"tower_adapters": {"x": lora(target_modules={"q_proj"})}}, r"x\.target_modules is \{'q_proj'\}"),
        ({"tower_adapters": {"x": {"place": "model", "peft_type": "NEURO_PROMPT", "prompt_depth": 0}}}, "depth is 0"),
        ({"use_cache": "x"}, "use_cache is 'x'"),
        ({"return_dict": "no"}, "return_dict is 'no'"),
        ({"num_labels": 3}, "no setting num_labels"),
        (
            {"vision_feature_layers": [1], "prompt_config": {"prompt_depth": 2}},
            "depth is 2, but vision_feature",
        ),
        ({"softening": 1.2}, "softening is 1.2"),
        ({"softening": "much"}, "softening is 'much'"),
        ({"softening_temperature": 0}, "softening_temperature is 0"),
        ({"softening_temperature": 1e-46}, "softening_temperature is 1e-46: it must be at least 1e-06"),
        ({"logit_scale_init_value": 14.3}, "logit_scale_init_value is 14.3"),
        ({"prompt_config": {"prompt_depth": 4}}, "prompt_depth is 4, but the tower has 3 layers"),
        ({"prompt_config": {"num_prompt_tokens": -1}}, "num_prompt_tokens is -1"),
        ({"prompt_config": 8}, "prompt_config is 8"),
        ({"encoder_config": "ts_conv"}, "encoder_config is 'ts_conv'"),
        ({"encoder_config": {"model_type": "lstm"}}, "no encoder 'lstm'"),
        ({"vision_config": {"hidden_size": 10, "num_attention_heads": 3}}, "vision_config cannot be used"),
        ({"vision_config": {"hidden_size": "wide"}}, "vision_config cannot be used"),
        ({"vision_config": {"image_size": 4, "patch_size": 8}}, "patch_size is 8"),
        ({"vision_config": {"num_hidden_layers": 0}}, "num_hidden_layers is 0"),
        ({"vision_config": {"patch_size": 0}}, "patch_size is 0"),
        ({"vision_config": {"num_attention_heads": 0}}, r"vision_config\.num_attention_heads is 0: it must be"),
        ({"vision_config": {"num_channels": 0}}, r"vision_config\.num_channels is 0: it must be at least 1"),
        ({"vision_config": {"intermediate_size": 0}}, r"vision_config\.intermediate_size is 0"),
        ({"vision_config": {"model_type": "dinov2", "mlp_ratio": 0}}, r"vision_config\.mlp_ratio is 0"),
        (
            {"vision_config": {"attention_dropout": 2.0}},
            r"vision_config\.attention_dropout is 2\.0: it must be from 0",
        ),
        ({"vision_config": {"hidden_act": "nope"}}, r"vision_config\.hidden_act is 'nope': it must be an activation"),
        ({"prompt_config": {1: 2}}, "prompt_config has no setting 1: its settings are"),
        ({"dtype": "nope"}, "dtype is 'nope': it must be a floating type"),
        ({"dtype": torch.int8}, r"dtype is torch\.int8: it must be a floating type"),
        ({"torch_dtype": 3}, "torch_dtype is 3: it must be a floating type"),
        ({"tower_adapters": {"x": lora(r="x")}}, r"tower_adapters\.x\.r is 'x': it must be of the type int"),
        ({"tower_adapters": {"x": lora(lora_alpha="a")}}, r"x\.lora_alpha is 'a': it must be of the type float"),
        ({"tower_adapters": {"x": lora(use_dora=1)}}, r"x\.use_dora is 1: it must be of the type bool"),
        ({"tower_adapters": {"x": lora(r=True)}}, r"x\.r is True: it must be of the type int"),
        ({"tower_adapters": {"x": lora(target_modules=[1])}}, r"x\.target_modules is \[1\]: it must be of the type"),
    ],
)
def test_impossible_values_are_refused(make_config, settings, named):
    with pytest.raises(InputError, match=named):
        make_config(**settings)


def test_a_misspelt_name_in_a_saved_file_is_refused(make_config, tmp_path):
    make_config().save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"projection_size": 4}))
    with pytest.raises(InputError, match="no setting projection_size"):
        AutoConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("given", "kept"), [(None, None), ([2], [2]), ([-1], [3]), ((3, 1), [1, 3]), ([-1, -3, 2], [1, 2, 3])]
)
def test_layers_are_counted_from_the_bottom(make_config, tmp_path, given, kept):
    config = make_config(vision_feature_layers=given)
    assert config.vision_feature_layers == config.feature_layers == kept
    assert config.num_feature_layers == len(kept or [None])
    config.save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).vision_feature_layers == kept
    config.vision_feature_layers = [7]  # assigned later: seen when a model is built
    with pytest.raises(InputError, match="names 7"):
        config.check()


def test_every_kind_of_tower_survives_saving(make_config, any_tower, tmp_path):
    config = make_config(vision_config=any_tower)
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert type(loaded.vision_config) is type(config.vision_config)
    assert loaded.to_diff_dict() == config.to_diff_dict()
    assert loaded.vision_config.hidden_size == 16


@pytest.mark.parametrize("side", ["brain", "image"])
def test_no_projection_between_different_widths(make_model, side):
    with pytest.raises(InputError, match=f"{side}_projection is 'none', but the features are .* projection_dim is 8"):
        make_model(**{f"{side}_projection": "none"})


def test_what_old_clip_configs_carry_is_dropped(make_config):
    old = CLIPVisionConfig(hidden_size=16, num_attention_heads=2, torchscript=False, dropout=0.0)
    assert not hasattr(make_config(vision_config=old).vision_config, "torchscript")


def test_what_transformers_may_switch_is_accepted(make_config):
    adapters = {"active_adapters": ["default", "x"], "tower_adapters": {"x": lora()}}
    config = make_config(use_cache=False, return_dict=False, **adapters)
    assert (config.return_dict, config.active_adapters) == (False, ["default", "x"])


def test_every_setting_of_a_recorded_adapter_exists():
    for method, names in recorded_adapters._SETTINGS.items():
        fields = {field.name for field in dataclasses.fields(recorded_adapters._METHODS[method])}
        assert names <= fields
