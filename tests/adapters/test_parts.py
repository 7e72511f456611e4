"""What each part does to a tower: alone, together, switched off, at the start, and on pictures of any size."""

import pytest
import torch
from peft import get_peft_model
from transformers import CLIPVisionConfig, CLIPVisionModel, Dinov2Config, Dinov2Model

from neuroclip_hf.adapters import NeuroPromptConfig

# peft 0.21 asks transformers 5.23 for the old name of a property, whatever the method.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing. is deprecated:FutureWarning")

SMALL = {"fusion_width": 8, "fusion_heads": 2, "filter_input_size": 8, "spectral_resolution": 4}
DOMAINS = pytest.mark.parametrize("domain", ["spatial", "spectral"])


def weights_of(model):
    return {name: each for name, each in model.named_parameters() if each.requires_grad}


def copy_weights(source, target):
    """Give one model the trained weights that it shares with another."""
    theirs, ours = weights_of(source), weights_of(target)
    with torch.no_grad():
        for name in theirs.keys() & ours.keys():
            ours[name].copy_(theirs[name])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"filter_domain": "spectral"},
        {"cross_attention": False},
        {"dynamic_filter": False},
        {"dynamic_filter": False, "dual_stream": False},
        {"filter_domain": "spectral", "dual_stream": False},
    ],
)
def test_without_shared_prompts_the_start_is_the_tower_to_the_bit(any_tower, pixel_values, read, settings):
    plain = read(any_tower, pixel_values)
    model = get_peft_model(any_tower, NeuroPromptConfig(shared_prompts=False, **SMALL | settings))
    assert torch.equal(read(model, pixel_values), plain)


def test_every_tower_can_be_prompted(any_tower, settings, pixel_values, prompt, read):
    plain = read(any_tower, pixel_values)
    model = prompt(any_tower, settings)
    assert not torch.allclose(read(model, pixel_values), plain)
    with model.disable_adapter():
        assert torch.equal(read(model, pixel_values), plain)
    assert torch.equal(read(model.unload(), pixel_values), plain)


@pytest.mark.parametrize("depth", [1, 2, 3, None])
@pytest.mark.parametrize("count", [1, 4])
def test_shared_prompts_of_every_depth_and_number(tower, pixel_values, read, depth, count):
    plain = read(tower, pixel_values)
    settings = {"num_prompt_tokens": count, "prompt_depth": depth, "instance_prompts": False}
    model = get_peft_model(tower, NeuroPromptConfig(**settings))
    (tokens,) = weights_of(model).values()
    assert tuple(tokens.shape) == (depth or 3, count, 16)
    output = model(pixel_values=pixel_values)
    assert output.last_hidden_state.shape == (3, 1 + count + 4, 16)
    assert not torch.allclose(output.pooler_output, plain)


@pytest.mark.parametrize("settings", [{}, {"instance_prompts": False}, {"dual_stream": False}])
def test_prompts_stand_where_the_docstring_says(any_tower, settings, pixel_values, prompt, read):
    seen = []
    prompt(any_tower, settings | SMALL | {"num_prompt_tokens": 2, "prompt_depth": 2})
    layer = any_tower.embeddings
    structure = layer.structure
    layer.register_forward_hook(lambda module, args, output: seen.append(output))
    for each in structure.layers(any_tower):  # hooks run in order, so these see what the prompts' hooks have made
        each.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    read(any_tower, pixel_values)
    embedded, _, second, third = seen
    tokens, first = layer.neuro_prompt_tokens["default"], structure.num_prefix_tokens
    places = slice(first, first + 2)
    assert torch.equal(embedded[:, places], tokens[0].expand(3, -1, -1))
    assert torch.equal(embedded[:, :first], layer.base_layer(pixel_values)[:, :first])
    assert torch.equal(second[:, places], tokens[1].expand(3, -1, -1))
    assert not torch.equal(third[0, places], third[1, places])  # beyond the depth the places are left to the tower
    assert embedded.shape[1] == first + 2 + 4


def test_shared_prompts_alone_are_visual_prompt_tuning(make_tower, pixel_values, prompt, read):
    tower = make_tower()
    tokens = weights_of(prompt(make_tower(), {"instance_prompts": False}))
    (tokens,) = tokens.values()
    with torch.no_grad():
        hidden = tower.embeddings(pixel_values)
        hidden = torch.cat([hidden[:, :1], tokens[0].expand(3, -1, -1), hidden[:, 1:]], dim=1)
        hidden = tower.pre_layrnorm(hidden)
        for index, layer in enumerate(tower.encoder.layers):
            if index:
                hidden = torch.cat([hidden[:, :1], tokens[index].expand(3, -1, -1), hidden[:, 9:]], dim=1)
            hidden = layer(hidden, None)
        expected = tower.post_layernorm(hidden[:, 0])
    assert torch.equal(read(prompt(make_tower(), {"instance_prompts": False}), pixel_values), expected)


