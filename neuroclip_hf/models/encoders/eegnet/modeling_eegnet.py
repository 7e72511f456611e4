"""EEGNet: filters over time, spatial filters for each of them, and separable convolutions."""

import torch
from torch import nn

from neuroclip_hf.models.encoders.base import EEGEncoder
from neuroclip_hf.models.encoders.eegnet.configuration_eegnet import EEGNetConfig
from neuroclip_hf.models.encoders.layers import ResidualProjector

# Keras' own, which the source uses; Keras says 0.99 for the share of the running statistics that is kept.
MOMENTUM, EPSILON = 0.01, 1e-3


class SpatialFilters(nn.Conv2d):
    """Filters over all channels, each for one filter over time, whose weights together measure `max_norm` at most."""

    def __init__(self, config: EEGNetConfig) -> None:
        size = (config.num_channels, 1)
        super().__init__(config.num_filters, config.num_maps, size, groups=config.num_filters, bias=False)
        self.max_norm = config.max_norm

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(batch, num_filters, channels, samples) to (batch, num_maps, 1, samples)."""
        norm = torch.linalg.vector_norm(self.weight, dim=(1, 2, 3), keepdim=True)
        return self._conv_forward(maps, self.weight * (self.max_norm / norm.clamp_min(self.max_norm)), None)


class EEGNetEncoder(EEGEncoder):
    """EEGNet: a small filter bank over time, spatial filters for each band, and separable convolutions.

    Filters over time that keep the length; batch norm; for each of them spatial filters over all channels; batch norm,
    ELU, averages, dropout; a filter over time for each map and a mixture of maps; batch norm, ELU, averages, dropout;
    and a projector.

    Source: EEGNet (Lawhern et al., Journal of Neural Engineering 2018), in the form of its authors' public code,
    vlawhern/arl-eegmodels.

    Shapes: (batch, num_channels, num_timesteps) to (batch, hidden_size).

    Units: standard deviations of the training trials in; layer-normalised features out. The first kernel and the first
    average are durations (half a second, 1/32 second), if `sampling_rate` is known.

    Differences from the source: sizes come from the config. It classifies with one dense layer of bounded weights; we
    end in the projector of NICE, so that encoders differ in what they read, not in how they end. The bound on spatial
    filters is part of the computation, instead of a correction after each step. The first batch norm has no weights
    of its own, which the second would take out again. Of the lengths that the source wants
    to follow the rate, the first kernel and the first average do, after which the rate is the source's. Start weights
    are torch's instead of Glorot's.
    """

    config: EEGNetConfig

    def build(self, config: EEGNetConfig) -> None:
        """See [`BrainEncoder`]."""
        maps = config.num_maps
        self.features = nn.Sequential(
            _keep_length(config.temporal_kernel_size),
            nn.Conv2d(1, config.num_filters, (1, config.temporal_kernel_size), bias=False),
            nn.BatchNorm2d(config.num_filters, EPSILON, MOMENTUM, affine=False),
            SpatialFilters(config),
            nn.BatchNorm2d(maps, EPSILON, MOMENTUM),
            nn.ELU(),
            nn.AvgPool2d((1, config.first_pool_size)),
            nn.Dropout(config.dropout),
            _keep_length(config.separable_kernel_size),
            nn.Conv2d(maps, maps, (1, config.separable_kernel_size), groups=maps, bias=False),
            nn.Conv2d(maps, maps, 1, bias=False),
            nn.BatchNorm2d(maps, EPSILON, MOMENTUM),
            nn.ELU(),
            nn.AvgPool2d((1, config.second_pool_size)),
            nn.Dropout(config.dropout),
        )
        self.projector = ResidualProjector(config.flat_size, config.hidden_size, config.projector_dropout)

    def encode(self, values: torch.Tensor, subject_index: torch.Tensor | None) -> torch.Tensor:
        """See [`BrainEncoder`]; subjects are treated alike."""
        maps = self.features(values[:, None])  # (B, 1, C, T) -> (B, maps, 1, positions)
        return self.projector(maps.flatten(1))


def _keep_length(kernel_size: int) -> nn.ZeroPad2d:
    # Keras' "same": of an odd number of zeros, one more at the end.
    return nn.ZeroPad2d(((kernel_size - 1) // 2, kernel_size // 2, 0, 0))
