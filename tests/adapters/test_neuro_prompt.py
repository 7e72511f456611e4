"""The PEFT method's contract: off is CLIP to the bit, only prompts learn, and peft's verbs do what they say."""

import copy
import pickle

import pytest
import torch
from peft import AutoPeftModel, LoraConfig, PeftModel, get_peft_model, inject_adapter_in_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import CLIPConfig, CLIPModel, CLIPVisionModel, ViTConfig, ViTModel

from neuroclip_hf.adapters import NeuroPromptConfig

# peft 0.21 asks transformers 5.23 for the old name of a property, whatever the method.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing. is deprecated:FutureWarning")

TOKENS = "base_model.model.embeddings.neuro_prompt_tokens"


def read(model, pixel_values):
    with torch.no_grad():
        return model(pixel_values=pixel_values).pooler_output


def difference(model, pixel_values):
    """A loss whose gradient does not vanish in a layer norm, as that of a sum would."""
    weight = torch.randn(16, 5, generator=torch.Generator().manual_seed(3))
    return (model(pixel_values=pixel_values).pooler_output @ weight).square().sum()


@pytest.mark.parametrize("depth", [1, 2, 3, None])
@pytest.mark.parametrize("count", [1, 4])
def test_shapes_of_every_depth_and_number(tower, pixel_values, depth, count):
    plain = read(tower, pixel_values)
    model = get_peft_model(tower, NeuroPromptConfig(num_prompt_tokens=count, prompt_depth=depth))
    (tokens,) = [each for each in model.parameters() if each.requires_grad]
    assert tuple(tokens.shape) == (depth or 3, count, 16)
    output = model(pixel_values=pixel_values)
    assert output.last_hidden_state.shape == (3, 1 + count + 4, 16)
    assert not torch.allclose(output.pooler_output, plain)


def test_prompts_stand_where_the_docstring_says(tower, pixel_values):
    seen = []
    model = get_peft_model(tower, NeuroPromptConfig(num_prompt_tokens=2, prompt_depth=2))
    tower.pre_layrnorm.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    for layer in tower.encoder.layers:  # hooks run in order, so these see what the prompts' hooks have made
        layer.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    read(model, pixel_values)
    embedded, _, second, third = seen
    tokens = model.state_dict()[f"{TOKENS}.default"]
    plain = tower.embeddings.base_layer(pixel_values)
    assert torch.equal(embedded[:, 1:3], tokens[0].expand(3, -1, -1))
    assert torch.equal(embedded[:, [0, 3, 4, 5, 6]], plain)
    assert torch.equal(second[:, 1:3], tokens[1].expand(3, -1, -1))
    assert not torch.equal(third[0, 1:3], third[1, 1:3])  # beyond the depth the places are left to the tower


def test_off_is_clip_to_the_bit(tower, pixel_values):
    plain = read(tower, pixel_values)
    model = get_peft_model(tower, NeuroPromptConfig())
    assert not torch.equal(read(model, pixel_values), plain)
    with model.disable_adapter():
        assert torch.equal(read(model, pixel_values), plain)
    assert not torch.equal(read(model, pixel_values), plain)
    assert torch.equal(read(model.unload(), pixel_values), plain)
    assert not any(layer._forward_pre_hooks for layer in tower.encoder.layers)


def test_gradients_reach_every_prompt_and_no_weight_of_the_tower(tower, pixel_values):
    model = get_peft_model(tower, NeuroPromptConfig(num_prompt_tokens=2))
    difference(model, pixel_values).backward()
    trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
    assert list(trained) == [f"{TOKENS}.default"]
    assert (trained[f"{TOKENS}.default"].grad.abs().amax(dim=-1) > 1e-6).all()
    assert all(each.grad is None for name, each in model.named_parameters() if name not in trained)


def test_saved_and_loaded_to_the_bit(make_tower, pixel_values, tmp_path):
    model = get_peft_model(make_tower(), NeuroPromptConfig(prompt_depth=2))
    expected = read(model, pixel_values)
    model.save_pretrained(tmp_path)
    assert list(load_file(tmp_path / "adapter_model.safetensors")) == [TOKENS]
    loaded = PeftModel.from_pretrained(make_tower(), tmp_path)
    assert torch.equal(read(loaded, pixel_values), expected)
    assert not any(each.requires_grad for each in loaded.parameters())
    trainable = PeftModel.from_pretrained(make_tower(), tmp_path, is_trainable=True)
    assert [name for name, each in trainable.named_parameters() if each.requires_grad] == [f"{TOKENS}.default"]


