"""What a model is given wrongly is named, with its value and what would be right."""

import re

import pytest
import torch

from neuroclip_hf.errors import InputError
from neuroclip_hf.models import NeuroCLIPModel


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
    ],
)
def test_batches(make_model, batch, wrong, message):
    with pytest.raises(InputError, match=re.escape(message)):
        make_model()(**batch | wrong)


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
        ({"revision": "v1"}, "revision is 'v1', but small-clip ships with the package.*leave it out"),
        ({"bogus": 3}, "no setting bogus"),
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
    ],
)
def test_loading(make_model, tmp_path, wrong, message):
    make_model().save_pretrained(tmp_path)
    with pytest.raises(InputError, match=message):
        NeuroCLIPModel.from_pretrained(tmp_path, **wrong)


def test_saving(make_model, tmp_path):
    with pytest.raises(InputError, match="include_backbone is 'yes': it must be true or false"):
        make_model().save_pretrained(tmp_path / "model", include_backbone="yes")
    assert not (tmp_path / "model").exists()
