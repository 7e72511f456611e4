"""A text tower and CLIP's projections beside the vision tower: from one checkpoint, frozen, and not saved again."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    Dinov2Config,
    PretrainedConfig,
)
from transformers.configuration_utils import SubConfigSpec

from neuroclip_hf import kinds
from neuroclip_hf.errors import InputError
from neuroclip_hf.kinds import Kind
from neuroclip_hf.models.brain_image.configuration_brain_image import BrainImageConfig
from neuroclip_hf.models.brain_image.modeling_brain_image import BrainImageModel
from neuroclip_hf.models.tower_parts import TEXT, VISION, VISUAL_PROJECTION, TowerPart
from neuroclip_hf.models.towers import SMALL_CLIP_FOLDER
from neuroclip_hf.processing.processing_brain import BrainImageProcessor
from neuroclip_hf.protocols.building import build_model

IDS = torch.tensor([[0, 5, 7, 1]])


class WordsConfig(BrainImageConfig):
    model_type = "words"
    sub_configs_defaults = {
        **BrainImageConfig.sub_configs_defaults,
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="clip_text_model"),
    }
    text_config: PretrainedConfig = None
    text_fingerprint: str | None = None
    visual_projection_fingerprint: str | None = None
    word_weight: "float" = 1.0  # in quotes, as every type is where annotations are not evaluated

    def __post_init__(self, **unknown):
        if not isinstance(self.text_config, PretrainedConfig):
            self.text_config = CLIPTextConfig(**(self.text_config or {}))
        super().__post_init__(**unknown)


class WordsModel(BrainImageModel):
    config_class = WordsConfig
    base_model_prefix = "words"
    tower_parts = (VISION, TEXT, VISUAL_PROJECTION)


def in_clips_space(model, pixels):
    with torch.no_grad():
        text = model.text_model(input_ids=IDS).text_embeds
        return text, model.visual_projection(model.get_frozen_image_features(pixels)[:, 0])


@pytest.fixture
def clip():
    return CLIPModel.from_pretrained(SMALL_CLIP_FOLDER, dtype=torch.float32).eval()


def test_parts_say_what_the_whole_clip_says(clip):
    model, pixels = WordsModel.from_vision_pretrained(), torch.randn(2, 3, 32, 32)
    text, image = in_clips_space(model, pixels)
    torch.testing.assert_close(text, clip.get_text_features(input_ids=IDS).pooler_output)
    torch.testing.assert_close(image, clip.get_image_features(pixel_values=pixels).pooler_output)


def test_they_are_frozen_and_stay_in_evaluation():
    model = WordsModel.from_vision_pretrained().train()
    learns = model.trainable_parameter_names()
    assert learns
    assert not [name for name in learns if name.startswith(("text_model.", "visual_projection."))]
    assert not model.text_model.training


def test_a_checkpoint_names_them_and_they_are_there_again(tmp_path):
    model, pixels = WordsModel.from_vision_pretrained(), torch.randn(2, 3, 32, 32)
    model.save_pretrained(tmp_path)
    assert model.config.tower_included is False
    held = {name.partition(".")[0] for name in load_file(tmp_path / "model.safetensors")}
    assert not held & {"text_model", "visual_projection"}
    loaded, report = WordsModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not [name for name in loaded.trainable_parameter_names() if name.startswith("text_model.")]
    for mine, theirs in zip(in_clips_space(model, pixels), in_clips_space(loaded, pixels), strict=True):
        assert torch.equal(mine, theirs)


def test_a_part_that_was_trained_is_written(tmp_path):
    model = WordsModel.from_vision_pretrained()
    with torch.no_grad():
        model.text_model.text_projection.weight.mul_(2)
    model.save_pretrained(tmp_path)
    assert model.config.tower_included is True
    loaded = WordsModel.from_pretrained(tmp_path)
    assert torch.equal(loaded.text_model.text_projection.weight, model.text_model.text_projection.weight)


def test_another_text_tower_is_refused_by_name(tmp_path):
    WordsModel.from_vision_pretrained().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "text_fingerprint": "0" * 64}))
    with pytest.raises(InputError, match=r"text_model of tower small-clip has the fingerprint .* on one with 000"):
        WordsModel.from_pretrained(tmp_path)


@pytest.mark.parametrize("include_backbone", [False, True])
def test_the_brain_side_alone_has_no_tower_and_fetches_none(tmp_path, monkeypatch, include_backbone):
    model = WordsModel.from_vision_pretrained()
    model.save_pretrained(tmp_path, include_backbone=include_backbone)
    monkeypatch.setattr(TowerPart, "fetch", lambda *_, **__: pytest.fail("a tower was fetched"))
    alone = WordsModel.from_pretrained(tmp_path, vision=False)
    assert not list(alone.towers())
    assert not [name for name in alone.state_dict() if name.startswith(("text_model.", "visual_projection."))]
    alone.save_pretrained(tmp_path / "alone")
    assert not list(WordsModel.from_pretrained(tmp_path / "alone").towers())


def test_a_tower_without_texts_is_refused(tmp_path):
    WordsModel.from_vision_pretrained().vision_model.save_pretrained(tmp_path / "tower")
    with pytest.raises(InputError, match="'clip_vision_model': text supervision needs a whole CLIP"):
        WordsModel.from_vision_pretrained(tmp_path / "tower")


def test_other_parts_are_no_arguments():
    with pytest.raises(InputError, match="has no setting audio_model"):
        WordsModel(WordsConfig(), audio_model=torch.nn.Linear(1, 1))


def test_a_recipe_is_not_asked_for_what_comes_from_the_tower():
    kind = Kind("Words", "https://example.org", WordsConfig, WordsModel, BrainImageProcessor)
    assert kind.settings == {"word_weight": float}
    model = WordsModel.from_vision_pretrained(**dict.fromkeys(kind.settings, 0.5))
    assert model.config.word_weight == 0.5


def test_small_sizes_are_those_of_the_tower_that_ships(clip):
    text = CLIPTextConfig(**TEXT.small_sizes())
    CLIPTextModelWithProjection(text).load_state_dict(clip.state_dict(), strict=False)  # which compares all shapes
    shipped = CLIPTextConfig.from_pretrained(SMALL_CLIP_FOLDER)
    assert (text.eos_token_id, text.hidden_size) == (shipped.eos_token_id, shipped.hidden_size)
    assert VISION.small_sizes()["image_size"] == 32
    assert "intermediate_size" not in VISION.small_sizes(Dinov2Config)


def test_random_towers_of_a_recipe_are_small(recipe, trained, monkeypatch):
    kind = Kind("Words", "https://example.org", WordsConfig, WordsModel, BrainImageProcessor)
    monkeypatch.setattr(kinds, "KINDS", {kind.name: kind})
    settings = replace(recipe.model, kind="words", kind_settings={}, tower="random")
    model = build_model(settings, trained.processor.feature_extractor)
    shipped = WordsModel.from_vision_pretrained()
    for part, tower in shipped.towers():
        mine = getattr(model, part.name)
        assert sum(each.numel() for each in mine.parameters()) == pytest.approx(
            sum(each.numel() for each in tower.parameters()), rel=0.05
        )