def test_auto_peft_model_finds_the_tower(make_tower, pixel_values, tmp_path):
    make_tower().save_pretrained(tmp_path / "tower")
    model = get_peft_model(CLIPVisionModel.from_pretrained(tmp_path / "tower"), NeuroPromptConfig())
    model.save_pretrained(tmp_path / "adapter")
    loaded = AutoPeftModel.from_pretrained(tmp_path / "adapter")
    assert torch.equal(read(loaded, pixel_values), read(model, pixel_values))


def test_several_adapters(tower, pixel_values):
    plain = read(tower, pixel_values)
    model = get_peft_model(tower, NeuroPromptConfig(num_prompt_tokens=2), adapter_name="first")
    first = read(model, pixel_values)
    model.add_adapter("second", NeuroPromptConfig(num_prompt_tokens=5, prompt_depth=1))
    assert torch.equal(read(model, pixel_values), first)
    assert [name for name, each in model.named_parameters() if each.requires_grad] == [f"{TOKENS}.first"]
    model.set_adapter("second")
    second = read(model, pixel_values)
    assert not torch.equal(second, first)
    assert [name for name, each in model.named_parameters() if each.requires_grad] == [f"{TOKENS}.second"]
    with pytest.raises(ValueError, match="only one NeuroPrompt adapter"):
        model.base_model.set_adapter(["first", "second"])
    model.set_adapter("first")
    model.delete_adapter("second")
    assert torch.equal(read(model, pixel_values), first)
    model.delete_adapter("first")  # which leaves a PeftModel, of any method, without one to ask
    assert torch.equal(read(tower, pixel_values), plain)


@pytest.mark.parametrize("verb", ["merge_and_unload", "merge_adapter", "unmerge_adapter"])
def test_merging_is_refused_in_words(tower, pixel_values, verb):
    model = get_peft_model(tower, NeuroPromptConfig())
    before = read(model, pixel_values)
    with pytest.raises(ValueError, match="cannot be merged"):
        getattr(model, verb)()
    assert torch.equal(read(model, pixel_values), before)


def test_a_depth_beyond_the_tower_is_refused_and_leaves_it_whole(tower, pixel_values):
    plain = read(tower, pixel_values)
    with pytest.raises(ValueError, match="prompt_depth is 4, but the tower has 3 layers"):
        get_peft_model(tower, NeuroPromptConfig(prompt_depth=4))
    assert torch.equal(read(tower, pixel_values), plain)
    assert type(tower.embeddings).__name__ == "CLIPVisionEmbeddings"


def test_a_model_without_clip_tower_is_refused():
    config = ViTConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=16)
    with pytest.raises(ValueError, match="ViTModel holds no CLIPVisionModel"):
        get_peft_model(ViTModel(config), NeuroPromptConfig())


def test_a_target_of_another_kind_is_refused(tower):
    with pytest.raises(ValueError, match="pre_layrnorm is a LayerNorm"):
        get_peft_model(tower, NeuroPromptConfig(target_modules=["pre_layrnorm"]))


def test_inside_a_whole_clip():
    part = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(text_config=part | {"vocab_size": 9}, vision_config=part | {"image_size": 16, "patch_size": 8})
    model = get_peft_model(CLIPModel(config), NeuroPromptConfig(target_modules=r".*vision_model\.embeddings"))
    assert model.targeted_module_names == ["vision_model.embeddings"]
    assert model.get_image_features(pixel_values=torch.randn(2, 3, 16, 16)).pooler_output.shape == (2, 512)


def test_transformers_own_verbs(make_tower, pixel_values, tmp_path):
    tower = make_tower()
    plain = read(tower, pixel_values)
    tower.add_adapter(NeuroPromptConfig(), adapter_name="vision")
    prompted = read(tower, pixel_values)
    assert not torch.equal(prompted, plain)
    tower.disable_adapters()
    assert torch.equal(read(tower, pixel_values), plain)
    tower.enable_adapters()
    tower.save_pretrained(tmp_path)
    loaded = make_tower()
    loaded.load_adapter(str(tmp_path), adapter_name="other")
    assert torch.equal(read(loaded, pixel_values), prompted)


