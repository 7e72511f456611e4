"""Settings of the prompts: what is impossible is refused, what is saved comes back."""

import json

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
    ],
)
def test_impossible_values_are_refused_by_name(settings, error):
    with pytest.raises(error, match=next(iter(settings))):
        NeuroPromptConfig(**settings)


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
    config = NeuroPromptConfig(num_prompt_tokens=3, prompt_depth=2, init_std=0.5)
    config.save_pretrained(tmp_path)
    loaded = PeftConfig.from_pretrained(str(tmp_path))
    assert isinstance(loaded, NeuroPromptConfig)
    assert loaded.to_dict() == config.to_dict()


def test_setting_names_are_those_of_the_method():
    assert NeuroPromptConfig.setting_names() == ["num_prompt_tokens", "prompt_depth", "init_std"]
