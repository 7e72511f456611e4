"""The variational mapping network."""

from neuroclip_hf.models.encoders.vae_map.configuration_vae_map import VAEMapConfig
from neuroclip_hf.models.encoders.vae_map.modeling_vae_map import VAEMapEncoder

__all__ = ["VAEMapConfig", "VAEMapEncoder"]
