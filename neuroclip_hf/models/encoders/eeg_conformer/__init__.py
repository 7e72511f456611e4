"""The EEG Conformer encoder."""

from neuroclip_hf.models.encoders.eeg_conformer.configuration_eeg_conformer import EEGConformerConfig
from neuroclip_hf.models.encoders.eeg_conformer.modeling_eeg_conformer import EEGConformerEncoder

__all__ = ["EEGConformerConfig", "EEGConformerEncoder"]
