"""Models on several processes: loss, gradients and statistics of one process that holds the whole batch."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest
import torch
from peft import LoraConfig

from neuroclip_hf.kinds import KINDS
from neuroclip_hf.losses import Mixing
from neuroclip_hf.models import ENCODERS, NeuroCLIPConfig, NeuroCLIPModel
from neuroclip_hf.models.brainclip import modeling_brainclip

VISION = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION.update(image_size=16, patch_size=8)
# Rows of each process: uneven, and fewer rows than processes.
PARTS = {
    "uneven": {1: [7], 4: [2, 2, 2, 1]},
    "few": {1: [3], 4: [1, 1, 1, 0]},
}


def steps(rank, world):
    """A training step of every encoder that gradients train, on every way to part the rows."""
    kinds = [(encoder, "prompted") for encoder, (_, model) in ENCODERS.items() if not model.closed_form] + [
        ("eeg_project", "bare"),
        ("ts_conv", "in chunks"),
        ("eeg_project", "below a lora"),
        ("eeg_project", "own pictures"),
        ("eeg_project", "own pictures, bare"),
    ]
    return {
        f"{encoder}/{prompt}/{rows}": _step(encoder, prompt, parts[world], rank)
        for encoder, prompt in kinds
        for rows, parts in PARTS.items()
    }


def _stand_in():
    """Put the stand-in for braindecode where `import` finds it; for good, since every rank is a process of its own."""
    specification = importlib.util.spec_from_file_location("stand_in", Path(__file__).parent / "encoders/conftest.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    models = ModuleType("braindecode.models")
    module.StandIn.__module__ = models.__name__
    models.StandIn = module.StandIn
    sys.modules.update({"braindecode": ModuleType("braindecode"), models.__name__: models})
    return {"model_class": "StandIn", "dead_weights": ["filters.bias"]}


def _step(encoder, prompt, parts, rank):
    own = _stand_in() if encoder == "braindecode" else {}
    torch.manual_seed(2)
    without = {name: 0.0 for name in ENCODERS[encoder][0]().to_dict() if "dropout" in name}
    patterns = ENCODERS[encoder][1].main_input_name == "fmri_values"
    shape = (9,) if patterns else (4, 128)
    sizes = {"num_voxels": 9} if patterns else {"num_channels": 4, "num_timesteps": 128}
    encoder_config = {"model_type": encoder, "hidden_size": 12, **sizes, **without, **own}
    prompts = {"num_prompt_tokens": 2} if "bare" not in prompt else None
    config = NeuroCLIPConfig(
        encoder_config=encoder_config,
        vision_config=VISION,
        prompt_config=prompts,
        projection_dim=8,
        vision_feature_layers=[1] if prompt == "below a lora" else None,
    )
    model = NeuroCLIPModel(config).double()
    if prompt == "below a lora":  # whose weights on the upper layer are not read
        model.add_adapter(LoraConfig(r=2, target_modules=".*(q_proj|fc1)", init_lora_weights=False), "extra")
        model.double()
    model.train()
    _leave_the_start(model)
    rows = sum(parts)
    trials, shown = torch.randn(rows, *shape, dtype=torch.float64), torch.randn(5, 3, 16, 16, dtype=torch.float64)
    picture = torch.tensor([0, 1, 0, 2, 1, 3, 0])[:rows]  # shared across processes and inside one
    batch = {
        ENCODERS[encoder][1].main_input_name: trials.split(parts)[rank],
        "pixel_values": shown,
        "picture_index": picture.split(parts)[rank],
        "image_id": picture.split(parts)[rank],
    }
    if prompt.startswith("own pictures"):  # of which a process without rows has none
        own, batch["picture_index"] = batch["picture_index"].unique(return_inverse=True)
        batch["pixel_values"] = shown[own]
    model.picture_chunk_size = 2 if prompt == "in chunks" else None
    return _trained(model, batch, len(parts))


def _trained(model, batch, world):
    wrapped = torch.nn.parallel.DistributedDataParallel(model) if world > 1 else model
    with mock.patch("torch.randn_like", torch.zeros_like):  # each process draws its own noise of a variational encoder
        loss = wrapped(**batch).loss
    loss.backward()
    gradients = {name: value.grad for name, value in model.named_parameters() if value.requires_grad}
    state = {name: value for name, value in model.state_dict().items() if "running_" in name}
    return {"loss": loss.detach(), "gradients": gradients, "state": state}


def _leave_the_start(model):
    """Move the prompts' gates, before which nothing behind them has a gradient."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "neuro_prompt_" in name:
                parameter.add_(torch.randn_like(parameter), alpha=0.3)


