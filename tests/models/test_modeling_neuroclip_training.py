"""NeuroCLIP while it trains: what learns, what stays frozen, and how little memory and precision it can do with."""

import math

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model

import neuroclip_hf.losses.softened_contrastive as softened_contrastive
import neuroclip_hf.models.neuroclip.modeling_neuroclip as modeling_neuroclip
from neuroclip_hf.models import NeuroCLIPModel


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"prompt_config": None},
        {"prompt_config": {"filter_domain": "spectral"}},
        {"prompt_config": {"num_prompt_tokens": 1, "prompt_depth": 1, "instance_prompts": False}},
        {"prompt_config": {"shared_prompts": False}, "brain_projection": "mlp", "image_projection": "mlp"},
        {"vision_feature_layers": [2]},
        {"vision_feature_layers": [1, 2, 3], "vision_feature_token": "mean"},
        {"prompt_config": None, "vision_feature_layers": [1, -1], "image_projection": "none", "projection_dim": 16},
        {"brain_projection": "none", "projection_dim": 12},
    ],
)
def test_gradients_reach_every_trained_weight_and_no_frozen_one(make_model, batch, settings):
    model = make_model(**settings).train()
    with torch.no_grad():  # a gate has to leave zero before what is behind it can learn
        for name in model.trainable_parameter_names():
            if "neuro_prompt_" in name:
                model.get_parameter(name).add_(torch.randn_like(model.get_parameter(name)), alpha=0.3)
    before = {key: value.clone() for key, value in model.vision_model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(**batch).loss.backward()
    optimizer.step()
    gradients = dict(model.named_parameters())
    dead = [name for name in model.trainable_parameter_names() if gradients[name].grad.abs().max() < 1e-9]
    assert dead == []
    assert all(gradients[name].grad is None for name in model.frozen_parameter_names())
    changed = {key for key, value in model.vision_model.state_dict().items() if not torch.equal(value, before[key])}
    adapted = {key for key in before if "neuro_prompt_" in key}
    assert changed <= adapted
    assert bool(changed) == (model.config.prompt_config is not None)


def test_what_learns_is_everything_but_the_tower(make_model):
    model = make_model()
    frozen = model.frozen_parameter_names()
    assert all(name.startswith("vision_model.") and "neuro_prompt" not in name for name in frozen)
    assert len(frozen) == 3 + 3 * 16 + 4  # embeddings, layers, two layer norms
    assert sorted(frozen + model.trainable_parameter_names()) == sorted(name for name, _ in model.named_parameters())


def test_the_tower_stays_in_eval_mode(make_model):
    model = make_model(vision_config={"hidden_size": 16, "num_attention_heads": 2, "attention_dropout": 0.5})
    model.train()
    assert model.training
    assert model.encoder.training
    training = [name for name, module in model.vision_model.named_modules() if module.training]
    assert all(name.startswith("embeddings.neuro_prompt_") for name in training)
    pictures = torch.randn(1, 3, 224, 224)
    assert torch.equal(model.get_image_features(pictures), model.get_image_features(pictures))
    assert NeuroCLIPModel(model.config).vision_model.training is False


def test_the_logit_scale_stays_in_its_bounds_and_can_come_back(make_model, batch):
    model = make_model().train()
    with torch.no_grad():
        model.scale.logit_scale.fill_(9.0)
    model(**batch).loss.backward()
    assert model.scale.logit_scale.item() == pytest.approx(math.log(100))
    assert model.scale.logit_scale.grad.abs() > 0
    model.eval()
    with torch.no_grad():
        model.scale.logit_scale.fill_(-3.0)
    assert model.scale().item() == pytest.approx(2.0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("settings", [{}, {"vision_feature_layers": [1, 3], "image_projection": "mlp"}])
def test_autocast(make_model, batch, dtype, settings):
    model = make_model(**settings).train()
    model.picture_chunk_size = 2  # whose second pass must be in the same precision
    with torch.autocast("cpu", dtype=dtype):
        loss = model(**batch).loss
    loss.backward()
    assert loss.isfinite()
    assert loss.dtype == torch.float32
    assert all(each.grad.isfinite().all() for each in model.parameters() if each.requires_grad)


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_recomputes_and_gives_equal_gradients(make_model, batch, reentrant):
    gradients, calls = [], []
    for checkpointing in (False, True):
        model = make_model().train()
        if checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": reentrant})
        count = []
        model.vision_model.encoder.layers[2].mlp.register_forward_pre_hook(lambda *_, count=count: count.append(1))
        model(**batch).loss.backward()
        calls.append(len(count))
        gradients.append([each.grad for each in model.parameters() if each.requires_grad])
    assert calls == [2, 3]  # prompted and frozen; and the prompted one again
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


def test_a_lora_on_the_tower_learns_beside_the_prompts(make_model, batch):
    model = make_model()
    frozen = model.get_frozen_image_features(batch["pixel_values"])
    names = model.trainable_parameter_names()
    lora = LoraConfig(target_modules=r"vision_model.*q_proj", lora_dropout=0.5, init_lora_weights=False)
    inject_adapter_in_model(lora, model, "lora")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names or "lora_" in name)
    model.train()
    assert model.vision_model.encoder.layers[0].self_attn.q_proj.lora_dropout["lora"].training
    assert not model.vision_model.encoder.layers[0].self_attn.q_proj.base_layer.training
    model(**batch).loss.backward()
    assert all(each.grad is not None for name, each in model.named_parameters() if "lora_" in name)
    assert torch.equal(model.get_frozen_image_features(batch["pixel_values"]), frozen)


def test_a_whole_training_step_compiles(make_model, batch):
    encoder = {"num_channels": 5, "num_timesteps": 20, "hidden_size": 12, "dropout": 0.0}  # nothing random
    model = make_model(encoder_config=encoder).train()
    model(**batch).loss.backward()
    expected = {
        name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.requires_grad
    }
    model.zero_grad(set_to_none=True)
    torch._dynamo.reset()
    torch.compile(model, fullgraph=True, backend="aot_eager")(**batch).loss.backward()
    for name, gradient in expected.items():
        assert torch.allclose(model.get_parameter(name).grad, gradient, rtol=1e-4, atol=1e-6), name


def test_logits_have_gradients_alone_and_beside_the_loss(make_model, batch):
    found = []
    for ask in (
        lambda output: output.loss,
        lambda output: output.logits_per_brain.square().sum(),
        lambda output: output.loss + output.logits_per_brain.square().sum(),
    ):
        model = make_model().train()
        ask(model(**batch)).backward()
        found.append([each.grad for each in model.parameters() if each.requires_grad])
    for loss, logits, both in zip(*found, strict=True):
        torch.testing.assert_close(both, loss + logits, rtol=1e-4, atol=1e-3)


def test_several_forward_passes_before_a_backward_one(make_model, batch):
    one, other = make_model().train(), make_model().train()
    torch.manual_seed(3)  # of dropout
    (one(**batch).loss + one(**batch).loss).backward()
    torch.manual_seed(3)
    for _ in range(2):
        other(**batch).loss.backward()
    torch.testing.assert_close(one.scale.logit_scale.grad, other.scale.logit_scale.grad)


def test_cosines_are_computed_once_a_step(make_model, batch, monkeypatch):
    calls = []
    for module in (modeling_neuroclip, softened_contrastive):
        plain = module.contrastive_logits
        monkeypatch.setattr(module, "contrastive_logits", lambda *all, f=plain: (calls.append(1), f(*all))[1])
    make_model().train()(**batch)
    assert len(calls) == 1
