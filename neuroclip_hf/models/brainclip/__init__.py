"""The BrainCLIP model."""

from neuroclip_hf.models.brainclip.configuration_brainclip import BrainCLIPConfig
from neuroclip_hf.models.brainclip.modeling_brainclip import BrainCLIPModel, BrainCLIPOutput
from neuroclip_hf.models.registry import register_auto_classes

__all__ = ["BrainCLIPConfig", "BrainCLIPModel", "BrainCLIPOutput"]

register_auto_classes(BrainCLIPConfig, BrainCLIPModel)
