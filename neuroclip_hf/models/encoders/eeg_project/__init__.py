"""The EEGProject encoder."""

from neuroclip_hf.models.encoders.eeg_project.configuration_eeg_project import EEGProjectConfig
from neuroclip_hf.models.encoders.eeg_project.modeling_eeg_project import EEGProjectEncoder

__all__ = ["EEGProjectConfig", "EEGProjectEncoder"]
