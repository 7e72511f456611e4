"""Settings of the prompts: what is impossible is refused, what is saved comes back."""

import json
import re

import pytest
from peft import PeftConfig

from neuroclip_hf.adapters import NeuroPromptConfig


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"num_prompt_tokens": 0}, ValueError),
        ({"num_prompt_tokens": 2.0}, TypeError),
        ({"num_prompt_tokens": True}, TypeError),
        ({"prompt_depth": 0}, ValueError),
        ({"prompt_depth": -1}, ValueError),
        ({"prompt_depth": "all"}, TypeError),
        ({"init_std": 0.0}, ValueError),
        ({"init_std": float("nan")}, ValueError),
        ({"init_std": "small"}, TypeError),
        ({"init_std": float("inf")}, ValueError),
        ({"shared_prompts": 1}, TypeError),
        ({"instance_prompts": None}, TypeError),
        ({"dual_stream": "yes"}, TypeError),
        ({"dynamic_filter": 0}, TypeError),
        ({"cross_attention": "no"}, TypeError),
        ({"filter_domain": "temporal"}, ValueError),
        ({"filter_domain": 3}, TypeError),
        ({"filter_domain": ["spatial"]}, TypeError),
        ({"filter_size": 1}, ValueError),
        ({"filter_size": 4}, ValueError),
        ({"filter_size": 7.0}, TypeError),
        ({"filter_start": 0.0}, ValueError),
        ({"filter_start": 1.0}, ValueError),
        ({"filter_start": float("nan")}, ValueError),
        ({"filter_start": True}, TypeError),
        ({"num_spectral_filters": 0}, ValueError),
        ({"spectral_resolution": 1}, ValueError),
        ({"filter_input_size": 0}, ValueError),
        ({"fusion_width": 0}, ValueError),
        ({"fusion_heads": -4}, ValueError),
        ({"fusion_heads": 3}, ValueError),
        ({"fusion_heads": "four"}, TypeError),
        ({"target_modules": 3}, TypeError),
        ({"target_modules": [3]}, TypeError),
        ({"modules_to_save": "post_layernorm"}, TypeError),
    ],
)
def test_impossible_values_are_refused_by_name(settings, error):
    ((name, value),) = settings.items()
    with pytest.raises(error, match=rf"{name} (is )?{re.escape(repr(value))}"):
        NeuroPromptConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"shared_prompts": False, "instance_prompts": False}, "shared_prompts and instance_prompts"),
        ({"dynamic_filter": False, "cross_attention": False}, "dynamic_filter and cross_attention"),
        ({"fusion_width": 10, "fusion_heads": 4}, "fusion_width is 10 and fusion_heads 4"),
    ],
)
def test_combinations_that_leave_nothing_are_refused(settings, names):
    with pytest.raises(ValueError, match=names):
        NeuroPromptConfig(**settings)


def test_by_default_every_part_is_on():
    config = NeuroPromptConfig()
    for part in ("shared_prompts", "instance_prompts", "dual_stream", "dynamic_filter", "cross_attention"):
        assert getattr(config, part) is True


@pytest.mark.parametrize(
    "part", ["shared_prompts", "instance_prompts", "dual_stream", "dynamic_filter", "cross_attention"]
)
def test_every_part_can_be_switched_off_alone(part):
    assert getattr(NeuroPromptConfig(**{part: False}), part) is False


def test_names_of_modules_come_in_any_collection():
    config = NeuroPromptConfig(target_modules={"b", "a"}, modules_to_save=("d", "c"))
    assert (config.target_modules, config.modules_to_save) == (["a", "b"], ["c", "d"])


def test_unknown_names_are_refused():
    with pytest.raises(TypeError, match=r"no setting num_tokens.*num_prompt_tokens"):
        NeuroPromptConfig(num_tokens=4)


def test_unknown_names_in_a_file_are_refused_too(tmp_path):
    NeuroPromptConfig().save_pretrained(tmp_path)
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"prompt_dept": 2}))
    with pytest.raises(TypeError, match="no setting prompt_dept"):
        PeftConfig.from_pretrained(str(tmp_path))


def test_saved_settings_come_back(tmp_path):
    config = NeuroPromptConfig(num_prompt_tokens=3, prompt_depth=2, init_std=0.5, filter_domain="spectral")
    config.save_pretrained(tmp_path)
    loaded = PeftConfig.from_pretrained(str(tmp_path))
    assert isinstance(loaded, NeuroPromptConfig)
    assert loaded.to_dict() == config.to_dict()


def test_setting_names_are_those_of_the_method():
    assert NeuroPromptConfig.setting_names() == [
        "shared_prompts",
        "num_prompt_tokens",
        "prompt_depth",
        "init_std",
        "instance_prompts",
        "dual_stream",
        "dynamic_filter",
        "filter_domain",
        "filter_size",
        "filter_start",
        "num_spectral_filters",
        "spectral_resolution",
        "filter_input_size",
        "cross_attention",
        "fusion_width",
        "fusion_heads",
    ]
