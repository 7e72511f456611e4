"""BrainCLIP: its space, its loss against numbers made otherwise, what it needs and what it refuses."""

import pytest
import torch
from torch.nn import functional
from transformers import CLIPModel

from neuroclip_hf import BrainCLIPConfig, BrainCLIPModel, InputError
from neuroclip_hf.losses import Mixing
from neuroclip_hf.models.brainclip import modeling_brainclip
from neuroclip_hf.models.towers import SMALL_CLIP_FOLDER

ENCODER = {"encoder": "mlp_map", "encoder_settings": {"num_voxels": 7, "width": 16, "dropout": 0.0}}
IDS = torch.tensor([[0, 5, 7, 1], [0, 9, 1, 1], [0, 5, 8, 1]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1]])


@pytest.fixture
def build():
    """A small BrainCLIP on the tower that ships, in eval mode; the same seed each time."""

    def make(**settings):
        torch.manual_seed(1)
        return BrainCLIPModel.from_vision_pretrained(**{**ENCODER, "prompt": None, **settings}).eval()

    return make


@pytest.fixture
def batch():
    """Four patterns of three pictures; the first and the last picture are of one concept."""
    torch.manual_seed(2)
    return {
        "fmri_values": torch.randn(4, 7),
        "pixel_values": torch.randn(3, 3, 32, 32),
        "picture_index": torch.tensor([2, 0, 2, 1]),
        "image_id": torch.tensor([7, 3, 7, 5]),
        "input_ids": IDS,
        "attention_mask": MASK,
        "concept_index": torch.tensor([4, 6, 4]),
    }


def both_ways(logits, targets):
    back = targets.T / targets.sum(dim=0)[:, None]
    return (functional.cross_entropy(logits, targets) + functional.cross_entropy(logits.T, back)) / 2


def cosines(one, other):
    return functional.normalize(one, dim=-1) @ functional.normalize(other, dim=-1).T


def test_the_space_is_clips_own(build, batch):
    clip = CLIPModel.from_pretrained(SMALL_CLIP_FOLDER, dtype=torch.float32).eval()
    model = build()
    assert model.config.projection_dim == model.config.encoder_config.hidden_size == clip.config.projection_dim
    pixels = batch["pixel_values"]
    with torch.no_grad():
        image = clip.get_image_features(pixel_values=pixels).pooler_output
        text = clip.get_text_features(input_ids=IDS, attention_mask=MASK).pooler_output
        for found in (model.get_image_features(pixels), model.clip_image_features(pixels)):
            torch.testing.assert_close(found, image)
        for found in (model.get_text_features(IDS, MASK), model.clip_text_features(IDS, MASK)):
            torch.testing.assert_close(found, text)
    assert model.get_brain_features(batch["fmri_values"]).shape == (4, clip.config.projection_dim)


def test_training_takes_out_what_pictures_and_texts_share(build, batch):
    model, pixels = build(), batch["pixel_values"]
    inputs = model.encode_picture_inputs({key: batch[key] for key in ("input_ids", "attention_mask", "concept_index")})
    assert set(inputs) == {"text_features", "concept_index"}
    clip_image, clip_text = model.clip_image_features(pixels), model.clip_text_features(IDS, MASK)
    model.prepare_for_training(lambda: clip_image, model.get_frozen_image_features(pixels), inputs)
    torch.testing.assert_close(model.get_image_features(pixels), clip_image - clip_image.mean(dim=0))
    torch.testing.assert_close(model.get_text_features(IDS, MASK), clip_text - clip_text.mean(dim=0))
    torch.testing.assert_close(model.clip_image_features(pixels), clip_image)
    whole = build(centre=False)
    whole.prepare_for_training(lambda: clip_image, model.get_frozen_image_features(pixels), inputs)
    torch.testing.assert_close(whole.get_image_features(pixels), clip_image)


def test_the_loss_is_the_sum_of_its_parts(build, batch):
    weights = {"image_weight": 0.5, "text_weight": 2.0, "mse_weight": 3.0, "concept_share": 0.25}
    model = build(**weights)
    output, scale = model(**batch), model.scale()
    place, same = batch["picture_index"], torch.eye(4)
    same[0, 2] = same[2, 0] = same[0, 0] = same[2, 2] = 0.5
    concept = torch.tensor([0, 0, 0, 1])  # of the rows' pictures: 2, 0 and 2 are of concept 4, and 1 of concept 6
    shared = (concept[:, None] == concept).float()
    image, text = model.get_image_features(batch["pixel_values"])[place], model.get_text_features(IDS, MASK)[place]
    brain = output.brain_embeds
    target = (0.5 * functional.normalize(image, dim=-1) + 2 * functional.normalize(text, dim=-1)) / 2.5
    expected = 0.5 * both_ways(scale * cosines(brain, image), same)
    shared = 0.75 * same + 0.25 * shared / shared.sum(dim=1, keepdim=True)
    expected = expected + 2 * both_ways(scale * cosines(brain, text), shared)
    expected = expected + 3 * (brain - target).square().sum(dim=1).mean()
    torch.testing.assert_close(output.loss, expected)
    torch.testing.assert_close(output.text_embeds, text)


