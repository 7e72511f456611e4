"""Linear ridge regression, solved for."""

from neuroclip_hf.models.encoders.ridge.configuration_ridge import RidgeConfig
from neuroclip_hf.models.encoders.ridge.modeling_ridge import RidgeEncoder

__all__ = ["RidgeConfig", "RidgeEncoder"]
