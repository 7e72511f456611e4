"""Checkpoints that name their tower: it is fetched at its commit, checked, and only then left out."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model, inject_adapter_in_model
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from neuroclip_hf.errors import InputError
from neuroclip_hf.models import NeuroCLIPModel, vision
from neuroclip_hf.models.tower_loading import fingerprint_of, tower_fingerprint
from neuroclip_hf.models.towers import SMALL_CLIP_FOLDER

# peft 0.21 asks transformers 5.23 for the old name of a property, whatever the method.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing. is deprecated:FutureWarning")

ENCODER = {"num_channels": 5, "num_timesteps": 20, "hidden_size": 12}
NAME = "somebody/clip"


def states_equal(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


def stored_keys(folder):
    return {key for path in Path(folder).glob("*.safetensors") for key in load_file(path)}


def base_keys(folder):
    keys = {key for key in stored_keys(folder) if key.startswith("vision_model.")}
    return {key for key in keys if "neuro_prompt_" not in key and "lora_" not in key}


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def on_hub(hub, clip_checkpoint):
    """A model on a tower of the Hub, the Hub, and the commit."""
    _, folder = clip_checkpoint
    commit = hub.commit(NAME, folder)
    torch.manual_seed(2)
    return build(hub, revision="main"), hub, commit


def build(hub, **settings):
    settings = {"encoder_settings": ENCODER, "projection_dim": 8, **settings}
    return NeuroCLIPModel.from_vision_pretrained(NAME, cache_dir=hub.cache, **settings)


def move_branch(hub, clip_checkpoint):
    clip, folder = clip_checkpoint
    with torch.no_grad():
        clip.vision_model.post_layernorm.weight.mul_(2)
    clip.save_pretrained(folder)
    return hub.commit(NAME, folder)


def test_a_branch_becomes_the_commit_it_points_to(on_hub):
    model, _, commit = on_hub
    assert (model.config.tower, model.config.tower_revision) == (NAME, commit)
    assert model.config.tower_fingerprint == model.tower_fingerprint()


def test_what_was_trained_is_stored_and_the_tower_comes_from_its_commit(on_hub, clip_checkpoint, batch, tmp_path):
    model, hub, commit = on_hub
    model.save_pretrained(tmp_path / "model")
    assert base_keys(tmp_path / "model") == set()
    assert stored_keys(tmp_path / "model") == {*model.trainable_parameter_names(), "image_features_mean"} | {
        key for key in model.state_dict() if key.startswith("encoder.")
    }
    assert move_branch(hub, clip_checkpoint) != commit
    for load in (NeuroCLIPModel.from_pretrained, AutoModel.from_pretrained):
        loaded = load(tmp_path / "model", cache_dir=hub.cache)
        assert states_equal(loaded, model)
        assert torch.equal(loaded(**batch).loss, model.eval()(**batch).loss)
        assert loaded.trainable_parameter_names() == model.trainable_parameter_names()
    loaded.save_pretrained(tmp_path / "again")
    assert stored_keys(tmp_path / "again") == stored_keys(tmp_path / "model")
    assert not torch.equal(build(hub).vision_model.post_layernorm.weight, model.vision_model.post_layernorm.weight)


def test_another_tower_is_refused_with_both_fingerprints(on_hub, clip_checkpoint, tmp_path):
    model, hub, commit = on_hub
    model.save_pretrained(tmp_path / "model")
    clip, _ = clip_checkpoint
    with torch.no_grad():
        clip.vision_model.encoder.layers[1].mlp.fc1.weight[0, 0] += 1e-3
    clip.save_pretrained(hub.snapshot(NAME, commit))
    with pytest.raises(InputError) as caught:
        NeuroCLIPModel.from_pretrained(tmp_path / "model", cache_dir=hub.cache)
    assert f"{NAME} at commit {commit}" in str(caught.value)
    assert model.config.tower_fingerprint in str(caught.value)
    assert tower_fingerprint(clip.vision_model) in str(caught.value)


def test_a_tower_that_is_nowhere_is_named(on_hub, tmp_path):
    model, hub, _ = on_hub
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match=NAME):
        NeuroCLIPModel.from_pretrained(tmp_path / "model", cache_dir=tmp_path / "empty")
    edit(tmp_path / "model", tower_revision=None)
    with pytest.raises(InputError, match="names none that could be fetched"):
        NeuroCLIPModel.from_pretrained(tmp_path / "model", cache_dir=hub.cache)


def test_include_backbone_writes_everything(on_hub, tmp_path):
    model, _, _ = on_hub
    model.save_pretrained(tmp_path / "whole", include_backbone=True)
    assert stored_keys(tmp_path / "whole") == set(model.state_dict())
    assert states_equal(NeuroCLIPModel.from_pretrained(tmp_path / "whole", cache_dir=tmp_path / "empty"), model)


def spoil(folder, key):
    """Change one number of a stored tensor; return the tensor."""
    for path in Path(folder).glob("*.safetensors"):
        stored = load_file(path)
        if key in stored:
            stored[key].view(-1)[0] += 1
            save_file(stored, path, metadata={"format": "pt"})
            return stored[key]
    raise AssertionError(f"{folder} holds no {key}")


@pytest.mark.parametrize("options", [{}, {"dtype": torch.bfloat16}, {"tower_dtype": "float16"}])
@pytest.mark.parametrize("saving", [{}, {"max_shard_size": "5KB"}, {"variant": "own"}])
def test_an_included_tower_is_the_one_that_was_saved(make_model, any_tower, tmp_path, saving, options):
    model = make_model(vision_config=any_tower)
    model.add_adapter(LoraConfig(target_modules=r".*layers?\.\d+\..*(q_proj|query)"))
    model.save_pretrained(tmp_path, **saving)
    options = options | {name: saving[name] for name in saving if name == "variant"}
    NeuroCLIPModel.from_pretrained(tmp_path, **options)
    spoil(tmp_path, "vision_model.embeddings.neuro_prompt_tokens.default")  # an adapter is none of the tower's weights
    NeuroCLIPModel.from_pretrained(tmp_path, **options)
    key = next(key for key in model._tower_keys() if key.endswith("1.mlp.fc1.weight"))  # stored under this name, too
    spoilt, saved = spoil(tmp_path, key), model.config.included_fingerprint
    with pytest.raises(InputError, match=rf"holds towers with the finger.*but was saved with {saved}.*strict"):
        NeuroCLIPModel.from_pretrained(tmp_path, **options)
    loaded = NeuroCLIPModel.from_pretrained(tmp_path, strict=False, **options).state_dict()[key]
    assert torch.equal(loaded, spoilt.to(loaded.dtype))
    assert NeuroCLIPModel.from_pretrained(tmp_path, vision=False, **options).vision_model is None


def test_what_was_trained_further_is_known_by_its_own_fingerprint(on_hub, tmp_path):
    model, hub, _ = on_hub
    model.save_pretrained(tmp_path / "model", include_backbone=True)
    before = model.config.included_fingerprint
    with torch.no_grad():
        model.vision_model.post_layernorm.bias.add_(1)
    model.save_pretrained(tmp_path / "model")
    assert model.config.included_fingerprint not in (before, None)
    NeuroCLIPModel.from_pretrained(tmp_path / "model", cache_dir=hub.cache)


def test_a_tower_in_the_checkpoint_and_in_its_name_is_one_too_many(on_hub, tmp_path):
    model, hub, _ = on_hub
    model.save_pretrained(tmp_path / "model", include_backbone=True)
    edit(tmp_path / "model", tower_included=False)
    with pytest.raises(InputError, match=r"vision_model\.\S+ \(unexpected\)"):
        NeuroCLIPModel.from_pretrained(tmp_path / "model", cache_dir=hub.cache)


def test_towers_that_cannot_be_fetched_again_are_written_whole(clip_checkpoint, make_model, tmp_path):
    _, folder = clip_checkpoint
    local = NeuroCLIPModel.from_vision_pretrained(folder, encoder_settings=ENCODER)
    assert local.config.tower_revision is None  # a folder has none
    for name, model in (("local", local), ("random", make_model())):
        model.save_pretrained(tmp_path / name)
        assert stored_keys(tmp_path / name) == set(model.state_dict())
        assert states_equal(NeuroCLIPModel.from_pretrained(tmp_path / name), model)


def test_a_tower_that_was_trained_is_written_whole(on_hub, tmp_path):
    model, hub, _ = on_hub
    with torch.no_grad():
        model.vision_model.post_layernorm.bias.add_(1e-3)
    model.save_pretrained(tmp_path / "model")
    loaded = NeuroCLIPModel.from_pretrained(tmp_path / "model", cache_dir=hub.cache)
    assert states_equal(loaded, model)


def test_a_new_model_with_a_loaded_config_does_not_pass_for_the_old_one(on_hub, tmp_path):
    model, hub, _ = on_hub
    model.save_pretrained(tmp_path / "first")
    NeuroCLIPModel(NeuroCLIPModel.from_pretrained(tmp_path / "first", cache_dir=hub.cache).config).save_pretrained(
        tmp_path / "second"
    )
    assert base_keys(tmp_path / "second")


@pytest.mark.parametrize("settings", [{"dtype": torch.bfloat16}, {"tower_dtype": "bfloat16"}])
def test_a_tower_in_less_precision_is_left_out_too(on_hub, batch, tmp_path, settings):
    model, hub, _ = on_hub
    model.save_pretrained(tmp_path / "full")
    half = NeuroCLIPModel.from_pretrained(tmp_path / "full", cache_dir=hub.cache, **settings)
    own = {each.dtype for name, each in half.named_parameters() if not name.startswith(("vision_model.", "scale."))}
    assert half.vision_model.post_layernorm.weight.dtype == torch.bfloat16
    assert own == {torch.bfloat16 if "dtype" in settings else torch.float32}
    adapted = {each.dtype for name, each in half.named_parameters() if "neuro_prompt_" in name}
    assert adapted == own
    half.train()(**batch).loss.backward()
    half.eval().save_pretrained(tmp_path / "half")
    assert base_keys(tmp_path / "half") == set()
    loaded = NeuroCLIPModel.from_pretrained(tmp_path / "half", cache_dir=hub.cache)
    assert states_equal(loaded, half)
    assert {key: value.dtype for key, value in loaded.state_dict().items()} == {
        key: value.dtype for key, value in half.state_dict().items()
    }


def test_a_model_may_start_with_a_tower_in_less_precision(on_hub, batch):
    _, hub, _ = on_hub
    model = build(hub, tower_dtype="bfloat16").train()
    assert {each.dtype for each in model.encoder.parameters()} == {torch.float32}
    assert model.vision_model.post_layernorm.weight.dtype == torch.bfloat16
    model(**batch).loss.backward()
    assert all(each.grad.dtype == torch.float32 for each in model.parameters() if each.requires_grad)


def test_in_pieces_in_a_folder_below_and_on_a_device_of_choice(on_hub, tmp_path):
    model, hub, _ = on_hub
    model.save_pretrained(tmp_path / "run" / "model", max_shard_size="5KB")
    assert len(list((tmp_path / "run" / "model").glob("*.safetensors"))) > 1
    for options in ({"device_map": "cpu"}, {"device_map": {"": "cpu"}}, {"local_files_only": True}):
        loaded = NeuroCLIPModel.from_pretrained(tmp_path / "run", subfolder="model", cache_dir=hub.cache, **options)
        assert states_equal(loaded, model)


def test_a_checkpoint_on_the_hub_has_a_revision_of_its_own(on_hub, tmp_path):
    model, hub, _ = on_hub
    model.save_pretrained(tmp_path / "model")
    commit = hub.commit("somebody/neuroclip", tmp_path / "model")
    with torch.no_grad():
        model.scale.logit_scale.add_(1)
    model.save_pretrained(tmp_path / "model")
    hub.commit("somebody/neuroclip", tmp_path / "model")
    newest = NeuroCLIPModel.from_pretrained("somebody/neuroclip", cache_dir=hub.cache)
    first = NeuroCLIPModel.from_pretrained("somebody/neuroclip", revision=commit, cache_dir=hub.cache)
    assert (newest.scale.logit_scale - first.scale.logit_scale).item() == pytest.approx(1)
    assert states_equal(newest, model)


def test_the_brain_side_alone_needs_no_tower(on_hub, batch, tmp_path):
    model, _, _ = on_hub
    model.eval().save_pretrained(tmp_path / "model")
    alone = NeuroCLIPModel.from_pretrained(tmp_path / "model", vision=False, cache_dir=tmp_path / "empty")
    assert {name.split(".")[0] for name in alone.state_dict()} == {"encoder", "brain_projection", "scale"}
    assert torch.equal(alone.get_brain_features(batch["eeg_values"]), model.get_brain_features(batch["eeg_values"]))
    assert list(alone(eeg_values=batch["eeg_values"], return_loss=False)) == ["brain_embeds"]
    for ask in (
        lambda: alone(**batch),
        lambda: alone.get_image_features(batch["pixel_values"]),
        lambda: alone.get_frozen_image_features(batch["pixel_values"]),
        lambda: alone(image_features=torch.zeros(3, 1, 16), return_loss=False),
        lambda: alone.needs_pictures,
    ):
        with pytest.raises(InputError, match="vision=False"):
            ask()
    assert alone.train().encoder.training is not False
    alone.save_pretrained(tmp_path / "alone")
    again = NeuroCLIPModel.from_pretrained(tmp_path / "alone")
    assert states_equal(again, alone)
    with pytest.raises(
        InputError, match=r"vision is True, but .*alone was saved with vision=False: load the checkpoint"
    ):
        NeuroCLIPModel.from_pretrained(tmp_path / "alone", vision=True)


def test_the_brain_side_of_a_whole_checkpoint(make_model, batch, tmp_path):
    make_model().save_pretrained(tmp_path)
    alone = AutoModel.from_pretrained(tmp_path, vision=False)
    assert alone.vision_model is None
    expected = make_model().get_brain_features(batch["eeg_values"])
    assert torch.equal(alone.get_brain_features(batch["eeg_values"]), expected)


@pytest.mark.parametrize("put", ["model", "tower", "transformers", "peft"])
def test_a_lora_beside_the_prompts_survives(on_hub, batch, tmp_path, put):
    model, hub, _ = on_hub
    lora = LoraConfig(r=2, target_modules=r".*layers.*q_proj", init_lora_weights=False, lora_dropout=0.1)
    if put == "transformers":
        model.add_adapter(lora, adapter_name="extra")
    elif put == "peft":
        get_peft_model(model, lora, adapter_name="extra")
    else:
        inject_adapter_in_model(lora, model if put == "model" else model.vision_model, "extra")
    expected = model.eval()(**batch).loss
    model.save_pretrained(tmp_path / "model")
    assert model.config.active_adapters == ["default", "extra"]
    assert base_keys(tmp_path / "model") == set()
    assert any("lora_" in key for key in stored_keys(tmp_path / "model"))
    loaded = NeuroCLIPModel.from_pretrained(tmp_path / "model", cache_dir=hub.cache)
    assert states_equal(loaded, model)
    assert torch.equal(loaded(**batch).loss, expected)
    learning = loaded.trainable_parameter_names()
    assert any("lora_" in name for name in learning)
    assert any("neuro_prompt_" in name for name in learning)
    assert not any("base_layer" in name for name in learning)
    loaded.save_pretrained(tmp_path / "again")
    assert states_equal(NeuroCLIPModel.from_pretrained(tmp_path / "again", cache_dir=hub.cache), model)


def test_transformers_own_verb_adds_a_lora_to_what_learns(make_model):
    model = make_model()
    before = set(model.trainable_parameter_names())
    model.add_adapter(LoraConfig(target_modules=r".*layers.*q_proj"))
    after = set(model.trainable_parameter_names())
    assert before < after
    assert all("lora_" in name for name in after - before)


@pytest.mark.parametrize("active", [[], ["default"], ["one"], ["default", "two"]])
def test_what_is_switched_on_stays_so(make_model, batch, tmp_path, active):
    model = make_model()
    for name in ("one", "two"):
        lora = LoraConfig(r=2, target_modules=r".*layers.*q_proj", init_lora_weights=False)
        inject_adapter_in_model(lora, model.vision_model, name)
    outputs = {}
    for names in ([], ["default"], ["one"], ["default", "two"]):
        vision.set_active_adapters(model.vision_model, names)
        outputs[tuple(names)] = model(**batch).image_embeds
    assert len({each.sum().item() for each in outputs.values()}) == 4
    vision.set_active_adapters(model.vision_model, active)
    model.save_pretrained(tmp_path)
    loaded = NeuroCLIPModel.from_pretrained(tmp_path)
    assert torch.equal(loaded(**batch).image_embeds, outputs[tuple(active)])
    assert loaded.needs_pictures is bool(active)


def test_modules_that_peft_would_save_are_refused(on_hub, tmp_path):
    model, _, _ = on_hub
    get_peft_model(model, LoraConfig(target_modules=r".*q_proj", modules_to_save=["brain_projection"]))
    with pytest.raises(InputError, match="modules_to_save"):
        model.save_pretrained(tmp_path / "model")


def test_the_fingerprint_sees_names_shapes_bits_and_precision_but_no_order():
    weights = {"a": torch.arange(6.0), "b": torch.ones(2, 3)}
    found = fingerprint_of(weights)
    assert found == fingerprint_of(dict(reversed(weights.items())))
    assert found == fingerprint_of({**weights, "b": torch.ones(3, 2).T})  # however it lies in memory
    others = [
        {"a": weights["a"], "c": weights["b"]},
        {**weights, "b": torch.ones(3, 2)},
        {**weights, "b": torch.ones(2, 3).nextafter(torch.tensor(2.0))},
        {**weights, "b": torch.ones(2, 3).half()},
        {"a": weights["a"]},
    ]
    assert len({found, *map(fingerprint_of, others)}) == 6
    zeros = torch.zeros(3)
    assert fingerprint_of({"a": zeros}) != fingerprint_of({"a": zeros.view(torch.int32)})  # the same bits


def test_the_fingerprint_does_not_see_adapters(make_model):
    plain = make_model(prompt_config=None)
    before = plain.tower_fingerprint()
    assert make_model().tower_fingerprint() != ""
    inject_adapter_in_model(LoraConfig(target_modules=r".*(q_proj|patch_embedding)"), plain.vision_model, "lora")
    assert plain.tower_fingerprint() == before
    adapted = NeuroCLIPModel(plain.config, vision_model=make_model(prompt_config=None).vision_model)
    assert adapted.tower_fingerprint() == before


def test_weights_that_were_cut_off_are_named(tmp_path):
    tower = shutil.copytree(SMALL_CLIP_FOLDER, tmp_path / "tower")
    model = NeuroCLIPModel.from_vision_pretrained(tower, encoder_settings={"hidden_size": 8}, projection_dim=8)
    model.save_pretrained(tmp_path / "model")
    for folder, load in (("tower", NeuroCLIPModel.from_vision_pretrained), ("model", NeuroCLIPModel.from_pretrained)):
        path = tmp_path / folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:4000])
        with pytest.raises(InputError, match=rf"{folder}: its weights are damaged.*copy them again"):
            load(tmp_path / folder)
    (tmp_path / "tower" / "config.json").write_text("[1]")
    with pytest.raises(InputError, match=r"config\.json holds no settings"):
        NeuroCLIPModel.from_vision_pretrained(tmp_path / "tower")


def test_a_whole_checkpoint_of_an_unchanged_tower_is_saved_small_again(tmp_path):
    def included(name, **options):
        again.save_pretrained(tmp_path / name, **options)
        said = json.loads((tmp_path / name / "config.json").read_text())["tower_included"]
        held = "vision_model.encoder.layers.0.layer_norm1.weight" in load_file(tmp_path / name / "model.safetensors")
        assert said == held
        return held

    again = NeuroCLIPModel.from_vision_pretrained(encoder_settings={"hidden_size": 8}, projection_dim=8)
    assert included("whole", include_backbone=True)
    again = NeuroCLIPModel.from_pretrained(tmp_path / "whole")
    assert not included("small")
    with torch.no_grad():
        again.vision_model.encoder.layers[0].layer_norm1.weight.add_(1)
    assert included("trained")
