"""A linear map of patterns, trained by gradients."""

import torch
from torch import nn

from neuroclip_hf.models.encoders.linear_map.configuration_linear_map import LinearMapConfig
from neuroclip_hf.models.encoders.pattern import PatternEncoder


class LinearMapEncoder(PatternEncoder):
    """One linear map of all voxels to the width of the features.

    Source: a linear mapping network from patterns to CLIP's space is the baseline of BrainCLIP (Liu et al., arXiv
    2302.12971; Ma et al., IEEE TMI 2025); its form is ours, since neither code nor hyper-parameters are public.

    Shapes: (batch, num_voxels) to (batch, hidden_size).

    Units: standard deviations of the training patterns in; not normalised out.

    Differences from the source: cannot be told; start weights are a hundredth of torch's, see [`LinearMapConfig`].
    """

    config: LinearMapConfig

    def build(self, config: LinearMapConfig) -> None:
        """See [`BrainEncoder`]."""
        self.dropout = nn.Dropout(config.dropout)
        self.linear = nn.Linear(config.num_voxels, config.hidden_size)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Linear):
            for parameter in module.parameters():
                if not getattr(parameter, "_is_hf_initialized", False):  # what a checkpoint held stays
                    parameter.mul_(self.config.start_scale)

    def encode(self, values: torch.Tensor, subject_index: torch.Tensor | None) -> torch.Tensor:
        """See [`BrainEncoder`]; subjects are treated alike."""
        return self.linear(self.dropout(values))