# What each kind of model is given of a picture beside its pixels, and settings that switch all parts of its loss on.
FULL = {"softening": 0.3}
BRAINCLIP = {
    "image_projection": "none",
    "projection_dim": None,
    "brain_projection": "linear",
    "mse_weight": 0.7,
    "soft_targets": 0.4,
    "concept_share": 0.3,
    "text_config": {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1},
}
BRAINCLIP["text_config"].update(vocab_size=9, projection_dim=10, bos_token_id=0, eos_token_id=1, pad_token_id=1)
SETTINGS_OF_KIND = {
    "neuroclip": {"": FULL},
    "brainclip": {
        "": {**BRAINCLIP, "mixco": 0.0},
        "mixed": {**BRAINCLIP, "mixco": 0.4},
        "pictures alone": {**BRAINCLIP, "mixco": 0.0, "text_weight": 0.0},
        "texts alone": {**BRAINCLIP, "mixco": 0.0, "image_weight": 0.0, "prompt_config": None},
    },
}


def steps_of_kinds(rank, world):
    """A training step of every kind of model on every way to part the rows."""
    return {
        f"{kind}/{what}/{rows}": _step_of_kind(kind, settings, parts, world, rank)
        for kind, each in SETTINGS_OF_KIND.items()
        for what, settings in each.items()
        for rows, parts in PARTS.items()
    }


def _step_of_kind(kind, settings, parts, world, rank):
    torch.manual_seed(2)
    encoder = {
        "model_type": "vae_map",
        "num_voxels": 9,
        "hidden_size": 12,
        "width": 8,
        "latent_size": 5,
        "dropout": 0.0,
    }
    shared = {"encoder_config": {**encoder, "kl_weight": 0.2}, "vision_config": VISION, "projection_dim": 8}
    prompts = {"prompt_config": {"num_prompt_tokens": 2}}
    model = KINDS[kind].model_class(KINDS[kind].config_class(**{**shared, **prompts, **settings})).double().train()
    _leave_the_start(model)
    rows = sum(parts[world])
    shown, picture = torch.randn(5, 3, 16, 16).double(), torch.tensor([0, 1, 0, 2, 1, 3, 0])[:rows]
    values, share = torch.randn(rows, 9).double(), torch.rand(rows)
    # Each process mixes its own rows; so does the one that stands for all of them here.
    partner = torch.cat([torch.arange(part).flip(0) for part in parts[4]])
    start = torch.cat([torch.full((part,), sum(parts[4][:place])) for place, part in enumerate(parts[4])])
    partner = (partner + start).split(parts[world])[rank] - sum(parts[world][:rank])
    mixing = Mixing(partner, share.split(parts[world])[rank])
    modeling_brainclip.draw_mixing = lambda *_: mixing
    batch = {
        "fmri_values": values.split(parts[world])[rank],
        "pixel_values": shown,
        "picture_index": picture.split(parts[world])[rank],
        "image_id": picture.split(parts[world])[rank],
    }
    if kind == "brainclip":
        ids = torch.tensor([[0, 5, 6, 1], [0, 4, 1, 1], [0, 5, 6, 1], [0, 3, 6, 1], [0, 2, 1, 1]])
        batch |= {"input_ids": ids, "concept_index": torch.tensor([0, 1, 0, 2, 3])}
    return _trained(model, batch, world)


def test_every_kind_of_model_takes_a_step():
    assert set(SETTINGS_OF_KIND) == set(KINDS)


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this torch has no gloo")
@pytest.mark.parametrize("taken", [steps, steps_of_kinds])
def test_loss_gradients_and_statistics_equal_those_of_one_process(on_ranks, taken):
    found = on_ranks(taken, (1, 4))
    for name, alone in found[1][0].items():
        assert bool(alone["state"]) or "ts_conv" not in name
        for rank in found[4]:
            torch.testing.assert_close(rank[name]["loss"], alone["loss"], rtol=1e-12, atol=0)
            for kind, tolerance in (("gradients", 1e-10), ("state", 1e-12)):
                assert rank[name][kind].keys() == alone[kind].keys()
                for key, value in alone[kind].items():
                    assert value is not None, key
                    wrong = (rank[name][kind][key] - value).norm() / value.norm()
                    assert wrong < tolerance, (name, key, float(wrong))
