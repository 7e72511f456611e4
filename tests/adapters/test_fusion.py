"""Cross-attention fusion against a derivation in plain loops, in float64."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroclip_hf.adapters.neuro_prompt.fusion import CrossAttentionFusion, GatedAddition


def make(width, fusion_width, heads, shaken=True):
    torch.manual_seed(4)
    fusion = CrossAttentionFusion(width, fusion_width, heads).double()
    fusion.reset_parameters()
    if shaken:
        with torch.no_grad():
            for parameter in fusion.parameters():
                parameter.add_(0.5 * torch.randn_like(parameter))
    return fusion


def streams(pictures, patches, width):
    torch.manual_seed(pictures * 100 + patches)
    return torch.randn(2, pictures, patches, width, dtype=torch.float64)


def normalised(token):
    mean = sum(token) / len(token)
    variance = sum((each - mean) ** 2 for each in token) / len(token)
    return np.array([(each - mean) / math.sqrt(variance + 1e-5) for each in token])


def by_hand(fusion, static, dynamic):
    """Fused patches of one picture, and the attention maps."""
    weights = {name: each.detach().numpy() for name, each in fusion.named_parameters()}
    queries = [weights["to_queries.weight"] @ normalised(token) + weights["to_queries.bias"] for token in static]
    keys = [weights["to_keys.weight"] @ normalised(token) for token in dynamic]
    values = [weights["to_values.weight"] @ normalised(token) for token in dynamic]
    size = len(queries[0]) // fusion.num_heads
    maps = np.zeros((fusion.num_heads, len(static), len(dynamic)))
    fused = []
    for number, query in enumerate(queries):
        joined = []
        for head in range(fusion.num_heads):
            part = slice(head * size, (head + 1) * size)
            scores = [math.exp(query[part] @ key[part] / math.sqrt(size)) for key in keys]
            maps[head, number] = np.array(scores) / sum(scores)
            joined.extend(sum(w * value[part] for w, value in zip(maps[head, number], values, strict=True)))
        attended = weights["to_tokens.weight"] @ np.array(joined) + weights["to_tokens.bias"]
        fused.append(static[number] + weights["gate"] * attended)
    return np.array(fused), maps


@settings(max_examples=20)
@given(
    pictures=st.integers(1, 3),
    patches=st.integers(1, 6),
    width=st.integers(2, 9),
    heads=st.integers(1, 3),
    size=st.integers(1, 4),
)
def test_fusion_by_hand(pictures, patches, width, heads, size):
    fusion = make(width, heads * size, heads)
    static, dynamic = streams(pictures, patches, width)
    found, maps = fusion(static, dynamic), fusion.attention_maps(static, dynamic)
    assert maps.shape == (pictures, heads, patches, patches)
    for number in range(pictures):
        expected, expected_maps = by_hand(fusion, static[number].numpy(), dynamic[number].numpy())
        np.testing.assert_allclose(found[number].detach().numpy(), expected, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(maps[number].detach().numpy(), expected_maps, rtol=1e-8, atol=1e-10)


def test_it_starts_as_the_static_stream_to_the_bit():
    static, dynamic = streams(2, 5, 8)
    assert torch.equal(make(8, 8, 2, shaken=False)(static, dynamic), static)


def test_no_weight_is_dead():
    fusion = make(8, 8, 2)
    (fusion(*streams(2, 5, 8)) * torch.randn(8, dtype=torch.float64)).square().sum().backward()
    for name, parameter in fusion.named_parameters():
        assert (parameter.grad.abs() > 1e-12).all(), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_tokens_keep_their_dtype(dtype):
    static, dynamic = streams(2, 5, 8).to(dtype)
    assert make(8, 8, 2).float()(static, dynamic).dtype == dtype


def test_without_attention_the_dynamic_tokens_are_added_through_the_gate():
    static, dynamic = streams(2, 5, 8)
    fusion = GatedAddition(8).double()
    fusion.reset_parameters()
    assert torch.equal(fusion(static, dynamic), static)
    with torch.no_grad():
        fusion.gate.copy_(torch.arange(8))
    torch.testing.assert_close(fusion(static, dynamic), static + torch.arange(8) * dynamic)
