"""Models small enough for seconds: configs, batches and a CLIP checkpoint on disk."""

import hashlib
import shutil
from pathlib import Path

import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from neuroclip_hf.models import NeuroCLIPConfig, NeuroCLIPModel

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
