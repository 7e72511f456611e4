"""NeuroCLIP as a model: what goes in and out, what learns, and what a checkpoint keeps."""

import copy
import inspect
import math

import pytest
import torch
from torch.nn import functional
from transformers import AutoModel

from neuroclip_hf.errors import InputError
from neuroclip_hf.losses import softened_contrastive_loss
from neuroclip_hf.models import NeuroCLIPModel


def states_equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


def test_shapes(make_model, batch):
    output = make_model()(**batch)
    assert output.loss.shape == ()
    assert output.logits_per_brain.shape == output.logits_per_image.shape == (4, 4)
    assert output.brain_embeds.shape == output.image_embeds.shape == (4, 8)


def test_the_output_is_put_together_from_its_parts(make_model, batch):
    model = make_model(softening=0.3)
    output = model(**batch)
    brain = model.get_brain_features(batch["eeg_values"])
    image = model.get_image_features(batch["pixel_values"])[batch["picture_index"]]
    frozen = model.get_frozen_image_features(batch["pixel_values"])[batch["picture_index"], 0]
    cosines = functional.normalize(brain, dim=-1) @ functional.normalize(image, dim=-1).T
    assert torch.equal(output.brain_embeds, brain)
    assert torch.equal(output.image_embeds, image)
    torch.testing.assert_close(output.logits_per_brain, cosines / 0.07)
    assert torch.equal(output.logits_per_image, output.logits_per_brain.T)
    expected = softened_contrastive_loss(
        brain, image, 1 / 0.07, batch["image_id"], frozen, softening=0.3, softening_temperature=0.05
    )
    torch.testing.assert_close(output.loss, expected)


def test_pictures_in_order_need_no_index(make_model, batch):
    model = make_model()
    spread = batch | {"pixel_values": batch["pixel_values"][batch["picture_index"]], "picture_index": None}
    torch.testing.assert_close(model(**spread).loss, model(**batch).loss)


def test_frozen_features_can_be_handed_in(make_model, batch):
    model = make_model()
    frozen = model.get_frozen_image_features(batch["pixel_values"])
    assert torch.equal(model(**batch, image_features=frozen).loss, model(**batch).loss)
    other = model(**batch, image_features=torch.eye(3, 16)[:, None]).loss
    assert not torch.equal(other, model(**batch).loss)


def test_without_prompts_frozen_features_stand_in_for_pictures(make_model, batch):
    model = make_model(prompt_config=None)
    frozen = model.get_frozen_image_features(batch["pixel_values"])
    cached = batch | {"pixel_values": None, "image_features": frozen}
    assert torch.equal(model(**cached).loss, model(**batch).loss)
    with pytest.raises(InputError, match="pixel_values is missing"):
        make_model()(**cached)


def test_the_frozen_features_are_clips_own_to_the_bit(clip_checkpoint, batch):
    clip, folder = clip_checkpoint
    model = NeuroCLIPModel.from_vision_pretrained(folder, encoder_settings={"num_channels": 5, "num_timesteps": 20})
    with torch.no_grad():
        expected = clip.vision_model(batch["pixel_values"]).pooler_output[:, None]
    assert torch.equal(model.get_frozen_image_features(batch["pixel_values"]), expected)
    assert not torch.equal(model.vision_model(batch["pixel_values"]).pooler_output[:, None], expected)


def test_reading_frozen_features_changes_nothing(make_model, batch):
    model = make_model()
    prompts = model.vision_model.embeddings.neuro_prompt_tokens["default"].requires_grad_(False)
    before = model.get_image_features(batch["pixel_values"])
    assert not model.get_frozen_image_features(batch["pixel_values"]).requires_grad
    assert torch.equal(model.get_image_features(batch["pixel_values"]), before)
    assert not prompts.requires_grad


def test_saved_and_loaded_to_the_bit(make_model, batch, tmp_path):
    model = make_model(encoder_config={"model_type": "ts_conv", "num_channels": 5, "num_timesteps": 80})
    batch["eeg_values"] = torch.randn(4, 5, 80)
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad])
    model.train()(**batch).loss.backward()
    optimizer.step()
    model.eval().save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    for loaded in (NeuroCLIPModel.from_pretrained(tmp_path), AutoModel.from_pretrained(tmp_path)):
        assert type(loaded) is NeuroCLIPModel
        assert states_equal(loaded.state_dict(), model.state_dict())
        assert torch.equal(loaded(**batch).loss, model(**batch).loss)
        assert loaded.trainable_parameter_names() == model.trainable_parameter_names()
        assert not loaded.training


def test_a_second_round_trip_writes_the_same_bytes(make_model, tmp_path):
    model = make_model()
    for trip in ("first", "second", "third"):
        model.save_pretrained(tmp_path / trip)
        model = NeuroCLIPModel.from_pretrained(tmp_path / trip)
    weights = [(tmp_path / trip / "model.safetensors").read_bytes() for trip in ("first", "second", "third")]
    assert weights[0] == weights[1] == weights[2]
    # transformers writes the parts' dtypes from the second time on.
    assert (tmp_path / "second" / "config.json").read_bytes() == (tmp_path / "third" / "config.json").read_bytes()


def test_settings_can_be_changed_on_loading_but_not_misspelt(make_model, tmp_path):
    make_model().save_pretrained(tmp_path)
    assert NeuroCLIPModel.from_pretrained(tmp_path, softening=0.5).config.softening == 0.5
    with pytest.raises(InputError, match="softening is 7"):
        NeuroCLIPModel.from_pretrained(tmp_path, softening=7)
    with pytest.raises(InputError, match="softning"):
        NeuroCLIPModel.from_pretrained(tmp_path, softning=0.5)


