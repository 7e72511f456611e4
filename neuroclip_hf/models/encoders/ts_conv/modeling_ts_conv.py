"""TSConv: temporal, then spatial convolution."""

import torch
from torch import nn

from neuroclip_hf.models.encoders.base import EEGEncoder
from neuroclip_hf.models.encoders.layers import ResidualProjector
from neuroclip_hf.models.encoders.ts_conv.configuration_ts_conv import TSConvConfig


class TSConvEncoder(EEGEncoder):
    """TSConv, the encoder of NICE (Song et al., ICLR 2024), revised there from ShallowConvNet.

    A convolution over time, averages over time, a convolution over all channels, each of the two followed by batch
    norm and ELU; dropout, a 1 x 1 convolution, and a projector. (63, 250) flattens to 1440 features as in the source.

    Shapes: (batch, num_channels, num_timesteps) to (batch, hidden_size).

    Differences from the source: sizes come from the config; the two convolutions in front of batch norm have no bias
    (the norm would take it out again); the feature maps are flattened filter by filter instead of place by place,
    which only orders the weights of the next layer; start weights are torch's, not N(0, 0.02).
    """

    config: TSConvConfig

    def build(self, config: TSConvConfig) -> None:
        """See [`BrainEncoder`]."""
        filters = config.num_filters
        self.features = nn.Sequential(
            nn.Conv2d(1, filters, (1, config.kernel_size), bias=False),
            nn.AvgPool2d((1, config.pool_size), (1, config.pool_stride)),
            nn.BatchNorm2d(filters),
            nn.ELU(),
            nn.Conv2d(filters, filters, (config.num_channels, 1), bias=False),
            nn.BatchNorm2d(filters),
            nn.ELU(),
            nn.Dropout(config.dropout),
            nn.Conv2d(filters, filters, 1),
        )
        self.projector = ResidualProjector(config.flat_size, config.hidden_size, config.projector_dropout)

    def encode(self, eeg_values: torch.Tensor, subject_index: torch.Tensor | None) -> torch.Tensor:
        """See [`EEGEncoder`]; subjects are treated alike."""
        maps = self.features(eeg_values[:, None])  # (B, 1, C, T) -> (B, filters, 1, positions)
        return self.projector(maps.flatten(1))
