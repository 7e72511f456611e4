"""Names of towers, and the tower that ships with the package."""

import torch
from transformers import CLIPModel

from neuroclip_hf import NeuroCLIPModel
from neuroclip_hf.adapters.neuro_prompt.structure import find_structure
from neuroclip_hf.columns import RANDOM_TOWER, SMALL_CLIP
from neuroclip_hf.models.tower_types import TOWER_TYPES, as_vision_config, build_tower
from neuroclip_hf.models.towers import SMALL_CLIP_FOLDER, describe_tower, tower_location

ENCODER = {"num_channels": 3, "num_timesteps": 20, "hidden_size": 8}


def test_only_the_small_clip_lies_in_the_package():
    assert tower_location(SMALL_CLIP) == str(SMALL_CLIP_FOLDER)
    assert tower_location("someone/clip") == "someone/clip"


def test_towers_in_words():
    assert "simulated pictures" in describe_tower(SMALL_CLIP)
    assert "random weights" in describe_tower(RANDOM_TOWER)
    assert describe_tower("someone/clip") == "someone/clip"


def test_a_model_stands_on_the_small_clip_where_none_is_named(capfd):
    model = NeuroCLIPModel.from_vision_pretrained(encoder_settings=ENCODER)
    whole = CLIPModel.from_pretrained(SMALL_CLIP_FOLDER, dtype=torch.float32).vision_model.eval()
    pixels = torch.randn(3, 3, 32, 32)
    assert torch.equal(model.get_frozen_image_features(pixels), whole(pixels).pooler_output[:, None])
    assert model.config.tower == SMALL_CLIP
    assert str(SMALL_CLIP_FOLDER.parent) not in model.config.to_json_string()
    assert "UNEXPECTED" not in "".join(capfd.readouterr())  # the text tower's weights are no news to anybody


def test_a_folder_of_that_name_is_another_tower(tmp_path, monkeypatch):
    model = CLIPModel.from_pretrained(SMALL_CLIP_FOLDER, dtype=torch.float32)
    torch.nn.init.zeros_(model.vision_model.post_layernorm.weight)
    model.save_pretrained(tmp_path / "small-clip")
    monkeypatch.chdir(tmp_path)
    other = NeuroCLIPModel.from_vision_pretrained("./small-clip", encoder_settings=ENCODER)
    shipped = NeuroCLIPModel.from_vision_pretrained("small-clip", encoder_settings=ENCODER)
    assert not other.vision_model.post_layernorm.weight.any()
    assert (other.config.tower, shipped.config.tower) == ("./small-clip", "small-clip")
    assert shipped.vision_model.post_layernorm.weight.any()


def test_a_class_token_is_where_the_structure_of_the_tower_has_one():
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 16, "patch_size": 8}
    for name, kind in TOWER_TYPES.items():
        tower = build_tower(as_vision_config({"model_type": name, **size}))
        assert isinstance(tower, kind.model_class)
        assert (find_structure(tower).num_prefix_tokens > 0) is kind.has_class_token


def test_every_kind_of_tower_is_tested(tower_kinds):
    assert set(tower_kinds) == set(TOWER_TYPES)