@DOMAINS
def test_the_streams_are_the_two_pictures_embedded(any_tower, pixel_values, prompt, domain):
    prompt(any_tower, SMALL | {"filter_domain": domain})
    layer = any_tower.embeddings
    first = layer.structure.num_prefix_tokens
    filtered = layer.filter_pictures(pixel_values).pixel_values
    prefix, static, dynamic = layer._streams("default", pixel_values)
    assert torch.equal(torch.cat([prefix, static], dim=1), layer.base_layer(pixel_values))
    torch.testing.assert_close(dynamic, layer.base_layer(filtered)[:, first:], rtol=1e-5, atol=1e-5)
    assert (dynamic - static).abs().max() > 1e-2


@DOMAINS
@pytest.mark.parametrize("attention", [True, False])
def test_one_stream_is_the_filtered_picture_embedded(make_tower, pixel_values, prompt, read, domain, attention):
    """With one stream, the model is that without filter on filtered pictures."""
    one = {"dual_stream": False, "filter_domain": domain, "cross_attention": attention}
    model = prompt(make_tower(), SMALL | one)
    filtered = model.base_model.model.embeddings.filter_pictures(pixel_values).pixel_values
    plain = prompt(make_tower(), SMALL | {"dynamic_filter": not attention, "cross_attention": attention})
    if attention:
        copy_weights(model, plain)
        torch.testing.assert_close(read(model, pixel_values), read(plain, filtered), rtol=1e-4, atol=1e-5)
    else:
        layer = model.base_model.model.embeddings
        gate = layer.neuro_prompt_fusion["default"].gate
        expected = layer.base_layer(filtered)[:, 1:] * (1 + gate)
        torch.testing.assert_close(layer(pixel_values)[:, 9:], expected, rtol=1e-5, atol=1e-5)


def test_without_filter_both_streams_are_one(make_tower, pixel_values, prompt, read):
    two = prompt(make_tower(), SMALL | {"dynamic_filter": False})
    one = prompt(make_tower(), SMALL | {"dynamic_filter": False, "dual_stream": False})
    assert torch.equal(read(two, pixel_values), read(one, pixel_values))


def test_without_filter_is_a_filter_that_passes_everything(make_tower, pixel_values, prompt, read):
    filtered = prompt(make_tower(), SMALL | {"filter_domain": "spectral"})
    with torch.no_grad():
        filtered.base_model.model.embeddings.neuro_prompt_filter["default"].tables.zero_()
    plain = prompt(make_tower(), SMALL | {"dynamic_filter": False})
    copy_weights(filtered, plain)
    assert torch.equal(read(filtered, pixel_values), read(plain, pixel_values))


