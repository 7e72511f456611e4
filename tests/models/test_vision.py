"""What is read off a tower: layers and tokens, mixed; nothing above them is run; pictures in chunks change nothing."""

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only
from transformers import AutoModel

from neuroclip_hf.adapters.neuro_prompt.structure import find_structure
from neuroclip_hf.errors import InputError
from neuroclip_hf.models import NeuroCLIPModel, vision
from neuroclip_hf.models.tower_loading import base_weights, tower_fingerprint

MODES = {
    "training": {},
    "frozen": {"prompt_config": None},
    "chunks": {},
    "recomputed": {},
    "evaluation": {},
    "lora": {"prompt_config": None},
}


def count_layers(model):
    """Which layers are called, as a list that grows."""
    called = []
    layers = find_structure(model.vision_model).layers(model.vision_model)
    for number, layer in enumerate(layers, start=1):
        layer.register_forward_pre_hook(lambda *_, number=number: called.append(number))
    return called


def in_double(model, batch):
    return model.double(), {
        key: value.double() if value.is_floating_point() else value for key, value in batch.items()
    }


def gradients(model, batch, seed=0):
    model.zero_grad()
    torch.manual_seed(seed)
    loss = model(**batch).loss
    loss.backward()
    return loss.detach(), {name: each.grad for name, each in model.named_parameters() if each.grad is not None}


def assert_same(one, other, tolerance=1e-10):
    assert one[1].keys() == other[1].keys()
    torch.testing.assert_close(one[0], other[0], rtol=tolerance, atol=tolerance)
    for name, gradient in one[1].items():
        torch.testing.assert_close(gradient, other[1][name], rtol=tolerance, atol=tolerance)


def test_the_pooled_output_is_the_towers_own_to_the_bit(make_model, any_tower, batch):
    model = make_model(vision_config=any_tower)
    alone = AutoModel.from_config(model.config.vision_config).eval()
    alone.load_state_dict({name: tensor for name, _, tensor in base_weights(model.vision_model)})
    with torch.no_grad():
        expected = alone(pixel_values=batch["pixel_values"]).pooler_output
    assert torch.equal(model.get_frozen_image_features(batch["pixel_values"]), expected[:, None])
    assert not torch.equal(model.vision_model(pixel_values=batch["pixel_values"]).pooler_output, expected)


@pytest.mark.parametrize("token", ["cls", "mean"])
def test_hidden_states_of_every_layer(make_model, any_tower, batch, token):
    settings = {"vision_config": any_tower, "vision_feature_layers": [-1, 1], "vision_feature_token": token}
    if any_tower["model_type"] == "siglip_vision_model" and token == "cls":
        with pytest.raises(InputError, match="vision_feature_token is 'cls', but a tower of type siglip"):
            make_model(**settings)
        return
    model = make_model(**settings, prompt_config=None)
    with torch.no_grad():
        output = model.vision_model(pixel_values=batch["pixel_values"], output_hidden_states=True)
    prefix = find_structure(model.vision_model).num_prefix_tokens
    assert (
        prefix
        == {"clip": 1, "siglip": 0, "dinov2": 3 if "registers" in any_tower["model_type"] else 1}[
            any_tower["model_type"].split("_")[0]
        ]
    )
    states = [output.hidden_states[number] for number in (1, 3)]
    expected = [state[:, 0] if token == "cls" else state[:, prefix:].mean(dim=1) for state in states]
    torch.testing.assert_close(
        model.get_frozen_image_features(batch["pixel_values"]), torch.stack(expected, dim=1), rtol=0, atol=1e-6
    )


def test_prompts_are_not_among_the_patches(make_model, any_tower, batch):
    settings = {"vision_config": any_tower, "vision_feature_layers": [1], "vision_feature_token": "mean"}
    model = make_model(**settings, prompt_config={"num_prompt_tokens": 5, "instance_prompts": False})
    structure = find_structure(model.vision_model)
    tokens = structure.embed(model.vision_model, batch["pixel_values"])
    (state,) = structure.run_layers(model.vision_model, tokens, 1)
    assert state.shape[1] == structure.num_prefix_tokens + 5 + 4
    expected = model.image_projection(state[:, -4:].mean(dim=1)[:, None])
    torch.testing.assert_close(model.get_image_features(batch["pixel_values"]), expected)


def test_layers_are_normalised_projected_and_mixed(make_model, batch):
    model = make_model(vision_feature_layers=[1, 3])
    with torch.no_grad():
        model.image_projection.mixture.copy_(torch.tensor([0.3, -1.0]))
    features = model.get_frozen_image_features(batch["pixel_values"])
    weights = model.image_projection.mixture.softmax(dim=0)
    expected = sum(
        weights[place]
        * model.image_projection.projections[place](torch.nn.functional.layer_norm(features[:, place], (16,)))
        for place in (0, 1)
    )
    torch.testing.assert_close(model.image_projection(features), expected)
    assert make_model(vision_feature_layers=[2]).image_projection.mixture is None
    assert torch.equal(make_model(vision_feature_layers=[1, 2, 3]).image_projection.mixture, torch.zeros(3))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("layers", [[2], [1, 2], None])
