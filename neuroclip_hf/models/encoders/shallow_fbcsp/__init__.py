"""The ShallowFBCSP encoder."""

from neuroclip_hf.models.encoders.shallow_fbcsp.configuration_shallow_fbcsp import ShallowFBCSPConfig
from neuroclip_hf.models.encoders.shallow_fbcsp.modeling_shallow_fbcsp import ShallowFBCSPEncoder

__all__ = ["ShallowFBCSPConfig", "ShallowFBCSPEncoder"]
