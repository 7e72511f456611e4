"""ShallowFBCSP: logarithms of power in learned bands and places."""

import torch
from torch import nn

from neuroclip_hf.models.encoders.base import EEGEncoder
from neuroclip_hf.models.encoders.convolution import shallow_convolutions
from neuroclip_hf.models.encoders.layers import ResidualProjector
from neuroclip_hf.models.encoders.shallow_fbcsp.configuration_shallow_fbcsp import ShallowFBCSPConfig

# As in braindecode: the logarithm of nothing is none.
LEAST_POWER = 1e-6


class ShallowFBCSPEncoder(EEGEncoder):
    """ShallowFBCSP: filters over time and over channels, the power of each over time, its logarithm, and a projector.

    It sees how much of a rhythm there is, not its phase: what filter bank common spatial patterns (FBCSP) see.

    Source: the shallow ConvNet of Schirrmeister et al. (Human Brain Mapping 2017, section "Shallow ConvNet"), in the
    form of braindecode's ShallowFBCSPNet.

    Shapes: (batch, num_channels, num_timesteps) to (batch, hidden_size).

    Units: standard deviations of the training trials in; layer-normalised features out. Kernels are in samples and do
    not follow the sampling rate, about which the source says nothing; the defaults are for 250 Hz.

    Differences from the source: sizes come from the config. It classifies with one convolution over all places; we end
    in the projector of NICE, so that encoders differ in what they read, not in how they end. The convolution over time
    has no bias, which batch norm would take out again. Start weights are torch's instead of Glorot's.
    """

    config: ShallowFBCSPConfig

    def build(self, config: ShallowFBCSPConfig) -> None:
        """See [`BrainEncoder`]."""
        self.filters = shallow_convolutions(config)
        self.average = nn.AvgPool2d((1, config.pool_size), (1, config.pool_stride))
        self.dropout = nn.Dropout(config.dropout)
        self.projector = ResidualProjector(config.flat_size, config.hidden_size, config.projector_dropout)

    def encode(self, values: torch.Tensor, subject_index: torch.Tensor | None) -> torch.Tensor:
        """See [`BrainEncoder`]; subjects are treated alike."""
        power = self.average(self.filters(values[:, None]).square())  # (B, 1, C, T) -> (B, filters, 1, positions)
        return self.projector(self.dropout(power.clamp_min(LEAST_POWER).log()).flatten(1))
