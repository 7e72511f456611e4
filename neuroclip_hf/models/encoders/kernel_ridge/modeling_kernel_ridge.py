"""Kernel ridge regression."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from neuroclip_hf.models.encoders.closed_form import ClosedFormEncoder
from neuroclip_hf.models.encoders.kernel_ridge.configuration_kernel_ridge import GAMMAS, KernelRidgeConfig
from neuroclip_hf.models.encoders.kernel_ridge.kernel_fitting import fit_kernel_ridge, kernel_of


class KernelRidgeEncoder(ClosedFormEncoder):
    """Ridge regression in the space of a kernel, solved for.

    The training patterns are part of the model: its checkpoint holds all of them, standardised, beside a weight of
    each for each feature. Whoever has the checkpoint has the patterns.

    Source: kernel ridge regression (Saunders, Gammerman & Vovk, ICML 1998).

    Shapes: (batch, num_voxels) to (batch, hidden_size).

    Units: standard deviations of the training patterns in; what `fit` was given as targets out.

    Differences from the source: a free bias, as if patterns and targets had been centred where the kernel measures
    them; penalty and `gamma` are chosen together by cross-validation over groups of trials, inside training.
    """

    config: KernelRidgeConfig

    def build(self, config: KernelRidgeConfig) -> None:
        """See [`BrainEncoder`]."""
        # Products with patterns are what a linear layer does, so that they can be drawn, saved and cast like all.
        self.patterns = nn.Linear(config.num_voxels, config.num_trials, bias=False)
        self.dual = nn.Linear(config.num_trials, config.hidden_size)

    def encode(self, values: torch.Tensor, subject_index: torch.Tensor | None) -> torch.Tensor:
        """See [`BrainEncoder`]; subjects are treated alike."""
        config = self.config
        gamma = 1 / config.num_voxels if config.gamma is None else config.gamma
        exact = torch.promote_types(values.dtype, torch.float32)  # a distance is a small difference of large numbers
        kernel = kernel_of(config.kernel, values.to(exact), self.patterns.weight.to(exact), gamma, config.degree)
        return self.dual(kernel.to(values.dtype))

    def solve(self, values: torch.Tensor, targets: torch.Tensor, groups: Sequence[Any]) -> dict[str, Any]:
        """See [`ClosedFormEncoder`]."""
        config, like = self.config, self.dual.weight
        gammas = tuple(config.gammas or GAMMAS)
        fit, gamma = fit_kernel_ridge(values, targets, groups, config.search, config.kernel, gammas, config.degree)
        config.num_trials, config.gamma = len(values), gamma
        with torch.device(like.device):
            self.build(config)
        self.to(like.dtype)
        self.patterns.weight.copy_(values)
        self.dual.weight.copy_(fit.weight.T)
        self.dual.bias.copy_(fit.bias)
        return fit.facts
