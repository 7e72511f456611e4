"""The PEFT contract, for every part alone and all together: off is the tower, and peft's verbs keep their word."""

import copy
import pickle
import shutil

import pytest
import torch
from peft import AutoPeftModel, LoraConfig, PeftModel, get_peft_model, inject_adapter_in_model
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import CLIPConfig, CLIPModel, CLIPVisionModel, ResNetConfig, ResNetModel, ViTConfig, ViTModel

from neuroclip_hf.adapters import NeuroPromptConfig
from neuroclip_hf.adapters.neuro_prompt.model import RESERVED_NAMES

# peft 0.21 asks transformers 5.23 for the old name of a property, whatever the method.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing. is deprecated:FutureWarning")


def trained(model):
    return {name for name, each in model.named_parameters() if each.requires_grad}


def whole_clip():
    part = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(text_config=part | {"vocab_size": 9}, vision_config=part | {"image_size": 16, "patch_size": 8})
    return CLIPModel(config)


def test_off_is_the_tower_to_the_bit(tower, settings, pixel_values, prompt, read):
    plain = read(tower, pixel_values)
    model = prompt(tower, settings)
    prompted = read(model, pixel_values)
    assert not torch.allclose(prompted, plain)
    with model.disable_adapter():
        assert torch.equal(read(model, pixel_values), plain)
    assert torch.equal(read(model, pixel_values), prompted)
    assert torch.equal(read(model.unload(), pixel_values), plain)
    assert type(tower.embeddings).__name__ == "CLIPVisionEmbeddings"
    assert not any(layer._forward_pre_hooks for layer in tower.encoder.layers)


def test_no_pictures_at_all_are_refused_in_words(tower, settings, pixel_values, prompt, read):
    with pytest.raises(ValueError, match="pixel_values holds 0 pictures: it must hold at least one"):
        read(prompt(tower, settings), pixel_values[:0])


def test_saved_and_loaded_to_the_bit(make_tower, settings, pixel_values, prompt, read, tmp_path):
    model = prompt(make_tower(), settings)
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert {key for key in saved if "default" in key} == set()
    assert len(saved) == len(trained(model))
    loaded = PeftModel.from_pretrained(make_tower(), tmp_path)
    assert torch.equal(read(loaded, pixel_values), read(model, pixel_values))
    assert trained(loaded) == set()
    trainable = PeftModel.from_pretrained(make_tower(), tmp_path, is_trainable=True)
    assert trained(trainable) == trained(model)


def test_loaded_without_drawing_weights_first(make_tower, settings, pixel_values, prompt, read, tmp_path):
    model = prompt(make_tower(), settings)
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(make_tower(), tmp_path, low_cpu_mem_usage=True)
    assert torch.equal(read(loaded, pixel_values), read(model, pixel_values))


def test_auto_peft_model_finds_the_tower(make_tower, settings, pixel_values, prompt, read, tmp_path):
    make_tower().save_pretrained(tmp_path / "tower")
    model = prompt(CLIPVisionModel.from_pretrained(tmp_path / "tower"), settings)
    model.save_pretrained(tmp_path / "adapter")
    loaded = AutoPeftModel.from_pretrained(tmp_path / "adapter")
    assert torch.equal(read(loaded, pixel_values), read(model, pixel_values))


def test_several_adapters(tower, settings, pixel_values, prompt, shake, read):
    plain = read(tower, pixel_values)
    model = prompt(tower, settings, adapter_name="first")
    first = read(model, pixel_values)
    model.add_adapter("second", NeuroPromptConfig(num_prompt_tokens=5, prompt_depth=1))
    assert torch.equal(read(model, pixel_values), first)
    assert not any(".second" in name for name in trained(model))
    model.set_adapter("second")
    shake(model)
    second = read(model, pixel_values)
    assert not torch.equal(second, first)
    assert all(".second" in name for name in trained(model))
    with pytest.raises(ValueError, match="only one NeuroPrompt adapter"):
        model.base_model.set_adapter(["first", "second"])
    model.set_adapter("first")
    assert torch.equal(read(model, pixel_values), first)
    model.delete_adapter("second")
    assert torch.equal(read(model, pixel_values), first)
    assert not any("second" in name for name in model.state_dict())
    assert list(tower.embeddings.neuro_prompt_config) == ["first"]
    model.delete_adapter("first")  # which leaves a PeftModel, of any method, without one to ask
    assert torch.equal(read(tower, pixel_values), plain)


