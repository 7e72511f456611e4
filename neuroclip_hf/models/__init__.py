"""Models; importing them registers their names with transformers' Auto classes."""

from neuroclip_hf.models.neuroclip import NeuroCLIPConfig, NeuroCLIPModel, NeuroCLIPOutput
from neuroclip_hf.models.registry import ENCODERS, build_encoder, encoder_config

__all__ = ["ENCODERS", "NeuroCLIPConfig", "NeuroCLIPModel", "NeuroCLIPOutput", "build_encoder", "encoder_config"]