def test_a_lora_beside_the_prompts(make_tower, pixel_values, tmp_path):
    def with_lora():
        lora = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        torch.manual_seed(2)
        return inject_adapter_in_model(lora, make_tower(), "lora")

    model = get_peft_model(with_lora(), NeuroPromptConfig(), adapter_name="vision")
    names = {name for name, each in model.named_parameters() if each.requires_grad}
    assert f"{TOKENS}.vision" in names
    assert any("lora_A" in name for name in names)
    expected = read(model, pixel_values)
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(with_lora(), tmp_path / "vision", adapter_name="vision")
    assert torch.equal(read(loaded, pixel_values), expected)
    assert all("neuro_prompt" in key for key in load_file(tmp_path / "vision" / "adapter_model.safetensors"))
    assert not any("neuro_prompt" in key for key in get_peft_model_state_dict(with_lora(), adapter_name="lora"))


def test_modules_to_save_travel_along(make_tower, pixel_values, tmp_path):
    model = get_peft_model(make_tower(), NeuroPromptConfig(modules_to_save=["post_layernorm"]))
    trained = [each for name, each in model.named_parameters() if each.requires_grad and "post_layernorm" in name]
    assert len(trained) == 2
    with torch.no_grad():
        trained[0].normal_()
    expected = read(model, pixel_values)
    model.save_pretrained(tmp_path)
    assert torch.equal(read(PeftModel.from_pretrained(make_tower(), tmp_path), pixel_values), expected)


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_gives_equal_gradients(make_tower, pixel_values, reentrant):
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = get_peft_model(make_tower(), NeuroPromptConfig()).train()
        if checkpointing:
            model.base_model.model.activation_checkpointing_enable({"use_reentrant": reentrant})
        difference(model, pixel_values).backward()
        gradients.append(next(each.grad for each in model.parameters() if each.requires_grad))
    assert gradients[0].abs().max() > 0
    assert torch.equal(*gradients)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_has_prompts_of_its_own(tower, pixel_values, clone):
    plain = read(tower, pixel_values)
    model = get_peft_model(tower, NeuroPromptConfig(num_prompt_tokens=2))
    before = read(model, pixel_values)
    twin = clone(model)
    assert torch.equal(read(twin, pixel_values), before)
    with torch.no_grad():
        twin.state_dict()[f"{TOKENS}.default"].normal_()  # adding a number would vanish in the layer norms
    assert torch.equal(read(model, pixel_values), before)
    assert not torch.equal(read(twin, pixel_values), before)
    assert torch.equal(read(twin.unload(), pixel_values), plain)
    assert torch.equal(read(model, pixel_values), before)


def test_sdpa_equals_eager(make_tower, pixel_values):
    outputs = []
    for implementation in ("sdpa", "eager"):
        tower = make_tower()
        tower.set_attn_implementation(implementation)
        torch.manual_seed(0)
        outputs.append(read(get_peft_model(tower, NeuroPromptConfig()), pixel_values))
    torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-5)


def test_compiles_in_one_graph(tower, pixel_values):
    model = get_peft_model(tower, NeuroPromptConfig())
    compiled = torch.compile(tower, fullgraph=True, backend="eager")
    assert torch.equal(read(compiled, pixel_values), read(model, pixel_values))


def test_larger_pictures(tower):
    model = get_peft_model(tower, NeuroPromptConfig(num_prompt_tokens=2))
    output = model(pixel_values=torch.randn(2, 3, 32, 32), interpolate_pos_encoding=True)
    assert output.last_hidden_state.shape == (2, 1 + 2 + 16, 16)


def test_a_half_precision_tower_keeps_prompts_in_full(make_tower, pixel_values):
    model = get_peft_model(make_tower().to(torch.bfloat16), NeuroPromptConfig())
    assert model.state_dict()[f"{TOKENS}.default"].dtype == torch.float32
    assert model(pixel_values=pixel_values).pooler_output.dtype == torch.bfloat16


def test_start_values_follow_init_std_and_the_seed(make_tower):
    drawn = []
    for _ in range(2):
        tower = make_tower()
        torch.manual_seed(11)
        model = get_peft_model(tower, NeuroPromptConfig(num_prompt_tokens=200, init_std=0.5))
        drawn.append(model.state_dict()[f"{TOKENS}.default"])
    assert torch.equal(*drawn)
    assert drawn[0].std().item() == pytest.approx(0.5, rel=0.05)