def test_one_of_two_adapters_is_saved_alone(make_tower, settings, pixel_values, prompt, shake, read, tmp_path):
    model = prompt(make_tower(), settings, adapter_name="first")
    model.add_adapter("second", NeuroPromptConfig(num_prompt_tokens=5, fusion_width=4))
    model.set_adapter("second")
    shake(model)
    model.set_adapter("first")
    model.save_pretrained(tmp_path, selected_adapters=["first"])
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["first"]
    loaded = PeftModel.from_pretrained(make_tower(), tmp_path / "first", adapter_name="other name")
    assert torch.equal(read(loaded, pixel_values), read(model, pixel_values))


@pytest.mark.parametrize("verb", ["merge_and_unload", "merge_adapter", "unmerge_adapter"])
def test_merging_is_refused_in_words(tower, settings, pixel_values, prompt, read, verb):
    model = prompt(tower, settings)
    before = read(model, pixel_values)
    with pytest.raises(ValueError, match="cannot be merged"):
        getattr(model, verb)()
    assert torch.equal(read(model, pixel_values), before)


def test_modules_to_save_travel_along(make_tower, settings, pixel_values, prompt, read, tmp_path):
    model = prompt(make_tower(), settings | {"modules_to_save": ["post_layernorm"]})
    assert sum("post_layernorm" in name for name in trained(model)) == 2
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(make_tower(), tmp_path)
    assert torch.equal(read(loaded, pixel_values), read(model, pixel_values))
    with model.disable_adapter():
        assert torch.equal(read(model, pixel_values), read(make_tower(), pixel_values))


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_gives_equal_gradients(
    make_tower, settings, pixel_values, prompt, gradients, reentrant
):
    expected = gradients(prompt(make_tower(), settings).train(), pixel_values)
    model = prompt(make_tower(), settings).train()
    model.base_model.model.activation_checkpointing_enable({"use_reentrant": reentrant})
    found = gradients(model, pixel_values)
    assert found.keys() == expected.keys() == trained(model)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert all(each.abs().max() > 0 for each in expected.values())


def test_sdpa_equals_eager(make_tower, settings, pixel_values, prompt, read):
    outputs = []
    for implementation in ("sdpa", "eager"):
        tower = make_tower()
        tower.set_attn_implementation(implementation)
        outputs.append(read(prompt(tower, settings), pixel_values))
    torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-5)


def test_compiles_in_one_graph(make_tower, settings_to_compile, pixel_values, prompt, gradients):
    expected = gradients(prompt(make_tower(), settings_to_compile), pixel_values)
    model = prompt(make_tower(), settings_to_compile)
    torch._dynamo.reset()
    compiled = torch.compile(model.base_model.model, fullgraph=True, backend="aot_eager")
    gradients(compiled, pixel_values)
    found = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"
)  # torch 2.13's inductor
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a compiler")
def test_compiles_with_inductor(make_tower, settings, pixel_values, prompt, gradients):
    expected = gradients(prompt(make_tower(), settings), pixel_values)
    model = prompt(make_tower(), settings)
    torch._dynamo.reset()
    gradients(torch.compile(model.base_model.model, fullgraph=True), pixel_values)
    found = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_a_half_precision_tower_keeps_an_adapter_in_full(make_tower, settings, pixel_values, prompt, gradients, read):
    model = prompt(make_tower().to(torch.bfloat16), settings)
    assert {each.dtype for each in model.parameters() if each.requires_grad} == {torch.float32}
    output = read(model, pixel_values)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), read(prompt(make_tower(), settings), pixel_values), rtol=0.1, atol=0.1)
    found = gradients(model, pixel_values.to(torch.bfloat16))
    assert found.keys() == trained(model)
    assert all(each.dtype == torch.float32 and each.isfinite().all() for each in found.values())


def test_an_adapter_in_half_precision_throughout(make_tower, settings, pixel_values, prompt, read):
    model = prompt(make_tower().to(torch.bfloat16), settings, autocast_adapter_dtype=False)
    assert {each.dtype for each in model.parameters()} == {torch.bfloat16}
    assert read(model, pixel_values).isfinite().all()


