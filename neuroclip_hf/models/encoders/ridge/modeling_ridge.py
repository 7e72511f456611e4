"""Linear ridge regression."""

from collections.abc import Sequence
from typing import Any

import torch

from neuroclip_hf.models.encoders.closed_form import LinearClosedFormEncoder
from neuroclip_hf.models.encoders.ridge.configuration_ridge import RidgeConfig
from neuroclip_hf.models.encoders.ridge_fitting import fit_ridge


class RidgeEncoder(LinearClosedFormEncoder):
    """A linear map of all voxels with a squared penalty, solved for: the baseline of linear decoding.

    Source: ridge regression (Hoerl & Kennard, Technometrics 1970); of patterns to features of pictures as everywhere
    in the field.

    Shapes: (batch, num_voxels) to (batch, hidden_size).

    Units: standard deviations of the training patterns in; what `fit` was given as targets out.

    Differences from the source: the penalty is chosen by cross-validation over groups of trials, inside training.
    """

    config: RidgeConfig

    def solve(self, values: torch.Tensor, targets: torch.Tensor, groups: Sequence[Any]) -> dict[str, Any]:
        """See [`ClosedFormEncoder`]."""
        return self.keep(fit_ridge(values, targets, groups, self.config.search))
