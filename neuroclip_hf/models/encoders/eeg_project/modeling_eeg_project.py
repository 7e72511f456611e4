"""EEGProject: a linear map of the whole trial, with one residual block."""

import torch

from neuroclip_hf.models.encoders.base import EEGEncoder
from neuroclip_hf.models.encoders.eeg_project.configuration_eeg_project import EEGProjectConfig
from neuroclip_hf.models.encoders.layers import ResidualProjector


class EEGProjectEncoder(EEGEncoder):
    """EEGProject, the encoder of UBP (Wu et al., CVPR 2025).

    The trial is flattened, mapped linearly to `hidden_size`, passed through a residual block (GELU, linear, dropout)
    and layer-normalised. It is the strongest known encoder within a subject, and reads any number of channels and
    samples.

    Shapes: (batch, num_channels, num_timesteps) to (batch, hidden_size).

    Differences from the source: none known; sizes come from the config.
    """

    config: EEGProjectConfig

    def build(self, config: EEGProjectConfig) -> None:
        """See [`BrainEncoder`]."""
        self.projector = ResidualProjector(
            config.num_channels * config.num_timesteps, config.hidden_size, config.dropout
        )

    def encode(self, eeg_values: torch.Tensor, subject_index: torch.Tensor | None) -> torch.Tensor:
        """See [`EEGEncoder`]; subjects are treated alike."""
        return self.projector(eeg_values.flatten(1))
