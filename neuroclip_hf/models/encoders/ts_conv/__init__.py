"""The TSConv encoder."""

from neuroclip_hf.models.encoders.ts_conv.configuration_ts_conv import TSConvConfig
from neuroclip_hf.models.encoders.ts_conv.modeling_ts_conv import TSConvEncoder

__all__ = ["TSConvConfig", "TSConvEncoder"]