@DOMAINS
def test_without_attention_is_a_gated_sum(make_tower, pixel_values, prompt, domain):
    model = prompt(make_tower(), SMALL | {"cross_attention": False, "filter_domain": domain})
    layer = model.base_model.model.embeddings
    filtered = layer.filter_pictures(pixel_values).pixel_values
    gate = layer.neuro_prompt_fusion["default"].gate
    expected = layer.base_layer(pixel_values) + gate * layer.base_layer(filtered)
    torch.testing.assert_close(layer(pixel_values)[:, 9:], expected[:, 1:], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("other", ["shared_prompts", "instance_prompts"])
def test_a_part_that_is_off_is_one_that_does_nothing(make_tower, pixel_values, prompt, read, other):
    both = prompt(make_tower(), SMALL)
    alone = prompt(make_tower(), SMALL | {other: False})
    copy_weights(both, alone)
    layer = both.base_model.model.embeddings
    if other == "shared_prompts":
        del layer.neuro_prompt_tokens["default"]
    else:
        with torch.no_grad():
            layer.neuro_prompt_fusion["default"].gate.zero_()
    assert torch.equal(read(both, pixel_values), read(alone, pixel_values))


def test_parts_that_are_off_have_no_weights(make_tower, settings, prompt):
    given = NeuroPromptConfig(**settings)
    names = set(weights_of(prompt(make_tower(), settings)))
    parts = {name.split("neuro_prompt_")[1].split(".")[0] for name in names}
    expected = {"tokens"} if given.shared_prompts else set()
    if given.instance_prompts:
        expected |= {"fusion", "filter"} if given.dynamic_filter else {"fusion"}
    assert parts == expected
    assert any("to_queries" in name for name in names) == (given.instance_prompts and given.cross_attention)
    has_tables = given.instance_prompts and given.dynamic_filter and given.filter_domain == "spectral"
    assert any("tables" in name for name in names) == has_tables


def test_gradients_reach_every_trained_weight_and_no_frozen_one(any_tower, settings, pixel_values, prompt, gradients):
    model = prompt(any_tower, settings)
    found = gradients(model, pixel_values)
    assert found.keys() == weights_of(model).keys()
    for name, gradient in found.items():
        assert gradient.abs().amax() > 1e-7, name
        if name.endswith(("tokens.default", "gate", "tables")):
            assert (gradient.flatten(-1 if "gate" in name else -2).abs().amax(dim=-1) > 1e-9).all(), name


def test_gates_learn_from_the_first_step_and_then_all_else(tower, pixel_values, gradients):
    torch.manual_seed(0)
    model = get_peft_model(tower, NeuroPromptConfig(shared_prompts=False, filter_domain="spectral", **SMALL))
    optimizer = torch.optim.Adam(weights_of(model).values(), lr=0.05)
    seen = []
    for _ in range(3):
        optimizer.zero_grad()
        seen.append({name for name, each in gradients(model, pixel_values).items() if each.abs().max() > 0})
        optimizer.step()
    assert {name.rpartition(".")[2] for name in seen[0]} == {"gate"}
    assert seen[2] == set(weights_of(model))


@DOMAINS
@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 40), (19, 33)])
def test_larger_pictures(tower, pixel_values, prompt, domain, height, width):
    model = prompt(tower, {"num_prompt_tokens": 2, "filter_domain": domain})
    output = model(pixel_values=torch.randn(2, 3, height, width), interpolate_pos_encoding=True)
    assert output.last_hidden_state.shape == (2, 1 + 2 + (height // 8) * (width // 8), 16)
    maps = tower.embeddings.attention_maps(torch.randn(2, 3, height, width), interpolate_pos_encoding=True)
    assert maps.shape == (2, 4, (height // 8) * (width // 8), (height // 8) * (width // 8))


@DOMAINS
@pytest.mark.parametrize("side", [1, 2, 5])
def test_pictures_smaller_than_the_filter(pixel_values, prompt, domain, side):
    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=side, patch_size=1
    )
    tower = CLIPVisionModel(config)
    model = prompt(tower, {"filter_domain": domain})
    output = model(pixel_values=torch.randn(2, 3, side, side))
    assert output.last_hidden_state.shape == (2, 1 + 8 + side * side, 16)
    assert output.last_hidden_state.isfinite().all()


def test_a_remainder_of_the_picture_is_dropped_as_the_tower_drops_it(prompt):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 16, "patch_size": 8}
    tower = Dinov2Model(Dinov2Config(**sizes)).eval()
    prompt(tower, SMALL)
    layer, pixel_values = tower.embeddings, torch.randn(2, 3, 21, 30)
    filtered = layer.filter_pictures(pixel_values).pixel_values
    dynamic = layer._streams("default", pixel_values)[2]
    torch.testing.assert_close(dynamic, layer.base_layer(filtered)[:, 1:], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 4])
def test_pictures_of_other_channels(channels, prompt):
    sizes = {"hidden_size": 16, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    tower = CLIPVisionModel(CLIPVisionConfig(**sizes, image_size=16, patch_size=8, num_channels=channels))
    model = prompt(tower, SMALL)
    assert model(pixel_values=torch.randn(2, channels, 16, 16)).pooler_output.shape == (2, 16)
    assert tower.embeddings.filter_pictures(torch.randn(2, channels, 16, 16)).responses.shape == (2, channels, 7, 7)


def test_figures_ask_in_words_for_what_is_not_there(tower, pixel_values, prompt):
    model = prompt(tower, {"instance_prompts": False})
    layer = tower.embeddings
    with pytest.raises(ValueError, match="adapter 'default' has no dynamic filter"):
        layer.filter_pictures(pixel_values)
    with pytest.raises(ValueError, match="adapter 'default' has no cross-attention"):
        layer.attention_maps(pixel_values)
    model.add_adapter("sum", NeuroPromptConfig(cross_attention=False))
    model.set_adapter("sum")
    with pytest.raises(ValueError, match="adapter 'sum' has no cross-attention"):
        layer.attention_maps(pixel_values)
    with model.disable_adapter(), pytest.raises(ValueError, match="no NeuroPrompt adapter is active"):
        layer.filter_pictures(pixel_values)
