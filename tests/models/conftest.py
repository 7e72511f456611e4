"""Models small enough for seconds: configs, batches and a CLIP checkpoint on disk."""

import hashlib
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import CLIPConfig, CLIPModel

from neuroclip_hf.models import NeuroCLIPConfig, NeuroCLIPModel, registry
from neuroclip_hf.models.encoders.base import BrainEncoder, BrainEncoderConfig, BrainEncoderOutput

VISION = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}
# The same size in every kind of tower.
TOWERS = {
    "clip_vision_model": {"intermediate_size": 32},
    "siglip_vision_model": {"intermediate_size": 32},
    "dinov2": {"mlp_ratio": 2},
    "dinov2_with_registers": {"mlp_ratio": 2, "num_register_tokens": 2},
}
ENCODER = {"model_type": "eeg_project", "num_channels": 5, "num_timesteps": 20, "hidden_size": 12}


class PatternConfig(BrainEncoderConfig):
    """Of a linear encoder of patterns, with a penalty."""

    model_type = "pattern_linear"
    num_voxels: int = 6
    size_weight: float = 0.5

    @classmethod
    def sizes(cls, trial_shape, sampling_rate, channel_names, num_subjects):
        return {"num_voxels": trial_shape[0]}

    @property
    def trial_shape(self):
        return (self.num_voxels,)

    @property
    def batch_layout(self):
        return f"(batch, {self.num_voxels} voxels)"

    @property
    def penalty_weights(self):
        return {"size": self.size_weight}


class PatternEncoder(BrainEncoder):
    config_class = PatternConfig
    main_input_name = "fmri_values"

    def build(self, config):
        self.linear = nn.Linear(config.num_voxels, config.hidden_size)

    def forward(self, fmri_values, subject_index=None):
        return self.encode_checked(fmri_values, subject_index)

    def encode(self, values, subject_index):
        features = self.linear(values)
        return BrainEncoderOutput(features, {"size": features.square().mean(dim=1)})


@pytest.fixture
def patterns(monkeypatch):
    """Settings of an encoder that reads patterns and has a penalty; it is in the registry meanwhile."""
    more = {PatternConfig.model_type: (PatternConfig, PatternEncoder)}
    monkeypatch.setattr(registry, "ENCODERS", {**registry.ENCODERS, **more})
    return {"model_type": PatternConfig.model_type, "hidden_size": 12}


@pytest.fixture
def make_config():
    """Settings of the smallest NeuroCLIP, with some of them changed."""

    def make(**settings):
        defaults = {"encoder_config": dict(ENCODER), "vision_config": dict(VISION), "projection_dim": 8}
        return NeuroCLIPConfig(**defaults | settings)

    return make


@pytest.fixture
def make_model(make_config):
    """The smallest NeuroCLIP in eval mode; the same seed each time."""

    def make(**settings):
        torch.manual_seed(1)
        return NeuroCLIPModel(make_config(**settings)).eval()

    return make


@pytest.fixture
def tower_kinds():
    """The kinds of tower that `any_tower` goes through."""
    return list(TOWERS)


@pytest.fixture(params=list(TOWERS))
def any_tower(request):
    """Settings of a small tower of each kind."""
    size = {name: value for name, value in VISION.items() if name != "intermediate_size"}
    return {"model_type": request.param, **size, **TOWERS[request.param]}


@pytest.fixture
def batch():
    """Four recordings of three pictures."""
    return {
        "eeg_values": torch.randn(4, 5, 20),
        "pixel_values": torch.randn(3, 3, 16, 16),
        "picture_index": torch.tensor([2, 0, 2, 1]),
        "image_id": torch.tensor([7, 3, 7, 5]),
    }


@pytest.fixture
def clip_checkpoint(tmp_path):
    """A whole CLIP, text tower included, as it lies on the Hub; its model and its folder."""
    text = {
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "vocab_size": 9,
    }
    torch.manual_seed(5)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=dict(VISION))).eval()
    model.save_pretrained(tmp_path / "clip")
    return model, tmp_path / "clip"


class LocalHub:
    """Repositories as they lie in the cache of a machine without network, which is where transformers then looks."""

    def __init__(self, folder: Path):
        self.cache = folder

    def commit(self, name: str, files: Path) -> str:
        """Make the files a new commit of a repository, to which its branch moves."""
        content = b"".join(path.name.encode() + path.read_bytes() for path in sorted(files.iterdir()))
        commit = hashlib.sha1(content).hexdigest()
        shutil.copytree(files, self.snapshot(name, commit))
        (self._repository(name) / "refs").mkdir(exist_ok=True)
        (self._repository(name) / "refs" / "main").write_text(commit)
        return commit

    def snapshot(self, name: str, commit: str) -> Path:
        """The folder of one commit."""
        return self._repository(name) / "snapshots" / commit

    def _repository(self, name: str) -> Path:
        return self.cache / f"models--{name.replace('/', '--')}"


@pytest.fixture
def hub(tmp_path):
    """An empty Hub."""
    return LocalHub(tmp_path / "hub")
