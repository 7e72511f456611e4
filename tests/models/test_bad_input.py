"""What a model is given wrongly is named, with its value and what would be right."""

import re

import pytest
import torch
from transformers import CLIPVisionConfig

from neuroclip_hf.errors import InputError
from neuroclip_hf.models import NeuroCLIPModel
from neuroclip_hf.models.encoders.eegnet import EEGNetConfig, EEGNetEncoder


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"picture_index": torch.tensor([2, 0, 3, 1])}, "picture_index names picture 3: there are 3, from 0 to 2"),
        ({"picture_index": torch.tensor([2, 0, -1, 1])}, "picture_index names picture -1: there are 3, from 0 to 2"),
        ({"picture_index": torch.tensor([2.0, 0, 1, 1])}, "picture_index is torch.float32 of (4,): it must be whole"),
        ({"picture_index": torch.tensor([[2, 0, 1, 1]])}, "picture_index is torch.int64 of (1, 4): it must be whole"),
        ({"picture_index": torch.tensor([2, 0, 1])}, "picture_index is torch.int64 of (3,): it must be whole"),
        ({"picture_index": [2, 0, 1, 1]}, "picture_index is a list: it must be a tensor"),
        ({"image_id": torch.tensor([7.0, 3, 7, 5])}, "image_id is torch.float32 of (4,): it must be whole numbers"),
        ({"image_id": torch.tensor([True, False, True, False])}, "image_id is torch.bool of (4,): it must be whole"),
        ({"image_id": torch.arange(3)}, "image_id is torch.int64 of (3,): it must be whole numbers of (4,)"),
        ({"image_id": ["a", "b", "a", "c"]}, "image_id is a list: it must be a tensor"),
        ({"pixel_values": torch.randn(3, 4, 16, 16)}, "pixel_values is (3, 4, 16, 16): it must be (pictures, 3 colou"),
        ({"pixel_values": torch.randn(3, 16, 16)}, "pixel_values is (3, 16, 16): it must be (pictures, 3 colours, 16"),
        ({"pixel_values": torch.randn(3, 3, 24, 24)}, "pixel_values is (3, 3, 24, 24): it must be (pictures, 3 colo"),
        ({"pixel_values": torch.zeros(3, 3, 16, 16, dtype=torch.uint8)}, "pixel_values is torch.uint8: it must be a"),
        ({"pixel_values": [1]}, "pixel_values is a list: it must be a tensor"),
        ({"image_features": torch.zeros(2, 1, 16)}, "image_features is for 2 pictures, and pixel_values holds 3"),
        ({"image_features": torch.zeros(3, 1, 16).long()}, "image_features is torch.int64: it must be a floating"),
        ({"eeg_values": [1.0]}, "eeg_values is a list: it must be a tensor"),
        ({"return_loss": "no"}, "return_loss is 'no': it must be true or false"),
        ({"return_dict": 0}, "return_dict is 0: it must be true or false"),
    ],
)
def test_batches(make_model, batch, wrong, message):
    with pytest.raises(InputError, match=re.escape(message)):
        make_model()(**batch | wrong)


@pytest.mark.parametrize(
    "emptied",
    [["pixel_values"], ["eeg_values", "picture_index", "image_id"]],
)
@pytest.mark.parametrize("training", [True, False])
def test_empty_batches(make_model, batch, emptied, training):
    model = make_model().train(training)
    for name in emptied:
        batch[name] = batch[name][:0]
    with pytest.raises(InputError, match=f"{emptied[0]} holds 0 (recordings|pictures): it must hold at least one"):
        model(**batch)


def test_no_pictures_and_no_recordings(make_model, batch):
    with pytest.raises(InputError, match="pixel_values holds 0 pictures"):
        make_model().get_image_features(batch["pixel_values"][:0])
    assert make_model().get_brain_features(batch["eeg_values"][:0]).shape == (0, 8)  # as every encoder does


def test_no_frozen_features(make_model):
    with pytest.raises(InputError, match="image_features holds 0 pictures: it must hold at least one"):
        make_model(prompt_config=None)(image_features=torch.zeros(0, 1, 16), return_loss=False)


