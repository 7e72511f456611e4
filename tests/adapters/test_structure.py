"""The one place that knows towers' inner names, held to what the towers themselves compute."""

import pytest
import torch
from transformers import CLIPVisionModel, SiglipVisionConfig, SiglipVisionModel, ViTConfig, ViTModel

from neuroclip_hf.adapters import NeuroPromptConfig
from neuroclip_hf.adapters.neuro_prompt import find_structure, is_tower, structure

# peft 0.21 asks transformers 5.23 for the old name of a property, whatever the method.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing. is deprecated:FutureWarning")

TINY = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "image_size": 16}


def test_every_kind_is_known_by_its_class(any_tower):
    assert is_tower(any_tower)
    assert find_structure(any_tower).embeddings(any_tower) is any_tower.embeddings


def test_every_known_kind_is_tested(tower_makers):
    made = {type(make()) for make in tower_makers}
    assert made == set(structure._KINDS)


@torch.no_grad()
@pytest.mark.parametrize("prompted", [False, True])
def test_step_by_step_is_the_tower_to_the_bit(any_tower, pixel_values, prompt, prompted):
    if prompted:
        prompt(any_tower, {"fusion_width": 8})
    known = find_structure(any_tower)
    output = any_tower(pixel_values=pixel_values, output_hidden_states=True)
    tokens = known.embed(any_tower, pixel_values)
    steps = list(known.run_layers(any_tower, tokens))
    assert torch.equal(known.pool(any_tower, steps[-1]), output.pooler_output)
    assert len(steps) == len(known.layers(any_tower)) == 3
    for step, expected in zip(steps[:-1], output.hidden_states[1:], strict=False):
        assert torch.equal(step, expected)


@torch.no_grad()
def test_layers_above_the_depth_asked_for_are_never_run(any_tower, pixel_values, prompt):
    prompt(any_tower, {"fusion_width": 8})
    known = find_structure(any_tower)
    run = []
    for index, layer in enumerate(known.layers(any_tower)):
        layer.register_forward_hook(lambda module, args, output, index=index: run.append(index))
    assert len(list(known.run_layers(any_tower, known.embed(any_tower, pixel_values), depth=2))) == 2
    assert run == [0, 1]


@torch.no_grad()
def test_patches_are_what_is_neither_prefix_nor_prompt(any_tower, pixel_values, prompt):
    known = find_structure(any_tower)
    plain = known.embed(any_tower, pixel_values)
    assert known.num_prompts(any_tower) == 0
    assert known.patches(any_tower, plain).shape == (3, 4, 16)
    model = prompt(any_tower, {"num_prompt_tokens": 5, "instance_prompts": False})
    assert known.num_prompts(any_tower) == 5
    tokens = known.embed(any_tower, pixel_values)
    assert tokens.shape[1] == plain.shape[1] + 5
    assert torch.equal(known.patches(any_tower, tokens), plain[:, known.num_prefix_tokens :])
    with model.disable_adapter():
        assert known.num_prompts(any_tower) == 0
    model.add_adapter("none", NeuroPromptConfig(shared_prompts=False))
    model.set_adapter("none")
    assert known.num_prompts(any_tower) == 0


def test_width_channels_and_convolution(any_tower):
    known = find_structure(any_tower)
    assert (known.width(any_tower), known.num_channels(any_tower)) == (16, 3)
    convolution = known.embeddings(any_tower).get_submodule(known.convolution_name)
    assert convolution.kernel_size == convolution.stride == (8, 8)
    assert convolution.padding in ((0, 0), "valid")


def test_larger_pictures_through_the_same_door(any_tower):
    known = find_structure(any_tower)
    tokens = known.embed(any_tower, torch.randn(2, 3, 24, 32), interpolate_pos_encoding=True)
    assert known.patches(any_tower, tokens).shape == (2, 12, 16)


def test_another_module_is_refused_in_words(tower):
    vit = ViTModel(ViTConfig(**TINY))
    assert not is_tower(vit)
    with pytest.raises(ValueError, match=r"ViTModel is not a vision tower whose structure is known.*Dinov2Model"):
        find_structure(vit)
    assert not is_tower(tower.embeddings)
    assert isinstance(tower, CLIPVisionModel)


def test_a_siglip_without_head_says_so():
    tower = SiglipVisionModel(SiglipVisionConfig(**TINY, intermediate_size=8, vision_use_head=False))
    with pytest.raises(ValueError, match="no pooling head"):
        find_structure(tower).pool(tower, torch.zeros(1, 4, 8))
