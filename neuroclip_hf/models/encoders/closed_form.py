"""What encoders share whose weights are solved for, in place of training by gradients."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.configuration import require_count, require_type
from neuroclip_hf.models.encoders.pattern import PatternEncoder, PatternEncoderConfig
from neuroclip_hf.models.encoders.ridge_search import PENALTIES, Fit, PenaltySearch, check_search


class ClosedFormConfig(PatternEncoderConfig):
    """Settings of every encoder that is solved for.

    Args:
        alphas (`list[float]`, *optional*): penalties that are tried, in units of the mean squared norm of a centred
            training trial, in ascending order; `None` for half decades from .001 to 10,000 (ours).
        folds (`int`): of the cross-validation inside training that chooses among them (ours).
        alpha_per_target (`bool`): a penalty for each dimension of the features, instead of one for all (ours: one).
    """

    alphas: list[float] | None = None
    folds: int = 5
    alpha_per_target: bool = False

    @property
    def search(self) -> PenaltySearch:
        """How the penalty is chosen."""
        return PenaltySearch(PENALTIES if self.alphas is None else self.alphas, self.folds, self.alpha_per_target)

    def check(self) -> None:
        """Raise [`InputError`] if a value is impossible."""
        super().check()
        require_count(self, "folds")
        require_type(self, bool, "alpha_per_target")
        check_search(self.search)


class ClosedFormEncoder(PatternEncoder):
    """Base of encoders that are solved for: `fit` finds the weights, and no gradient ever changes them.

    Until `fit` was called they are start weights, as every encoder has them.
    """

    config: ClosedFormConfig
    closed_form = True

    @property
    def dead_weights(self) -> tuple[str, ...]:
        """All of them: none is trained by gradients."""
        return tuple(name for name, _ in self.named_parameters())

    @torch.no_grad()
    def fit(self, values: torch.Tensor, targets: torch.Tensor, groups: Sequence[Any]) -> dict[str, Any]:
        """Solve for the weights; the same numbers give the same weights, to the bit on CPUs.

        Args:
            values (`torch.Tensor`): (trials, num_voxels), standardised training patterns.
            targets (`torch.Tensor`): (trials, hidden_size), the features that they should have.
            groups (sequence): of each trial, what is held out together while the penalty is chosen: the concept where
                test concepts are new, the picture where test pictures are new, the run or trial where neither is.

        Returns:
            How the penalty was chosen, as JSON can hold it.

        Raises:
            InputError: for values that are not finite, shapes that do not fit, or fewer than two groups.
        """
        if values.ndim == 2 and tuple(values.shape[1:]) != self.config.trial_shape:
            raise InputError(f"values is {tuple(values.shape)}: this encoder reads {self.config.batch_layout}.")
        if targets.ndim == 2 and targets.shape[1] != self.config.hidden_size:
            raise InputError(f"targets is {tuple(targets.shape)}: its width must be {self.config.hidden_size}.")
        facts = self.solve(values.float(), targets.float(), groups)
        self.freeze_dead_weights()
        return facts

    def solve(self, values: torch.Tensor, targets: torch.Tensor, groups: Sequence[Any]) -> dict[str, Any]:
        """Find the weights and keep them; an encoder's own work. See `fit`."""
        raise NotImplementedError


class LinearClosedFormEncoder(ClosedFormEncoder):
    """Base of encoders whose solution is one linear map: a weight for each voxel, and a bias."""

    def build(self, config: Any) -> None:
        """See [`BrainEncoder`]."""
        self.linear = nn.Linear(config.num_voxels, config.hidden_size)

    def encode(self, values: torch.Tensor, subject_index: torch.Tensor | None) -> torch.Tensor:
        """See [`BrainEncoder`]; subjects are treated alike."""
        return self.linear(values)

    def keep(self, fit: Fit) -> dict[str, Any]:
        """Take over a solution; returns its facts."""
        self.linear.weight.copy_(fit.weight.T)
        self.linear.bias.copy_(fit.bias)
        return fit.facts