def test_pictures_of_any_size_where_the_tower_takes_them(make_model, any_tower):
    model, pictures = make_model(vision_config=any_tower), torch.randn(2, 3, 24, 32)
    if model.takes_any_picture_size:
        assert model.get_image_features(pictures).shape == (2, 8)
    else:
        with pytest.raises(InputError, match=r"\(2, 3, 24, 32\): it must be \(pictures, 3 colours, 16, 16\)"):
            model.get_image_features(pictures)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"prompt": 4}, "prompt is 4: it must be a dict of settings"),
        ({"prompt": "deep"}, "prompt is 'deep': it must be a dict of settings"),
        ({"encoder_settings": [17]}, r"encoder_settings is \[17\]: it must be a dict of settings"),
        ({"encoder": 4}, "there is no encoder 4: choose one of"),
        (
            {"encoder": "eegnet", "encoder_settings": {"model_type": "ts_conv"}},
            "encoder is 'eegnet', but encoder_settings.model_type is 'ts_conv': leave that out",
        ),
        ({"name_or_path": __file__}, r"tower .*test_bad_input\.py is a file: name the folder that holds it"),
        ({"dtype": torch.float16}, "dtype is torch.float16, but a new model is made in float32: leave it out"),
        ({"torch_dtype": "bfloat16"}, "torch_dtype is 'bfloat16', but a new model is made in float32"),
        ({"revision": "v1"}, "revision is 'v1', but small-clip ships with the package.*leave it out"),
        ({"bogus": 3}, "no setting bogus"),
        ({"tower": "x"}, "tower is 'x', but it follows from name_or_path here"),
        ({"tower_revision": "x"}, "tower_revision is 'x', but it follows from revision here"),
        ({"vision_config": {}}, "vision_config is {}, but it follows from name_or_path here"),
        ({"tower_fingerprint": "x"}, "tower_fingerprint is 'x', but it follows from name_or_path here"),
        ({"encoder_config": {}}, "encoder_config is {}, but it follows from encoder and encoder_settings here"),
        ({"prompt_config": None}, "prompt_config is None, but it follows from prompt here"),
    ],
)
def test_new_models(wrong, message):
    with pytest.raises(InputError, match=message):
        NeuroCLIPModel.from_vision_pretrained(**wrong)


def test_a_revision_of_a_folder(make_model, clip_checkpoint, tmp_path):
    make_model().save_pretrained(tmp_path / "model")
    message = "revision is 'v1', but {} is a folder.*leave it out"
    with pytest.raises(InputError, match=message.format(tmp_path / "model")):
        NeuroCLIPModel.from_pretrained(tmp_path / "model", revision="v1")
    _, tower = clip_checkpoint
    with pytest.raises(InputError, match=message.format(tower)):
        NeuroCLIPModel.from_vision_pretrained(tower, revision="v1")
    for says_nothing in (None, "main"):  # what pipelines of transformers pass on, and its own default
        NeuroCLIPModel.from_pretrained(tmp_path / "model", revision=says_nothing)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"bogus": 3, "other": 1}, "NeuroCLIPModel has no setting bogus, other: .*softening"),
        ({"strict": "no"}, "strict is 'no': it must be true or false"),
        ({"config": 3}, "config is 3: it must be a NeuroCLIPConfig"),
        ({"config": CLIPVisionConfig()}, "config is a CLIPVisionConfig: it must be a NeuroCLIPConfig"),
        ({"config": "./nope"}, r"config is \./nope: there is no such file or folder"),
        ({"dtype": "nope"}, "dtype is 'nope': it must be a floating type"),
        ({"tower": "x"}, "tower is 'x', but it follows from the checkpoint here: leave it out"),
        ({"tower_revision": "x"}, "tower_revision is 'x', but it follows from the checkpoint here"),
        ({"tower_fingerprint": "x"}, "tower_fingerprint is 'x', but it follows from the checkpoint here"),
        ({"tower_included": False}, "tower_included is False, but it follows from the checkpoint here"),
        ({"included_fingerprint": None}, "included_fingerprint is None, but it follows from the checkpoint here"),
        ({"encoder_config": {"model_type": "ts_conv"}}, "model_type is 'ts_conv', but .* holds one of type 'eeg_pro"),
        ({"encoder_config": EEGNetConfig()}, "model_type is 'eegnet', but .* holds one of type 'eeg_project'"),
        ({"encoder_config": 3}, "encoder_config is 3: it must be a dict of settings"),
        ({"encoder_config": None}, "encoder_config is None: it must be a dict of settings"),
        ({"vision_config": "x"}, "vision_config is 'x': it must be a dict of settings"),
        ({"vision_config": {"bogus": 1}}, "CLIPVisionConfig has no setting bogus"),
        ({"vision_model": 5}, "vision_model is 5: .*leave it out"),
        ({"stored_towers": 3}, "stored_towers is 3: .*leave it out"),
        ({"projection_dim": 7}, r"brain_projection\.bias \(mismatched\).*projection_dim is 7\): leave them out"),
        ({"projection_dim": 7, "strict": False}, r"brain_projection\.bias \(mismatched\).*projection_dim is 7"),
        ({"encoder_config": {"hidden_size": 9}}, r"brain_projection\.weight \(mismatched\).*'hidden_size': 9"),
    ],
)
def test_loading(make_model, tmp_path, wrong, message):
    make_model().save_pretrained(tmp_path)
    with pytest.raises(InputError, match=message):
        NeuroCLIPModel.from_pretrained(tmp_path, **wrong)


def test_loading_with_a_config_and_a_setting(make_model, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"softening is 0\.1: config was given too, so set it there"):
        NeuroCLIPModel.from_pretrained(tmp_path, config=model.config, softening=0.1)
    assert NeuroCLIPModel.from_pretrained(tmp_path, softening=0.1).config.softening == 0.1


