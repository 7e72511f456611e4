"""Reading a run back: whatever is damaged is named, with the file, and nothing is filled in silently."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel
from transformers.utils import logging as transformers_logging

import neuroclip_hf
from neuroclip_hf.checkpoints import load_run, read_facts
from neuroclip_hf.errors import InputError
from neuroclip_hf.models.loading import without_weight_bars
from neuroclip_hf.protocols.run import save_run, train_on_store

ONE_CHANNEL = {"channel_names": ["P7"], "mean": [0.0], "whitening": None}
FILES = ["config.json", "model.safetensors", "processor_config.json"]


def edit(path, section=None, **changes):
    values = json.loads(path.read_text())
    (values if section is None else values[section]).update(changes)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["gone", "empty", "half", "other"])
def test_damaged_files(run_copy, name, damage):
    path = run_copy / name
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes({"empty": b"", "half": content[: len(content) // 2], "other": b"[]"}[damage])
    with pytest.raises(InputError) as caught:
        load_run(run_copy)
    assert str(run_copy) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "section", "changes", "message"),
    [
        ("config.json", None, {"model_type": "clip"}, "'clip'"),
        ("config.json", None, {"projection_dim": 8}, "brain_projection.bias.*mismatched"),
        ("config.json", None, {"projection_dim": "a"}, "projection_dim"),
        ("config.json", None, {"projektion_dim": 8}, "projektion_dim"),
        ("config.json", "encoder_config", {"model_type": "foo"}, "eeg_project, ts_conv"),
        ("config.json", "encoder_config", {"num_channels": 9}, "num_channels is 9"),
        ("config.json", "vision_config", {"num_hidden_layers": 5}, "small-clip does not fit vision_config"),
        ("config.json", "vision_config", {"num_hidden_layers": 1}, "small-clip does not fit vision_config"),
        ("processor_config.json", "feature_extractor", ONE_CHANNEL, "1 channels"),
        ("processor_config.json", "feature_extractor", {"std": "x"}, "std"),
        ("processor_config.json", "feature_extractor", {"epochs": {"windw": 1}}, "windw"),
        ("processor_config.json", None, {"feature_extractor": 3}, "loaded"),
        ("processor_config.json", None, {"image_processor": 3}, "loaded"),
        ("processor_config.json", "image_processor", {"image_processor_type": "Foo"}, "loaded"),
    ],
)  # fmt: skip
def test_edited_files(run_copy, name, section, changes, message):
    edit(run_copy / name, section, **changes)
    with pytest.raises(InputError, match=message):
        load_run(run_copy)


def test_subjects_are_as_many_as_the_encoder_knows(recipe, store, tmp_path):
    sizes = {"hidden_size": 8, "num_filters": 2, "kernel_size": 3, "pool_size": 4, "pool_stride": 4, "num_heads": 1}
    chosen = replace(recipe, model=replace(recipe.model, encoder="atm_s", encoder_settings=sizes))
    save_run(train_on_store(chosen, store), chosen, tmp_path / "run")
    assert load_run(tmp_path / "run")[0].config.encoder_config.num_subjects == 2
    edit(tmp_path / "run" / "processor_config.json", "feature_extractor", subjects=["sub-02"])
    with pytest.raises(InputError, match=r"names 1 subjects, config\.json has num_subjects 2"):
        load_run(tmp_path / "run")


def test_a_weight_that_is_missing_is_not_drawn_anew(run_copy):
    weights = load_file(run_copy / "model.safetensors")
    weights.pop("brain_projection.bias")
    save_file(weights, run_copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"brain_projection\.bias \(missing\)"):
        load_run(run_copy)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"seed": 1}', ""])
def test_damaged_facts(run_copy, text):
    (run_copy / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"run\.json"):
        read_facts(run_copy)


def test_facts_of_a_wrong_kind(run_copy):
    edit(run_copy / "run.json", seed="x")
    with pytest.raises(InputError, match="seed is 'x'"):
        read_facts(run_copy)


def test_facts_may_be_absent(run_copy):
    assert read_facts(run_copy)["seed"] == 0
    (run_copy / "run.json").unlink()
    assert read_facts(run_copy) == {}


def test_a_moved_run_loads(run_copy, tmp_path):
    moved = shutil.move(run_copy, tmp_path / "elsewhere")
    assert load_run(moved)[0].training is False


def test_auto_classes_load_it_too(run_folder, trained):
    neuroclip_hf.register()
    model = AutoModel.from_pretrained(run_folder)
    assert type(model) is type(trained.model)
    assert type(AutoConfig.from_pretrained(run_folder)) is type(trained.model.config)
    assert all(torch.equal(value, trained.model.state_dict()[name]) for name, value in model.state_dict().items())


def test_no_bars_of_transformers_and_no_trace_of_that(trained, recipe, tmp_path, capfd):
    transformers_logging.enable_progress_bar()
    save_run(trained, recipe, tmp_path / "run")
    load_run(tmp_path / "run")
    assert capfd.readouterr() == ("", "")
    assert transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    with without_weight_bars():
        pass
    assert not transformers_logging.is_progress_bar_enabled()
    transformers_logging.enable_progress_bar()


def test_equal_trainings_save_equal_bytes(trained, recipe, run_folder, tmp_path, snapshot):
    save_run(trained, recipe, tmp_path / "run")
    assert snapshot(tmp_path / "run") == snapshot(run_folder)
