"""The NeuroCLIP model."""

from neuroclip_hf.models.neuroclip.configuration_neuroclip import NeuroCLIPConfig
from neuroclip_hf.models.neuroclip.modeling_neuroclip import NeuroCLIPModel, NeuroCLIPOutput
from neuroclip_hf.models.registry import register_auto_classes

__all__ = ["NeuroCLIPConfig", "NeuroCLIPModel", "NeuroCLIPOutput"]

register_auto_classes(NeuroCLIPConfig, NeuroCLIPModel)