def test_autocast(make_tower, settings, pixel_values, prompt, gradients):
    expected = gradients(prompt(make_tower(), settings), pixel_values)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gradients(prompt(make_tower(), settings), pixel_values)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        alike = torch.nn.functional.cosine_similarity(gradient.flatten(), expected[name].flatten(), dim=0)
        assert alike > 0.9, name


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_has_weights_of_its_own(tower, settings, pixel_values, prompt, shake, read, clone):
    plain = read(tower, pixel_values)
    model = prompt(tower, settings)
    before = read(model, pixel_values)
    twin = clone(model)
    assert torch.equal(read(twin, pixel_values), before)
    shake(twin)
    assert torch.equal(read(model, pixel_values), before)
    assert not torch.equal(read(twin, pixel_values), before)
    assert torch.equal(read(twin.unload(), pixel_values), plain)
    assert torch.equal(read(model, pixel_values), before)


def test_transformers_own_verbs(make_tower, settings, pixel_values, shake, read, tmp_path):
    tower = make_tower()
    plain = read(tower, pixel_values)
    tower.add_adapter(NeuroPromptConfig(**settings), adapter_name="vision")
    shake(tower)
    prompted = read(tower, pixel_values)
    assert not torch.equal(prompted, plain)
    tower.disable_adapters()
    assert torch.equal(read(tower, pixel_values), plain)
    tower.enable_adapters()
    tower.save_pretrained(tmp_path)
    loaded = make_tower()
    loaded.load_adapter(str(tmp_path), adapter_name="other")
    assert torch.equal(read(loaded, pixel_values), prompted)


LORA = {"r": 2, "target_modules": ["q_proj", "v_proj"], "init_lora_weights": False}


@pytest.mark.filterwarnings("ignore:You are trying to modify a model with PEFT for a second time")
@pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute in the model")
@pytest.mark.parametrize("reloaded_first", ["lora", "vision"])
@pytest.mark.parametrize("built_first", ["lora", "vision"])
def test_a_lora_beside_it(make_tower, settings, pixel_values, shake, read, built_first, reloaded_first):
    configs = {"lora": LoraConfig(**LORA), "vision": NeuroPromptConfig(**settings)}

    def build(first):
        tower = make_tower()
        for name in sorted(configs, key=lambda name: name != first):
            inject_adapter_in_model(copy.deepcopy(configs[name]), tower, name)
        return tower

    tower = shake(build(built_first))
    assert {True, False} == {"lora" in name for name in trained(tower)}
    saved = {name: get_peft_model_state_dict(tower, adapter_name=name) for name in configs}
    assert all("neuro_prompt" in key for key in saved["vision"])
    assert all("lora" in key for key in saved["lora"])
    other = build(built_first)
    for name in sorted(configs, key=lambda name: name != reloaded_first):
        assert not set_peft_model_state_dict(other, saved[name], adapter_name=name).unexpected_keys
    assert torch.equal(read(other, pixel_values), read(tower, pixel_values))


@pytest.mark.filterwarnings("ignore:You are trying to modify a model with PEFT for a second time")
@pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute in the model")
def test_files_of_both_beside_a_lora(make_tower, settings, pixel_values, shake, read, tmp_path):
    def with_lora():
        torch.manual_seed(2)
        return inject_adapter_in_model(LoraConfig(**LORA), make_tower(), "lora")

    model = shake(get_peft_model(with_lora(), NeuroPromptConfig(**settings), adapter_name="vision"))
    weights = {key: value for key, value in model.state_dict().items() if "lora_" in key}
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(with_lora(), tmp_path / "vision", adapter_name="vision")
    loaded.load_state_dict(weights, strict=False)
    assert torch.equal(read(loaded, pixel_values), read(model, pixel_values))
    assert all("neuro_prompt" in key for key in load_file(tmp_path / "vision" / "adapter_model.safetensors"))


@pytest.mark.filterwarnings("ignore:You are trying to modify a model with PEFT for a second time")
@pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute in the model")
def test_a_lora_on_the_patch_convolution_reaches_both_streams(make_tower, pixel_values, prompt):
    tower = make_tower()
    inject_adapter_in_model(
        LoraConfig(r=2, target_modules=["patch_embedding"], init_lora_weights=False), tower, "lora"
    )
    prompt(tower, {"fusion_width": 8})
    layer = tower.embeddings
    pictures = layer.filter_pictures(pixel_values).pixel_values
    _, static, dynamic = layer._streams("default", pixel_values)
    torch.testing.assert_close(static, layer.base_layer(pixel_values)[:, 1:])
    torch.testing.assert_close(dynamic, layer.base_layer(pictures)[:, 1:])