def test_equal_texts_are_shared_whatever_is_said(build, batch):
    gradients = []
    batch["input_ids"], batch["attention_mask"] = IDS[[0, 1, 0]], MASK[[0, 1, 0]]  # one text for each concept
    for share in (0.0, 1.0):
        model = build(image_weight=0.0, concept_share=share)
        model(**batch).loss.backward()
        gradients.append(model.encoder.layers[1][0].weight.grad)
    assert gradients[0].any()
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-7)


def test_soft_targets_follow_the_pictures(build, batch):
    model = build(text_weight=0.0, soft_targets=1.0, soft_targets_temperature=0.5)
    output = model(**batch)
    image = output.image_embeds
    targets = (cosines(image, image) / 0.5).softmax(dim=1)
    torch.testing.assert_close(output.loss, both_ways(model.scale() * cosines(output.brain_embeds, image), targets))
    assert not torch.equal(output.loss, build(text_weight=0.0)(**batch).loss)


def test_trials_and_targets_are_mixed_only_while_training(build, batch, monkeypatch):
    model = build(mse_weight=1.0, text_weight=0.0)
    mixing = Mixing(torch.tensor([1, 0, 2, 3]), torch.tensor([0.25, 1.0, 1.0, 1.0]))
    monkeypatch.setattr(modeling_brainclip, "draw_mixing", lambda *_: mixing)
    before = batch["fmri_values"].clone()
    plain = model(**batch)
    mixed = model.train()(**batch)
    assert torch.equal(batch["fmri_values"], before)
    torch.testing.assert_close(mixed.brain_embeds[1:], plain.brain_embeds[1:])
    values = 0.25 * before[0] + 0.75 * before[1]
    torch.testing.assert_close(mixed.brain_embeds[0], model.get_brain_features(values[None])[0])
    image = functional.normalize(plain.image_embeds, dim=-1)
    image[0] = 0.25 * image[0] + 0.75 * image[1]
    same = torch.eye(4)
    same[0, 2] = same[2, 0] = same[0, 0] = same[2, 2] = 0.5
    same[0] = 0.25 * same[0] + 0.75 * same[1]
    expected = both_ways(model.scale() * cosines(mixed.brain_embeds, plain.image_embeds), same)
    torch.testing.assert_close(mixed.loss, expected + (mixed.brain_embeds - image).square().sum(dim=1).mean())
    torch.testing.assert_close(build(mixco=0.0).train()(**batch).brain_embeds, plain.brain_embeds)


def test_without_weight_no_text_is_read(build, batch, monkeypatch):
    model = build(text_weight=0.0)
    monkeypatch.setattr(model.text_model, "forward", lambda **_: pytest.fail("the text tower was run"))
    output = model.train()(**batch)
    assert output.text_embeds is None
    del batch["input_ids"], batch["attention_mask"]
    assert model.eval()(**batch).loss.isfinite()


def test_texts_alone_need_no_picture(build, batch):
    model = build(image_weight=0.0)
    del batch["pixel_values"]
    assert model(**batch).loss.isfinite()


def test_features_stand_in_for_pictures_and_texts(build, batch):
    model = build()
    expected = model(**batch).loss
    features = {
        "image_features": model.get_frozen_image_features(batch.pop("pixel_values")),
        "text_features": model.clip_text_features(batch.pop("input_ids"), batch.pop("attention_mask")),
    }
    torch.testing.assert_close(model(**batch, **features).loss, expected)


def test_prompts_on_the_vision_tower_learn(build, batch):
    model = build(prompt={"num_prompt_tokens": 2}, mixco=0.0).train()
    model(**batch).loss.backward()
    learns = [name for name, value in model.named_parameters() if value.grad is not None and value.grad.any()]
    assert any("neuro_prompt_" in name for name in learns)
    assert not [name for name in learns if name.startswith(("text_model.", "visual_projection."))]


def test_texts_of_an_adapted_text_tower_are_not_kept(build, batch):
    from peft import LoraConfig

    model = build()
    model.add_adapter(LoraConfig(r=2, target_modules="text_model.*q_proj"), "words")
    assert set(model.encode_picture_inputs({"input_ids": IDS})) == {"input_ids"}


