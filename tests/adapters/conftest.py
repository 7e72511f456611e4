"""A tower small enough for seconds, and pictures for it."""

import pytest
import torch
from transformers import CLIPVisionConfig, CLIPVisionModel

NUM_LAYERS = 3


@pytest.fixture
def make_tower():
    """Build the same small tower every time it is called."""

    def make(**settings):
        config = {
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": NUM_LAYERS,
            "num_attention_heads": 2,
            "image_size": 16,
            "patch_size": 8,
        }
        torch.manual_seed(1)
        return CLIPVisionModel(CLIPVisionConfig(**config | settings)).eval()

    return make


@pytest.fixture
def tower(make_tower):
    return make_tower()


@pytest.fixture
def pixel_values():
    return torch.randn(3, 3, 16, 16)
