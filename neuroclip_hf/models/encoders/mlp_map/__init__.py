"""The mapping network with hidden layers."""

from neuroclip_hf.models.encoders.mlp_map.configuration_mlp_map import MLPMapConfig
from neuroclip_hf.models.encoders.mlp_map.modeling_mlp_map import MLPMapEncoder

__all__ = ["MLPMapConfig", "MLPMapEncoder"]
