"""A mapping network with residual hidden layers."""

import torch
from torch import nn

from neuroclip_hf.models.encoders.layers import ResidualBlock, hidden_layer
from neuroclip_hf.models.encoders.mlp_map.configuration_mlp_map import MLPMapConfig
from neuroclip_hf.models.encoders.pattern import PatternEncoder


class MLPMapEncoder(PatternEncoder):
    """Patterns through a hidden layer and residual blocks to the width of the features.

    A hidden layer is linear map, layer norm, GELU and dropout; a block adds one to what it was given.

    Source: a re-implementation of the mapping network of BrainCLIP (Liu et al., arXiv 2302.12971; Ma et al., IEEE TMI
    2025) as a perceptron. Its layers were never released; this form is that of the residual perceptrons which later
    fMRI decoders use.

    Shapes: (batch, num_voxels) to (batch, hidden_size).

    Units: standard deviations of the training patterns in; not normalised out.

    Differences from the source: cannot be told, since its layers and hyper-parameters are not public.
    """

    config: MLPMapConfig

    def build(self, config: MLPMapConfig) -> None:
        """See [`BrainEncoder`]."""
        self.layers = nn.Sequential(
            nn.Dropout(config.input_dropout),
            hidden_layer(config.num_voxels, config.width, config.dropout),
            *(ResidualBlock(config.width, config.dropout) for _ in range(config.num_blocks)),
            nn.Linear(config.width, config.hidden_size),
        )

    def encode(self, values: torch.Tensor, subject_index: torch.Tensor | None) -> torch.Tensor:
        """See [`BrainEncoder`]; subjects are treated alike."""
        return self.layers(values)