@pytest.mark.parametrize("name", ["gate", "network", "weight", "to_tokens"])
def test_an_adapter_named_as_a_part_of_the_method_is_refused(tower, pixel_values, prompt, read, name):
    model = prompt(tower, {"fusion_width": 8})
    before = read(model, pixel_values)
    with pytest.raises(ValueError, match=f"adapter name '{name}'"):
        model.add_adapter(name, NeuroPromptConfig())
    assert torch.equal(read(model, pixel_values), before)


@pytest.mark.parametrize("nested", [False, True])
def test_no_adapter_can_empty_the_file_of_another(make_tower, prompt, nested):
    settings = {"fusion_width": 8, "filter_input_size": 8}
    make = whole_clip if nested else make_tower
    model = prompt(make(), settings)
    kept = get_peft_model_state_dict(model, adapter_name="default").keys()
    parts = {part for name, _ in model.named_parameters() for part in name.split(".")} - {"default"}
    assert {"base_model", "model", "embeddings", "layers", "0"} <= parts
    assert not nested or {"vision_model", "text_model"} <= parts
    for part in sorted(parts):
        with pytest.raises(ValueError, match=f"adapter name '{part}' is a part of the names of weights"):
            model.add_adapter(part, NeuroPromptConfig())
        with pytest.raises(ValueError, match=f"adapter name '{part}'"):
            get_peft_model(make(), NeuroPromptConfig(), part)
    assert list(model.peft_config) == ["default"]
    model.add_adapter("second", NeuroPromptConfig(**settings))
    assert get_peft_model_state_dict(model, adapter_name="default").keys() == kept


def test_every_name_inside_the_parts_is_refused_as_an_adapter_name(make_tower, settings, prompt):
    model = prompt(make_tower(), settings)
    inside = {
        piece for name in get_peft_model_state_dict(model) for piece in name.split(".neuro_prompt_")[1].split(".")[1:]
    }
    assert inside <= RESERVED_NAMES


def test_a_depth_beyond_the_tower_is_refused_and_leaves_it_whole(tower, pixel_values, read):
    plain = read(tower, pixel_values)
    with pytest.raises(ValueError, match="prompt_depth is 4, but the tower has 3 layers"):
        get_peft_model(tower, NeuroPromptConfig(prompt_depth=4))
    assert torch.equal(read(tower, pixel_values), plain)
    assert type(tower.embeddings).__name__ == "CLIPVisionEmbeddings"
    get_peft_model(tower, NeuroPromptConfig(prompt_depth=4, shared_prompts=False))  # a depth that nothing uses


@pytest.mark.parametrize(
    "model",
    [
        lambda: ViTModel(ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=16)),
        lambda: ResNetModel(ResNetConfig(embedding_size=4, hidden_sizes=[4], depths=[1])),
    ],
    ids=["ViTModel", "ResNetModel"],
)
def test_a_model_without_known_tower_is_refused(model, request):
    with pytest.raises(ValueError, match=f"{request.node.callspec.id} holds no vision tower.*CLIPVisionModel, Siglip"):
        get_peft_model(model(), NeuroPromptConfig())


def test_a_target_of_another_kind_is_refused(tower):
    with pytest.raises(ValueError, match=r"pre_layrnorm is a LayerNorm.*here embeddings"):
        get_peft_model(tower, NeuroPromptConfig(target_modules=["pre_layrnorm"]))


def test_inside_a_whole_clip():
    model = get_peft_model(whole_clip(), NeuroPromptConfig(target_modules=r".*vision_model\.embeddings"))
    assert model.targeted_module_names == ["vision_model.embeddings"]
    assert model.get_image_features(pixel_values=torch.randn(2, 3, 16, 16)).pooler_output.shape == (2, 512)


def test_start_values_follow_init_std_and_the_seed(make_tower):
    drawn = []
    for _ in range(2):
        tower = make_tower()
        torch.manual_seed(11)
        model = get_peft_model(tower, NeuroPromptConfig(num_prompt_tokens=200, init_std=0.5))
        drawn.append({name: each for name, each in model.named_parameters() if each.requires_grad})
    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0])
    (tokens,) = [each for name, each in drawn[0].items() if "tokens" in name and each.ndim == 3]
    assert tokens.std().item() == pytest.approx(0.5, rel=0.05)