def test_the_tower_above_the_highest_layer_is_never_run(make_model, batch, mode, layers):
    model = make_model(vision_feature_layers=layers, **MODES[mode]).train(mode != "evaluation")
    if mode == "lora":
        inject_adapter_in_model(LoraConfig(target_modules=r".*q_proj"), model.vision_model, "lora")
    if mode == "recomputed":
        model.activation_checkpointing_enable({"use_reentrant": False})
    if mode == "chunks":
        model.picture_chunk_size = 1
    called = count_layers(model)
    loss = model(**batch).loss
    if mode != "evaluation":
        loss.backward()
    assert set(called) == ({1, 2, 3} if layers is None else {1, 2})


def test_a_picture_that_comes_several_times_is_encoded_once(make_model, batch):
    model = make_model().train()
    seen = []
    model.vision_model.encoder.layers[0].register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    model(**batch, image_features=torch.randn(3, 1, 16)).loss.backward()
    assert (len(batch["picture_index"]), seen) == (4, [3])


@pytest.mark.parametrize("layers", [None, [1, 3]])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_chunks_change_neither_loss_nor_gradient(make_model, batch, layers, size):
    model, batch = in_double(make_model(vision_feature_layers=layers).train(), batch)
    with torch.no_grad():  # so that no part is at its silent start
        for name in model.trainable_parameter_names():
            model.get_parameter(name).add_(torch.randn_like(model.get_parameter(name)), alpha=0.1)
    whole = gradients(model, batch)
    model.picture_chunk_size = size
    assert_same(gradients(model, batch), whole)
    model.activation_checkpointing_enable({"use_reentrant": False})
    assert_same(gradients(model, batch), whole)


def test_the_second_pass_replays_the_dropout_of_the_first(make_model, batch, monkeypatch):
    model = make_model()
    lora = LoraConfig(target_modules=r".*q_proj", lora_dropout=0.5, init_lora_weights=False)
    inject_adapter_in_model(lora, model.vision_model, "lora")
    model, batch = in_double(model.train(), batch)
    model.picture_chunk_size = 1
    cached = gradients(model, batch)
    assert not torch.equal(gradients(model, batch, seed=1)[0], cached[0])  # there is dropout to be replayed
    with monkeypatch.context() as patch:
        patch.setattr(vision, "checkpoint", lambda encode, chunk, **_: encode(chunk))
        assert_same(gradients(model, batch), cached)
    with monkeypatch.context() as patch:  # without its random state the second pass is of another model
        real = vision.checkpoint
        patch.setattr(
            vision, "checkpoint", lambda *given, **options: real(*given, **options | {"preserve_rng_state": False})
        )
        other = gradients(model, batch)
    assert any(not torch.equal(gradient, cached[1][name]) for name, gradient in other[1].items())


def test_chunks_keep_activations_of_one_chunk_only(make_model, batch):
    model = make_model(prompt_config={"instance_prompts": False}).train()
    kept = []
    for count, size in ((64, None), (64, 2), (2, None)):
        model.picture_chunk_size = size
        bytes_kept = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, kept=bytes_kept: kept.append(tensor.nbytes) or tensor, lambda tensor: tensor
        ):
            embeds = model.get_image_features(torch.randn(count, 3, 16, 16))
        kept.append(sum(bytes_kept))
        embeds.sum().backward()
    pixels = 4 * 64 * 3 * 16 * 16  # all that is kept of the others, and it is the caller's anyway
    assert kept[1] - pixels < 1.1 * kept[2] < kept[0] / 10


def test_the_last_chunk_is_encoded_once(make_model):
    model, encoded = make_model().train(), []
    model.picture_chunk_size = 2
    model.vision_model.embeddings.register_forward_pre_hook(
        lambda _, given: encoded.append(given[0][0, 0, 0, 0].item())
    )
    pictures = torch.randn(6, 3, 16, 16)
    first, second, last = pictures[::2, 0, 0, 0].tolist()
    (model.get_image_features(pictures) * torch.randn(6, 8)).sum().backward()
    assert encoded == [first, second, last, second, first]


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "2"])
def test_impossible_chunks_are_refused(make_model, size):
    with pytest.raises(InputError, match=f"picture_chunk_size is {size!r}"):
        make_model().picture_chunk_size = size