def test_sizes_may_differ_if_they_are_let(make_model, tmp_path):
    make_model().save_pretrained(tmp_path)
    model = NeuroCLIPModel.from_pretrained(tmp_path, projection_dim=7, strict=False, ignore_mismatched_sizes=True)
    assert model.brain_projection.weight.shape == (7, 12)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"vision_model": 5}, "vision_model is 5: it must be a vision tower of transformers"),
        (
            {"vision_model": EEGNetEncoder(EEGNetConfig())},
            "vision_model is a EEGNetEncoder: it must be a vision tower",
        ),
        ({"stored_towers": 3}, "stored_towers is 3: it must be a dict of towers"),
        ({"stored_towers": {"a": 1}}, "stored_towers is {'a': 1}: it must be a dict of towers"),
        ({"stored_towers": {"vision_model": 1}}, "stored_towers is {'vision_model': 1}: it must be a dict of towers"),
        ({"config": 3}, "config is 3: it must be a NeuroCLIPConfig"),
    ],
)
def test_building(make_config, wrong, message):
    with pytest.raises(InputError, match=message):
        NeuroCLIPModel(**{"config": make_config(), **wrong})


def test_a_model_is_no_tower_and_no_pictures_need_none(make_config, make_model):
    with pytest.raises(
        InputError, match=r"vision_model is a NeuroCLIPModel: .*of a whole model pass its vision_model"
    ):
        NeuroCLIPModel(make_config(), vision_model=make_model())
    tower = make_model(prompt_config=None).vision_model
    with pytest.raises(InputError, match=r"vision_model was given, but config\.vision is False"):
        NeuroCLIPModel(make_config(vision=False), vision_model=tower)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"encoder_config": {"model_type": "eegnet"}},
            "encoder_config is {'model_type': 'eegnet'}: it must be a conf",
        ),
        ({"encoder_config": None}, "encoder_config is None: it must be a config; give a dict of settings where Neuro"),
        ({"vision_config": None}, "vision_config is None: it must be a config"),
        ({"vision_config": EEGNetConfig()}, "vision_config is of type 'eegnet': vision towers are of the types"),
    ],
)
def test_parts_assigned_to_a_config(make_config, wrong, message):
    config = make_config()
    for name, value in wrong.items():
        setattr(config, name, value)
    with pytest.raises(InputError, match=message):
        NeuroCLIPModel(config)


@pytest.mark.parametrize("with_config", [False, True])
@pytest.mark.parametrize("name", ["w.bin", "model/config.json", "model/model.safetensors"])
def test_a_file_is_no_checkpoint(make_model, tmp_path, monkeypatch, name, with_config):
    model = make_model()
    model.save_pretrained(tmp_path / "model")
    torch.save(model.state_dict(), tmp_path / "w.bin")
    monkeypatch.setattr(torch, "load", None)
    given = {"config": model.config} if with_config else {}
    with pytest.raises(InputError, match=f"name_or_path is .*{name}, which is a file: name the folder that holds it"):
        NeuroCLIPModel.from_pretrained(tmp_path / name, **given)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "name_or_path is None: it must be a folder, or a repository on the Hub"),
        (3, "name_or_path is 3: it must be a folder"),
        ("", "name_or_path is '': it must be a folder"),
        ("./nope", r"name_or_path is \./nope: there is no such folder"),
        ("/nope/model", "name_or_path is /nope/model: there is no such folder"),
    ],
)
def test_places_that_hold_nothing(name, message):
    with pytest.raises(InputError, match=message):
        NeuroCLIPModel.from_pretrained(name)


def test_weights_may_come_without_a_place(make_model):
    model = make_model()
    loaded = NeuroCLIPModel.from_pretrained(None, config=model.config, state_dict=model.state_dict())
    torch.testing.assert_close(loaded.brain_projection.weight, model.brain_projection.weight)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"include_backbone": "yes"}, "include_backbone is 'yes': it must be true or false"),
        ({"bogus": 4}, "save_pretrained has no option bogus=4: its options are .*include_backbone"),
        ({"safe_serialization": False}, "safe_serialization is False: checkpoints are safetensors only"),
        ({"save_directory": None}, "save_directory is None: it must be a folder"),
    ],
)
def test_saving(make_model, tmp_path, wrong, message):
    with pytest.raises(InputError, match=message):
        make_model().save_pretrained(**{"save_directory": tmp_path / "model", **wrong})
    assert not (tmp_path / "model").exists()


def test_saving_into_a_file(make_model, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"save_directory is .*file, which is a file: name a folder"):
        make_model().save_pretrained(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_options_of_older_programs_are_let_pass(make_model, tmp_path):
    make_model().save_pretrained(tmp_path, safe_serialization=True, save_function=torch.save)
    assert (tmp_path / "model.safetensors").is_file()


def test_a_model_without_a_tower_cannot_include_it(make_model, tmp_path):
    model = make_model(vision=False)
    with pytest.raises(InputError, match="include_backbone is True, but this model has vision=False and no tower"):
        model.save_pretrained(tmp_path / "model", include_backbone=True)
    model.save_pretrained(tmp_path / "model")
    assert NeuroCLIPModel.from_pretrained(tmp_path / "model").config.tower_included is False
