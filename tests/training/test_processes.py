"""Training on several processes is training on one: batches in parts, BatchNorm, uneven and tiny last batches."""

from dataclasses import replace

import numpy as np
import torch

from neuroclip_hf.data.sampling import Shuffled
from neuroclip_hf.models import NeuroCLIPConfig, NeuroCLIPModel
from neuroclip_hf.training.settings import TrainingSettings
from neuroclip_hf.training.trainer import train

SETTINGS = TrainingSettings(epochs=2, batch_size=6, learning_rate=1e-3)
HALF = replace(SETTINGS, mixed_precision="bf16")
BETWEEN = replace(SETTINGS, mmd_weight=[0.9, 0.5], betas=[0.5, 0.999], schedule="constant")
VISION = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
ENCODER = {"model_type": "ts_conv", "num_channels": 4, "num_timesteps": 40, "hidden_size": 12, "num_filters": 4}
ENCODER |= {"kernel_size": 5, "pool_size": 8, "pool_stride": 4, "dropout": 0.0, "projector_dropout": 0.0}


class Recordings(torch.utils.data.Dataset):
    """Recordings of five pictures, in batches of 6, 6 and 2."""

    def __init__(self, dtype):
        generator = torch.Generator().manual_seed(0)
        self.read = []
        self.trials = torch.randn(14, 4, 40, generator=generator, dtype=torch.float64).to(dtype)
        self.pictures = torch.randn(5, 3, 16, 16, generator=generator, dtype=torch.float64).to(dtype)

    def __len__(self):
        return len(self.trials)

    def __getitem__(self, item):
        return item

    def collate(self, items):
        self.read.append(items)
        shown, places = np.unique([item % 5 for item in items], return_inverse=True)
        return {
            "eeg_values": self.trials[items],
            "pixel_values": self.pictures[torch.from_numpy(shown)],
            "picture_index": torch.from_numpy(places),
            "image_id": torch.tensor([item % 5 for item in items]),
            "subject_index": torch.tensor([item % 2 for item in items], dtype=torch.int64),
        }


def validate(model):
    return {"loss": float(model.brain_projection.weight.detach().square().sum())}


def trained(rank, world):
    """In float64, so with pictures in chunks, in bfloat16, and with a distance between the subjects in the loss."""
    return {
        "exact": _train(SETTINGS, torch.float64),
        "chunks": _train(SETTINGS, torch.float64, chunk=2),
        "half": _train(HALF, torch.float32),
        "between": _train(BETWEEN, torch.float64),
    }


def refused(rank, world):
    """What a training says of a parameter that the loss does not depend on."""
    model, items = _model(torch.float32), Recordings(torch.float32)
    model.encoder.spare = torch.nn.Parameter(torch.ones(3))
    try:
        train(model, items, items.collate, SETTINGS, Shuffled(14, 6, 0), validate)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "trained"


def validated(rank, world):
    """How often this process validated, and what its history says."""
    model, items, asked = _model(torch.float32), Recordings(torch.float32), []

    def count(model):
        asked.append(rank)
        return {"loss": 1.0 + rank, "top1": 0.5}

    result = train(model, items, items.collate, SETTINGS, Shuffled(14, 6, 0), count)
    return {"asked": len(asked), "losses": [entry["validation_loss"] for entry in result.history]}


def _model(dtype):
    torch.manual_seed(1)
    config = NeuroCLIPConfig(
        encoder_config=ENCODER,
        vision_config=VISION | {"image_size": 16, "patch_size": 8},
        prompt_config={"num_prompt_tokens": 2},
        projection_dim=8,
    )
    return NeuroCLIPModel(config).to(dtype)


def _train(settings, dtype, chunk=None):
    """Weights, losses, and which rows were read in every step of both epochs."""
    model, items, batches = _model(dtype), Recordings(dtype), Shuffled(14, settings.batch_size, 0)
    model.picture_chunk_size = chunk
    result = train(model, items, items.collate, settings, batches, validate)
    return {
        "state": {name: value for name, value in model.state_dict().items() if "encoder.layers" not in name},
        "losses": torch.tensor([entry["loss"] for entry in result.history], dtype=torch.float64),
        "read": items.read,
    }


def test_weights_equal_those_of_one_process(on_ranks):
    found = on_ranks(trained, (1, 2, 4))  # of four processes, two have no row of the last batch
    ranks = {world: [rank["exact"] for rank in each] for world, each in found.items()}
    (alone,) = ranks[1]
    assert any("running_var" in name for name in alone["state"])
    chunked = [rank["chunks"] for each in found.values() for rank in each]
    for rank in (*ranks[2], *ranks[4], *chunked):
        torch.testing.assert_close(rank["losses"], alone["losses"], rtol=1e-10, atol=0)
        for name, value in alone["state"].items():
            torch.testing.assert_close(rank["state"][name], value, rtol=1e-7, atol=1e-9, msg=name)
    for step, batch in enumerate(alone["read"]):
        assert [item for rank in ranks[2] for item in rank["read"][step]] == batch
        if len(batch) >= 4:
            assert [item for rank in ranks[4] for item in rank["read"][step]] == batch
    (between,) = (rank["between"] for rank in found[1])
    assert not torch.equal(between["losses"], alone["losses"])
    for rank in (*found[2], *found[4]):
        torch.testing.assert_close(rank["between"]["losses"], between["losses"], rtol=1e-10, atol=0)
        for name, value in between["state"].items():
            torch.testing.assert_close(rank["between"]["state"][name], value, rtol=1e-7, atol=1e-9, msg=name)
    losses = [rank["half"]["losses"] for each in found.values() for rank in each]
    assert torch.stack(losses).std(dim=0).max() < 1e-2  # bfloat16 has eight bits
    assert not torch.equal(losses[0], alone["losses"])


def test_a_parameter_without_gradient_is_named_on_several_processes(on_ranks):
    found = on_ranks(refused, (1, 2))
    assert found[1] == ["trained"]
    for said in found[2]:
        assert said.startswith("InputError: encoder.spare is trainable, but got no gradient")


def test_one_process_validates_and_tells_the_others(on_ranks):
    found = on_ranks(validated, (1, 2))
    assert found[1] == [{"asked": 2, "losses": [1.0, 1.0]}]
    assert found[2] == [{"asked": 2, "losses": [1.0, 1.0]}, {"asked": 0, "losses": [1.0, 1.0]}]