def test_frozen_features_stand_in_for_pictures_and_give_the_same_step(make_model, batch):
    model = make_model(prompt_config=None, vision_feature_layers=[1, 2], vision_feature_token="mean").train()
    features = model.get_frozen_image_features(batch["pixel_values"])
    whole = gradients(model, batch)
    called = count_layers(model)
    cached = gradients(model, batch | {"pixel_values": None, "image_features": features})
    assert_same(cached, whole, 0)
    assert called == []
    assert model.needs_pictures is False


@pytest.mark.parametrize("shape", [(3, 16), (3, 2, 16), (3, 1, 15)])
def test_features_of_another_shape_are_refused(make_model, batch, shape):
    with pytest.raises(InputError, match=r"image_features is .* \(pictures, 1 layers, 16 wide\)"):
        make_model()(**batch, image_features=torch.zeros(shape))


@pytest.mark.parametrize("layers", [None, [1, 3]])
@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_centring_leaves_mean_zero_and_unit_size(make_model, layers, kind):
    model = make_model(vision_feature_layers=layers, image_projection=kind)
    pictures = torch.randn(20, 3, 16, 16)
    with torch.no_grad():
        features = model.get_frozen_image_features(pictures)
        model.centre_pictures(model.get_image_features(pictures), features)
        embeds = model.get_image_features(pictures)
    torch.testing.assert_close(embeds.mean(dim=0), torch.zeros(8), rtol=0, atol=1e-3)
    assert embeds.square().mean().item() == pytest.approx(1, rel=1e-4)
    torch.testing.assert_close(model.image_features_mean, features.mean(dim=0))


def test_every_tower_learns_prompts_and_survives_saving(make_model, any_tower, batch, tmp_path):
    model = make_model(vision_config=any_tower).train()
    model(**batch).loss.backward()
    prompts = [each for name, each in model.named_parameters() if "neuro_prompt_tokens" in name]
    assert all(each.grad.abs().max() > 0 for each in prompts)
    assert prompts
    model.eval().save_pretrained(tmp_path)
    loaded = NeuroCLIPModel.from_pretrained(tmp_path)
    assert type(loaded.config.vision_config) is type(model.config.vision_config)
    assert torch.equal(loaded(**batch).loss, model(**batch).loss)


def test_every_tower_comes_from_its_own_checkpoint(any_tower, make_model, batch, tmp_path):
    tower = make_model(vision_config=any_tower, prompt_config=None).vision_model
    tower.save_pretrained(tmp_path)
    model = NeuroCLIPModel.from_vision_pretrained(
        tmp_path,
        encoder_settings={"num_channels": 5, "num_timesteps": 20, "hidden_size": 12},
        vision_feature_layers=[2],
        vision_feature_token="mean",
        prompt=None,
    )
    assert model.config.vision_config.model_type == any_tower["model_type"]
    assert model.tower_fingerprint() == tower_fingerprint(tower)
    assert model(**batch).loss.isfinite()


def test_the_forward_pass_compiles_whole(make_model, batch):
    for settings in ({"prompt_config": None}, {"vision_feature_layers": [1, 2]}):
        model = make_model(**settings)
        torch._dynamo.reset()
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        torch.testing.assert_close(compiled(**batch).loss, model(**batch).loss)
        model.train()
        compiled(**batch).loss.backward()
        assert model.brain_projection.weight.grad is not None


class _NormsInFloat32(TorchFunctionMode):
    """What autocast does on a GPU and not on a CPU: layer norms are on its list for float32."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is functional.layer_norm and torch.is_autocast_enabled("cpu"):
            args, kwargs = tree_map_only(torch.Tensor, torch.Tensor.float, (args, kwargs))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize(("tower_dtype", "expected"), [("bfloat16", torch.bfloat16), (None, torch.float32)])
def test_a_half_precision_tower_passes_half_precision_on_also_under_a_gpus_autocast(
    make_model, any_tower, batch, lora, autocast, tower_dtype, expected
):
    model = make_model(vision_config=any_tower, tower_dtype=tower_dtype).train()
    if lora:
        model.add_adapter(LoraConfig(target_modules=r".*layers?\.\d+\..*(q_proj|query)"))
    tower, seen = model.vision_model, []
    for layer in find_structure(tower).layers(tower):
        layer.register_forward_hook(lambda _, given, passed_on: seen.extend((given[0].dtype, passed_on.dtype)))
    with _NormsInFloat32(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = model(**batch, image_features=torch.randn(3, 1, 16)).loss
    assert set(seen) == {expected}
    assert len(seen) == 2 * 3
    loss.backward()
    adapted = {name: each for name, each in model.named_parameters() if "neuro_prompt_" in name}
    assert {each.dtype for each in adapted.values()} == {torch.float32}
    assert adapted["vision_model.embeddings.neuro_prompt_tokens.default"].grad.abs().sum() > 0
