"""Tiny pipelines, saved once as diffusers saves them."""

import importlib.util
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def tiny():
    """The helper `tiny.py`: pipelines with random weights."""
    path = Path(__file__).with_name("tiny.py")
    spec = importlib.util.spec_from_file_location("tiny", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def pipelines(tiny, tmp_path_factory):
    """A folder with `unclip`, `kandinsky`, `stable-diffusion`, `encoder` and `adapter.safetensors`."""
    folder = tmp_path_factory.mktemp("pipelines")
    tiny.save(tiny.unclip(), folder / "unclip")
    tiny.save(tiny.kandinsky(), folder / "kandinsky")
    tiny.save(tiny.stable_diffusion(), folder / "stable-diffusion")
    tiny.save_encoder(folder / "encoder")
    tiny.ip_adapter_weights(folder / "adapter.safetensors")
    return folder


@pytest.fixture(scope="session")
def named(pipelines):
    """Settings for each method: `named("kandinsky", steps=3)`."""
    from neuroclip_hf.generation.settings import IP_ADAPTER, KANDINSKY, UNCLIP, GenerationSettings

    words = {
        UNCLIP: {"pipeline": "unclip"},
        KANDINSKY: {"pipeline": "kandinsky", "image_encoder": "encoder"},
        IP_ADAPTER: {"pipeline": "stable-diffusion", "image_encoder": "encoder", "ip_adapter": "adapter.safetensors"},
    }

    def make(method, **changes):
        paths = {name: str(pipelines / file) for name, file in words[method].items()}
        return GenerationSettings(**{**paths, "steps": 2, **changes})

    return make


@pytest.fixture(scope="session")
def painters(named):
    """Each method's painter, loaded once on the CPU."""
    from neuroclip_hf.generation.loading import load_painter
    from neuroclip_hf.generation.settings import METHODS

    return {method: load_painter(named(method), torch.device("cpu"))[0] for method in METHODS}
