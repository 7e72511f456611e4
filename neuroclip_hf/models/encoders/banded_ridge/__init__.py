"""Banded ridge regression, solved for: each region of interest has its own penalty."""

from neuroclip_hf.models.encoders.banded_ridge.configuration_banded_ridge import BandedRidgeConfig
from neuroclip_hf.models.encoders.banded_ridge.modeling_banded_ridge import BandedRidgeEncoder

__all__ = ["BandedRidgeConfig", "BandedRidgeEncoder"]
