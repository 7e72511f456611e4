"""The linear mapping network."""

from neuroclip_hf.models.encoders.linear_map.configuration_linear_map import LinearMapConfig
from neuroclip_hf.models.encoders.linear_map.modeling_linear_map import LinearMapEncoder

__all__ = ["LinearMapConfig", "LinearMapEncoder"]
