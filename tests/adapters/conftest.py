"""Towers small enough for seconds, pictures for them, and the method with every part alone and all together."""

import pytest
import torch
from peft import get_peft_model
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from neuroclip_hf.adapters import NeuroPromptConfig

NUM_LAYERS = 3
SIZES = {"hidden_size": 16, "num_hidden_layers": NUM_LAYERS, "num_attention_heads": 2}
PICTURE = {"image_size": 16, "patch_size": 8}
SMALL = {"fusion_width": 8, "fusion_heads": 2, "filter_input_size": 8, "spectral_resolution": 4}

PARTS = {
    "everything": {},
    "everything, spectral": {"filter_domain": "spectral"},
    "shared prompts": {"instance_prompts": False},
    "shallow shared prompts": {"instance_prompts": False, "prompt_depth": 1},
    "instance prompts": {"shared_prompts": False},
    "instance prompts, spectral": {"shared_prompts": False, "filter_domain": "spectral"},
    "filter alone": {"shared_prompts": False, "cross_attention": False},
    "spectral filter alone": {"shared_prompts": False, "cross_attention": False, "filter_domain": "spectral"},
    "attention alone": {"shared_prompts": False, "dynamic_filter": False},
    "one stream": {"dual_stream": False},
    "one stream, filter alone": {"shared_prompts": False, "dual_stream": False, "cross_attention": False},
}
TOWERS = {
    "clip": lambda: CLIPVisionModel(CLIPVisionConfig(**SIZES, **PICTURE, intermediate_size=32)),
    "siglip": lambda: SiglipVisionModel(SiglipVisionConfig(**SIZES, **PICTURE, intermediate_size=32)),
    "dinov2": lambda: Dinov2Model(Dinov2Config(**SIZES, **PICTURE)),
    "dinov2 with registers": lambda: Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**SIZES, **PICTURE)),
}


@pytest.fixture(params=PARTS.values(), ids=PARTS.keys())
def settings(request):
    """Settings of the method: every part alone, and all together."""
    return SMALL | request.param


# Of what is compiled, these take every line of the method; the others only leave some out.
COMPILED = ("everything", "everything, spectral", "shallow shared prompts", "one stream, filter alone")


@pytest.fixture(
    params=[
        pytest.param(each, id=name, marks=[] if name in COMPILED else pytest.mark.slow) for name, each in PARTS.items()
    ]
)
def settings_to_compile(request):
    """As `settings`."""
    return SMALL | request.param


@pytest.fixture(params=TOWERS.values(), ids=TOWERS.keys())
def any_tower(request):
    torch.manual_seed(1)
    return request.param().eval()


@pytest.fixture
def make_tower():
    """Build the same small tower every time it is called."""

    def make(**settings):
        torch.manual_seed(1)
        return CLIPVisionModel(CLIPVisionConfig(**SIZES | PICTURE | {"intermediate_size": 32} | settings)).eval()

    return make


@pytest.fixture
def tower(make_tower):
    return make_tower()


@pytest.fixture
def pixel_values():
    return torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def shake():
    """Move every trained weight away from its start, gates and tables from zero among them."""

    def move(model, seed=7):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn(parameter.shape, generator=generator).to(parameter) * 0.3)
        return model

    return move


@pytest.fixture
def prompt(shake):
    """Put the method, its weights moved away from their start, into a tower."""

    def put(tower, settings, seed=0, **options):
        torch.manual_seed(seed)
        return shake(get_peft_model(tower, NeuroPromptConfig(**settings), **options), seed)

    return put


@pytest.fixture
def read():
    def pooled(model, pixel_values, **options):
        with torch.no_grad():
            return model(pixel_values=pixel_values, **options).pooler_output

    return pooled


@pytest.fixture
def gradients():
    """Gradients by name, of a loss that does not vanish in a layer norm, as that of a sum would."""

    def compute(model, pixel_values):
        weight = torch.randn(16, 5, generator=torch.Generator().manual_seed(3)).to(pixel_values)
        (model(pixel_values=pixel_values).pooler_output @ weight).square().sum().backward()
        return {name: each.grad for name, each in model.named_parameters() if each.grad is not None}

    return compute


@pytest.fixture
def tower_makers():
    """What makes one small tower of each kind that the tests run over."""
    return list(TOWERS.values())
