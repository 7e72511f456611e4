"""Models; importing them registers their names with transformers' Auto classes."""

from neuroclip_hf.models.brainclip import BrainCLIPConfig, BrainCLIPModel, BrainCLIPOutput
from neuroclip_hf.models.neuroclip import NeuroCLIPConfig, NeuroCLIPModel, NeuroCLIPOutput
from neuroclip_hf.models.registry import ENCODERS, build_encoder, encoder_config

__all__ = [
    "ENCODERS",
    "BrainCLIPConfig",
    "BrainCLIPModel",
    "BrainCLIPOutput",
    "NeuroCLIPConfig",
    "NeuroCLIPModel",
    "NeuroCLIPOutput",
    "build_encoder",
    "encoder_config",
]
