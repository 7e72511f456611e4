"""EEG Conformer: tokens from convolutions, then attention among them."""

import torch
from torch import nn

from neuroclip_hf.models.encoders.base import EEGEncoder
from neuroclip_hf.models.encoders.convolution import shallow_convolutions
from neuroclip_hf.models.encoders.eeg_conformer.configuration_eeg_conformer import EEGConformerConfig
from neuroclip_hf.models.encoders.layers import ResidualProjector, SelfAttention, feed_forward


class ConformerLayer(nn.Module):
    """Attention among tokens, then a small network for each, each of a layer-normalised input and then added."""

    def __init__(self, config: EEGConformerConfig) -> None:
        super().__init__()
        width, dropout = config.num_filters, config.token_dropout
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, config.num_heads, dropout, scale=width**-0.5)
        self.attention_dropout = nn.Dropout(dropout)
        self.network_norm = nn.LayerNorm(width)
        self.network = feed_forward(width, config.expansion * width, dropout)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, tokens, width) to the same."""
        tokens = tokens + self.attention_dropout(self.attention(self.attention_norm(tokens)))
        return tokens + self.network(self.network_norm(tokens))


class EEGConformerEncoder(EEGEncoder):
    """EEG Conformer: filters over time and channels, averages as tokens, attention among them, and a projector.

    A token is a piece of time; there is no code of its place, because the convolutions overlap and the projector reads
    all tokens in order.

    Source: EEG Conformer (Song et al., IEEE Transactions on Neural Systems and Rehabilitation Engineering 2023), its
    public code, eeyhsong/EEG-Conformer.

    Shapes: (batch, num_channels, num_timesteps) to (batch, hidden_size).

    Units: standard deviations of the training trials in; layer-normalised features out. Kernels are in samples and do
    not follow the sampling rate; the defaults are for 250 Hz.

    Differences from the source: sizes come from the config. It classifies through layers of 256 and 32, too narrow for
    retrieval; we end in the projector of NICE, so that encoders differ in what they read, not in how they end. Keys,
    and convolutions in front of batch norm, have no bias, which would be dead. Scores are divided by the root of the
    token's width, as in the source; braindecode's version divides by that of a head's. Start weights are torch's.
    """

    config: EEGConformerConfig

    def build(self, config: EEGConformerConfig) -> None:
        """See [`BrainEncoder`]."""
        self.tokens = nn.Sequential(
            *shallow_convolutions(config),
            nn.ELU(),
            nn.AvgPool2d((1, config.pool_size), (1, config.pool_stride)),
            nn.Dropout(config.dropout),
            nn.Conv2d(config.num_filters, config.num_filters, 1),
        )
        self.layers = nn.Sequential(*(ConformerLayer(config) for _ in range(config.num_layers)))
        self.projector = ResidualProjector(config.flat_size, config.hidden_size, config.projector_dropout)

    def encode(self, values: torch.Tensor, subject_index: torch.Tensor | None) -> torch.Tensor:
        """See [`BrainEncoder`]; subjects are treated alike."""
        tokens = self.tokens(values[:, None]).squeeze(2).transpose(1, 2)  # (B, 1, C, T) -> (B, positions, filters)
        return self.projector(self.layers(tokens).flatten(1))
