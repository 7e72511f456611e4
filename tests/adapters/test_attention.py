"""Attention of a tower's tokens, as figures read it."""

import pytest
import torch

from neuroclip_hf.adapters.neuro_prompt import find_structure, token_attention

# peft 0.21 asks transformers 5.23 by the older name.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing. is deprecated:FutureWarning")

TWO_PROMPTS = {"num_prompt_tokens": 2, "instance_prompts": False}


def test_every_layer_of_every_tower_is_read_and_the_tower_left_as_it_was(any_tower, pixel_values, prompt):
    prompt(any_tower, TWO_PROMPTS)
    before = any_tower(pixel_values).pooler_output
    implementation = any_tower.config._attn_implementation
    found = token_attention(any_tower, pixel_values)
    tokens = find_structure(any_tower).num_prefix_tokens + 2 + 4
    assert found.weights.shape == (3, 3, 2, tokens, tokens)
    assert (found.num_prompts, found.grid) == (2, (2, 2))
    torch.testing.assert_close(found.weights.sum(dim=-1), torch.ones(3, 3, 2, tokens))
    assert any_tower.config._attn_implementation == implementation != "eager"
    assert torch.equal(any_tower(pixel_values).pooler_output, before)
    assert not found.weights.requires_grad


def test_the_first_layer_by_hand(tower, pixel_values, prompt):
    prompt(tower, TWO_PROMPTS)
    attention, layer = token_attention(tower, pixel_values), tower.encoder.layers[0]
    tokens = layer.layer_norm1(find_structure(tower).embed(tower, pixel_values))
    queries, keys = (part(tokens).unflatten(-1, (2, 8)) for part in (layer.self_attn.q_proj, layer.self_attn.k_proj))
    expected = (torch.einsum("bqhd,bkhd->bhqk", queries, keys) / 8**0.5).softmax(dim=-1)
    torch.testing.assert_close(attention.weights[0], expected)
    prompts = expected[:, :, 1:3, 3:].mean(dim=(1, 2)).reshape(3, 2, 2)
    torch.testing.assert_close(attention.of_prompts()[0], prompts)
    torch.testing.assert_close(attention.of_prefix()[0], expected[:, :, 0, 3:].mean(dim=1).reshape(3, 2, 2))
    torch.testing.assert_close(attention.share_of_prompts()[0], expected[:, :, 0, 1:3].sum(dim=-1).mean(dim=1))


def test_a_tower_goes_back_to_its_own_attention_after_an_error(tower):
    implementation = tower.config._attn_implementation
    with pytest.raises(ValueError, match="size"):
        token_attention(tower, torch.zeros(1, 3, 24, 24))
    assert tower.config._attn_implementation == implementation


def test_what_is_not_there_is_said(tower, pixel_values):
    with pytest.raises(ValueError, match="no prompts"):
        token_attention(tower, pixel_values).of_prompts()
    with pytest.raises(ValueError, match="structure is known"):
        token_attention(torch.nn.Linear(2, 2), pixel_values)
