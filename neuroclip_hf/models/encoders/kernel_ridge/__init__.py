"""Kernel ridge regression, solved for."""

from neuroclip_hf.models.encoders.kernel_ridge.configuration_kernel_ridge import KernelRidgeConfig
from neuroclip_hf.models.encoders.kernel_ridge.modeling_kernel_ridge import KernelRidgeEncoder

__all__ = ["KernelRidgeConfig", "KernelRidgeEncoder"]
