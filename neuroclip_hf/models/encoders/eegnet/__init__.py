"""The EEGNet encoder."""

from neuroclip_hf.models.encoders.eegnet.configuration_eegnet import EEGNetConfig
from neuroclip_hf.models.encoders.eegnet.modeling_eegnet import EEGNetEncoder

__all__ = ["EEGNetConfig", "EEGNetEncoder"]