@pytest.mark.parametrize("tower", ["vision alone", "dinov2"])
def test_a_tower_without_texts(batch, tmp_path, tower):
    from transformers import CLIPVisionModel, Dinov2Config, Dinov2Model

    if tower == "dinov2":
        sizes = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_ratio": 2}
        Dinov2Model(Dinov2Config(image_size=32, patch_size=8, **sizes)).save_pretrained(tmp_path)
    else:
        CLIPVisionModel.from_pretrained(SMALL_CLIP_FOLDER).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"text_weight is 1\.0, but tower .* has no text side: say text_weight=0"):
        BrainCLIPModel.from_vision_pretrained(tmp_path, **ENCODER, prompt=None)
    model = BrainCLIPModel.from_vision_pretrained(tmp_path, **ENCODER, prompt=None, text_weight=0.0).eval()
    assert model.config.text is False
    pixels = batch["pixel_values"]
    torch.testing.assert_close(model.get_image_features(pixels), model.get_frozen_image_features(pixels)[:, 0])
    loss = model(**batch).loss
    with pytest.raises(InputError, match="has no text side: train on a whole CLIP"):
        model.get_text_features(IDS)
    assert set(model.encode_picture_inputs({"input_ids": IDS, "concept_index": IDS[:, 0]})) == {"concept_index"}
    model.save_pretrained(tmp_path / "saved")
    torch.testing.assert_close(BrainCLIPModel.from_pretrained(tmp_path / "saved").eval()(**batch).loss, loss)


@pytest.mark.parametrize("include_backbone", [False, True])
def test_saved_and_loaded_to_the_bit(build, batch, tmp_path, include_backbone):
    model = build()
    model.centre_texts(model.clip_text_features(IDS))
    model.centre_pictures(model.get_image_features(batch["pixel_values"]), torch.randn(3, 1, 128))
    model.save_pretrained(tmp_path, include_backbone=include_backbone)
    loaded = BrainCLIPModel.from_pretrained(tmp_path)
    assert torch.equal(loaded(**batch).loss, model(**batch).loss)
    alone = BrainCLIPModel.from_pretrained(tmp_path, vision=False)
    assert torch.equal(alone.get_brain_features(batch["fmri_values"]), model(**batch).brain_embeds)
    for ask in (lambda: alone.get_image_features(batch["pixel_values"]), lambda: alone.get_text_features(IDS)):
        with pytest.raises(InputError, match="vision=False"):
            ask()


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        ("fmri_values", "the loss needs fmri_values"),
        ("pixel_values", "the loss needs pixel_values beside fmri_values"),
        ("input_ids", "the loss needs input_ids beside fmri_values"),
    ],
)
def test_what_the_loss_needs_is_named(build, batch, left_out, message):
    del batch[left_out]
    if left_out == "fmri_values":
        batch["picture_index"] = batch["image_id"] = None
    with pytest.raises(InputError, match=message):
        build()(**batch)
    assert build()(**batch, return_loss=False).loss is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_weight": -1}, "image_weight is -1"),
        ({"image_weight": 0.0, "text_weight": 0}, "image_weight and text_weight are 0"),
        ({"mse_weight": "much"}, "mse_weight is 'much'"),
        ({"mixco": float("nan")}, "mixco is nan"),
        ({"concept_share": 2}, "concept_share is 2"),
        ({"soft_targets": 1.5}, "soft_targets is 1.5"),
        ({"soft_targets_temperature": 0}, "soft_targets_temperature is 0"),
        ({"text_template": "a picture"}, r"text_template is 'a picture': it must hold one \{\}"),
        ({"text": "yes"}, "text is 'yes'"),
        ({"text": False}, r"text_weight is 1\.0, but tower random has no text side"),
        ({"centre": 1}, "centre is 1"),
        ({"projection_dim": 16}, "projection_dim is 16, but .*512 wide: leave it out, or say null"),
        ({"image_projection": "linear"}, "image_projection is 'linear': it must be 'none'"),
        ({"vision_feature_layers": [2]}, r"vision_feature_layers is \[2\]: it must be none"),
        ({"text_config": {"hiden_size": 3}}, "CLIPTextConfig has no setting hiden_size"),
        ({"text_config": {"model_type": "bert"}}, "text_config is of type 'bert'"),
        ({"text_config": {"vocab_size": "many"}}, "text_config cannot be used"),
        ({"mix": 1}, "BrainCLIPConfig has no setting mix"),
        ({"encoder_config": {"model_type": "vae_map", "kl_weight": -1}}, "kl_weight is -1"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings, message):
    with pytest.raises(InputError, match=message):
        BrainCLIPConfig(**settings)


def test_features_of_another_width_are_refused(build, batch):
    del batch["input_ids"]
    with pytest.raises(InputError, match=r"text_features is \(3, 9\): it must be \(pictures, 128\)"):
        build()(**batch, text_features=torch.randn(3, 9))


def test_the_default_mapping_network_is_the_papers():
    config = BrainCLIPConfig()
    assert (config.encoder_config.model_type, config.encoder_config.hidden_size) == ("vae_map", config.projection_dim)
