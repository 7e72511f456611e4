"""Layers that several encoders share."""

import torch
from torch import nn
from torch.nn import functional


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


def hidden_layer(in_features: int, out_features: int, dropout: float) -> nn.Sequential:
    """Linear map, layer norm, GELU, dropout: (batch, in_features) to (batch, out_features)."""
    return nn.Sequential(
        nn.Linear(in_features, out_features), nn.LayerNorm(out_features), nn.GELU(), nn.Dropout(dropout)
    )


class ResidualBlock(nn.Module):
    """Adds a hidden layer to what it is given.

    Args:
        width (`int`): in and out.
        dropout (`float`): share dropped at the end of the branch.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.branch = hidden_layer(width, width, dropout)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(batch, width) to the same."""
        return features + self.branch(features)


class SelfAttention(nn.Module):
    """Multi-head attention of tokens to each other.

    Keys have no bias: it would shift all scores of a query alike, which softmax takes out again.

    Args:
        width (`int`): width of a token; each head has `width // num_heads`, as in both sources that use this.
        num_heads (`int`): at most `width`.
        dropout (`float`): share of the attention weights that is dropped.
        scale (`float`): factor of the scores.
    """

    def __init__(self, width: int, num_heads: int, dropout: float, scale: float) -> None:
        super().__init__()
        self.num_heads, self.dropout, self.scale = num_heads, dropout, scale
        inner = num_heads * (width // num_heads)
        self.queries = nn.Linear(width, inner)
        self.keys = nn.Linear(width, inner, bias=False)
        self.values = nn.Linear(width, inner)
        self.projection = nn.Linear(inner, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, tokens, width) to the same."""
        queries, keys, values = (
            each(tokens).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for each in (self.queries, self.keys, self.values)
        )
        dropout = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(queries, keys, values, dropout_p=dropout, scale=self.scale)
        return self.projection(mixed.transpose(1, 2).flatten(2))


def feed_forward(width: int, hidden: int, dropout: float) -> nn.Sequential:
    """Two linear layers with a GELU between them, dropout after each; tokens of `width` to the same."""
    return nn.Sequential(
        nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width), nn.Dropout(dropout)
    )