def test_weights_that_a_checkpoint_lacks_start_as_in_a_new_model(make_config):
    config = make_config()
    torch.manual_seed(9)
    new = NeuroCLIPModel(config)
    torch.manual_seed(9)
    loaded = NeuroCLIPModel.from_pretrained(None, config=config, state_dict={}, strict=False)
    assert states_equal(loaded.state_dict(), new.state_dict())
    prompts = loaded.vision_model.embeddings.neuro_prompt_tokens["default"]
    assert prompts.std().item() == pytest.approx(0.02, rel=0.2)
    torch.manual_seed(10)
    assert not states_equal(NeuroCLIPModel(config).state_dict(), new.state_dict())


def test_building_twice_from_one_seed_is_deterministic(make_model):
    assert states_equal(make_model().state_dict(), make_model().state_dict())


def test_built_on_a_pretrained_tower(clip_checkpoint, batch, tmp_path):
    clip, folder = clip_checkpoint
    model = NeuroCLIPModel.from_vision_pretrained(
        folder,
        encoder="ts_conv",
        encoder_settings={"num_channels": 5, "num_timesteps": 80},
        prompt={"num_prompt_tokens": 3, "prompt_depth": 2},
        softening=0.0,
    )
    assert (model.config.tower, model.config.softening) == (folder.name, 0.0)  # no path goes into a checkpoint
    assert str(folder) not in model.config.to_json_string()
    assert model.config.prompt_config["prompt_depth"] == 2
    assert model.scale.logit_scale.item() == pytest.approx(math.log(1 / 0.07))
    assert model.get_image_features(batch["pixel_values"]).shape == (3, 512)
    plain = NeuroCLIPModel.from_vision_pretrained(folder, prompt=None)
    assert states_equal(plain.vision_model.state_dict(), clip.vision_model.state_dict())
    assert plain.config.prompt_config is None
    model.save_pretrained(tmp_path / "model")
    assert states_equal(NeuroCLIPModel.from_pretrained(tmp_path / "model").state_dict(), model.state_dict())


def test_checkpoints_that_cannot_be_a_tower_are_refused(make_model, clip_checkpoint, tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        NeuroCLIPModel.from_vision_pretrained(tmp_path / "nowhere")
    make_model().save_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match="of type 'neuroclip'"):
        NeuroCLIPModel.from_vision_pretrained(tmp_path / "model")
    _, folder = clip_checkpoint
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="safetensors"):
        NeuroCLIPModel.from_vision_pretrained(folder)


def test_a_tower_without_all_its_weights_is_refused(clip_checkpoint):
    clip, folder = clip_checkpoint
    state = {key: value for key, value in clip.state_dict().items() if "layers.1.mlp.fc1" not in key}
    clip.save_pretrained(folder, state_dict=state)
    with pytest.raises(InputError, match=r"lacks weights.*fc1"):
        NeuroCLIPModel.from_vision_pretrained(folder)


def test_loaded_in_bf16_the_logit_scale_stays_float32(make_model, batch, tmp_path):
    make_model().save_pretrained(tmp_path)
    model = NeuroCLIPModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert (model.dtype, model.scale.logit_scale.dtype) == (torch.bfloat16, torch.float32)
    assert model(**batch).loss.isfinite()
    model.save_pretrained(tmp_path / "half")
    assert NeuroCLIPModel.from_pretrained(tmp_path / "half").dtype == torch.bfloat16


def test_loaded_in_float64_everything_is_float64(make_model, tmp_path):
    make_model().save_pretrained(tmp_path)
    model = NeuroCLIPModel.from_pretrained(tmp_path, dtype=torch.float64)
    assert {each.dtype for each in model.state_dict().values()} == {torch.float64}


def test_a_deep_copy_is_its_own(make_model, batch):
    model = make_model()
    twin = copy.deepcopy(model)
    expected = model(**batch).loss
    with torch.no_grad():
        twin.vision_model.embeddings.neuro_prompt_tokens["default"].normal_()
    assert torch.equal(model(**batch).loss, expected)
    assert not torch.equal(twin(**batch).loss, expected)


def test_one_side_alone(make_model, batch):
    model = make_model()
    brain = model(eeg_values=batch["eeg_values"], return_loss=False)
    assert list(brain) == ["brain_embeds"]
    image = model(pixel_values=batch["pixel_values"], return_loss=False)
    assert list(image) == ["image_embeds"]
    with pytest.raises(InputError, match="the loss needs eeg_values and pixel_values"):
        model(eeg_values=batch["eeg_values"])
    assert isinstance(model(**batch, return_dict=False), tuple)


def test_sizes_that_do_not_fit_are_named(make_model, batch):
    model = make_model()
    with pytest.raises(InputError, match="4 recordings but 3 pictures"):
        model(**batch | {"picture_index": None})


def test_attention_can_be_chosen(make_model, batch, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path)
    eager = NeuroCLIPModel.from_pretrained(tmp_path, attn_implementation="eager")
    assert eager.vision_model.config._attn_implementation == "eager"
    torch.testing.assert_close(eager(**batch).loss, model(**batch).loss)


def test_the_signature_is_the_one_that_trainer_understands():
    parameters = inspect.signature(NeuroCLIPModel.forward).parameters
    assert parameters["return_loss"].default is True
    assert not any("label" in name for name in parameters)
    assert NeuroCLIPModel.accepts_loss_kwargs is False
