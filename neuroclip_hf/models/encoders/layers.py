"""Layers that several encoders share."""

import torch
from torch import nn


class ResidualProjector(nn.Module):
    """Flat features to the width of the model: linear, one residual GELU block, layer norm.

    The projector of NICE (Song et al., ICLR 2024) and, with another dropout, of UBP (Wu et al., CVPR 2025).

    Args:
        in_features (`int`): width in.
        hidden_size (`int`): width out.
        dropout (`float`): share dropped at the end of the residual branch.
    """

    def __init__(self, in_features: int, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, hidden_size)
        self.block = nn.Sequential(nn.GELU(), nn.Linear(hidden_size, hidden_size), nn.Dropout(dropout))
        self.norm = nn.LayerNorm(hidden_size)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(batch, in_features) to (batch, hidden_size)."""
        hidden = self.linear(features)
        return self.norm(hidden + self.block(hidden))
