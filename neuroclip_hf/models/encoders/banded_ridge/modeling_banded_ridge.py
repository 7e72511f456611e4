"""Banded ridge regression."""

from collections.abc import Sequence
from typing import Any

import torch

from neuroclip_hf.models.encoders.banded_ridge.banded_fitting import fit_banded_ridge
from neuroclip_hf.models.encoders.banded_ridge.configuration_banded_ridge import REST, BandedRidgeConfig
from neuroclip_hf.models.encoders.closed_form import LinearClosedFormEncoder


class BandedRidgeEncoder(LinearClosedFormEncoder):
    """A linear map of all voxels, each region of interest with a penalty of its own, solved for.

    Source: banded ridge regression (Nunez-Elizalde, Huth & Gallant, NeuroImage 2019), its random search over weights
    of the bands from himalaya (Dupre la Tour et al., NeuroImage 2022), which has to be installed.

    Shapes: (batch, num_voxels) to (batch, hidden_size).

    Units: standard deviations of the training patterns in; what `fit` was given as targets out.

    Differences from the source: bands are regions of the brain here, where the source predicts voxels from bands of
    stimulus features; each band is scaled to the same mean squared norm before it is weighed, so that a weight means
    the same for a small region as for a large one (ours).
    """

    config: BandedRidgeConfig

    def solve(self, values: torch.Tensor, targets: torch.Tensor, groups: Sequence[Any]) -> dict[str, Any]:
        """See [`ClosedFormEncoder`]."""
        config = self.config
        bands = config.bands or {REST: list(range(config.num_voxels))}
        return self.keep(
            fit_banded_ridge(values, targets, groups, bands, config.search, config.draws, config.search_seed)
        )
