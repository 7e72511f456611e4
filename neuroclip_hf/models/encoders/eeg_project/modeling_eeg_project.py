"""EEGProject: a linear map of the whole trial, with one residual block."""

import torch

from neuroclip_hf.models.encoders.base import EEGEncoder
from neuroclip_hf.models.encoders.eeg_project.configuration_eeg_project import EEGProjectConfig
from neuroclip_hf.models.encoders.layers import ResidualProjector


class EEGProjectEncoder(EEGEncoder):
    """EEGProject: the flattened trial, mapped linearly to `hidden_size`, one residual block, and layer norm.

    It is the strongest known encoder within a subject, and reads any number of channels and samples.

    Source: UBP (Wu et al., CVPR 2025, "Bridging the Vision-Brain Gap with an Uncertainty-Aware Blur Prior").

    Shapes: (batch, num_channels, num_timesteps) to (batch, hidden_size).

    Units: standard deviations of the training trials in; layer-normalised features out.

    Size: (num_channels * num_timesteps + hidden_size + 4) * hidden_size weights. The linear map of the source makes it
    the largest encoder by far, and grow with the channels.

    Differences from the source: none known in the layers; sizes come from the config.
    """

    config: EEGProjectConfig

    def build(self, config: EEGProjectConfig) -> None:
        """See [`BrainEncoder`]."""
        self.projector = ResidualProjector(
            config.num_channels * config.num_timesteps, config.hidden_size, config.dropout
        )

    def encode(self, values: torch.Tensor, subject_index: torch.Tensor | None) -> torch.Tensor:
        """See [`BrainEncoder`]; subjects are treated alike."""
        return self.projector(values.flatten(1))
