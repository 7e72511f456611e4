"""TSConv: temporal, then spatial convolution."""

import torch

from neuroclip_hf.models.encoders.base import EEGEncoder
from neuroclip_hf.models.encoders.convolution import nice_convolutions
from neuroclip_hf.models.encoders.layers import ResidualProjector
from neuroclip_hf.models.encoders.ts_conv.configuration_ts_conv import TSConvConfig


class TSConvEncoder(EEGEncoder):
    """TSConv: a convolution over time, averages over time, a convolution over all channels, and a projector.

    Each of the two convolutions is followed by batch norm and ELU, the second by dropout and a 1 x 1 convolution.
    (63, 250) flattens to 1440 features as in the source.

    Source: NICE (Song et al., ICLR 2024, "Decoding Natural Images from EEG for Object Recognition"), revised there
    from ShallowConvNet; its public code, eeyhsong/NICE-EEG.

    Shapes: (batch, num_channels, num_timesteps) to (batch, hidden_size).

    Units: standard deviations of the training trials in; layer-normalised features out. Kernels are in samples and do
    not follow the sampling rate; the defaults are for 250 Hz.

    Differences from the source: sizes come from the config; the two convolutions in front of batch norm have no bias
    (the norm would take it out again); the feature maps are flattened filter by filter instead of place by place,
    which only orders the weights of the next layer; start weights are torch's, not N(0, 0.02).
    """

    config: TSConvConfig

    def build(self, config: TSConvConfig) -> None:
        """See [`BrainEncoder`]."""
        self.features = nice_convolutions(config)
        self.projector = ResidualProjector(config.flat_size, config.hidden_size, config.projector_dropout)

    def encode(self, values: torch.Tensor, subject_index: torch.Tensor | None) -> torch.Tensor:
        """See [`BrainEncoder`]; subjects are treated alike."""
        maps = self.features(values[:, None])  # (B, 1, C, T) -> (B, filters, 1, positions)
        return self.projector(maps.flatten(1))
