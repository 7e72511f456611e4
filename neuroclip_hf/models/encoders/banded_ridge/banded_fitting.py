"""Banded ridge regression in closed form, through himalaya."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import PredefinedSplit

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.encoders.ridge_fitting import centred
from neuroclip_hf.models.encoders.ridge_search import Choice, Fit, Fold, PenaltySearch, check_problem, describe


def require_himalaya() -> Any:
    """The library himalaya.

    Raises:
        InputError: if it is not installed.
    """
    try:
        return import_module("himalaya")
    except ImportError:
        raise InputError(
            "banded_ridge needs himalaya, which is not installed: run pip install 'neuroclip-hf[fmri]', or choose the "
            "encoder ridge."
        ) from None


def fit_banded_ridge(
    values: torch.Tensor,
    targets: torch.Tensor,
    groups: Sequence[Any],
    bands: Mapping[str, Sequence[int]],
    search: PenaltySearch,
    draws: int,
    seed: int,
) -> Fit:
    """Linear ridge regression with a penalty a band, found by random search over weights of the bands.

    Args:
        values (`torch.Tensor`): (trials, voxels), standardised.
        targets (`torch.Tensor`): (trials, targets).
        groups (sequence): of each trial; trials of one group are held out together.
        bands (`Mapping`): name -> places of its voxels.
        search (`PenaltySearch`): penalties that are tried with each weighting; `per_target` lets each target have its
            own weights of the bands too.
        draws (`int`): weightings that are tried.
        seed (`int`): of those after the first, which weighs all bands alike.

    Raises:
        InputError: as for [`neuroclip_hf.models.encoders.ridge_fitting.fit_ridge`]; without himalaya; for a band that
            says nothing.
    """
    require_himalaya()
    folds = check_problem(values, targets, groups, search)
    patterns, mean = centred(values, torch.float64)
    wanted, target_mean = centred(targets, torch.float64)
    scaled = {name: _unit_norm(patterns[:, list(places)], name) for name, places in bands.items()}
    held = np.zeros(len(values), dtype=np.int64)
    for number, (_, rows) in enumerate(folds):
        held[rows.numpy()] = number
    deltas, dual, scores, alphas, _ = _search(
        np.stack([(each @ each.T).numpy() for each, _ in scaled.values()]), wanted.numpy(), held, search, draws, seed
    )
    weight = torch.zeros(values.shape[1], targets.shape[1], dtype=torch.float64)
    band_weights = torch.from_numpy(np.exp(deltas))  # (bands, targets), of dual weights
    for (name, places), of_target in zip(bands.items(), band_weights, strict=True):
        each, size = scaled[name]
        weight[list(places)] = each.T @ (torch.from_numpy(dual) * of_target) / size
    shares = (band_weights * torch.from_numpy(alphas)).mean(dim=1)
    facts = {
        **_describe(alphas, scores, wanted, search, folds),
        "draws": draws,
        "band_weights": {name: round(float(share), 6) for name, share in zip(bands, shares, strict=True)},
    }
    return Fit(weight.float(), (target_mean - mean @ weight).float(), facts)


def _unit_norm(patterns: torch.Tensor, name: str) -> tuple[torch.Tensor, float]:
    size = float(patterns.square().sum() / len(patterns)) ** 0.5
    if not size > 0:
        raise InputError(f"the voxels of {name} are the same in all trials: leave that region out.")
    return patterns / size, size


def _search(
    kernels: NDArray[np.float64],
    wanted: NDArray[np.float64],
    held: NDArray[np.int64],
    search: PenaltySearch,
    draws: int,
    seed: int,
) -> Any:
    from himalaya.kernel_ridge import solve_multiple_kernel_ridge_random_search

    with _on_numpy():
        return solve_multiple_kernel_ridge_random_search(
            kernels,
            wanted,
            n_iter=draws,
            alphas=np.array(search.alphas),
            cv=PredefinedSplit(held),
            fit_intercept=True,
            return_weights="dual",
            local_alpha=search.per_target,
            random_state=seed,
            return_alphas=True,
            progress_bar=False,
        )


@contextmanager
def _on_numpy() -> Iterator[None]:
    """Its backend is a switch for the whole process, which somebody may have set."""
    from himalaya.backend import get_backend, set_backend

    before = get_backend()
    set_backend("numpy")
    try:
        yield
    finally:
        set_backend(before)


def _describe(
    alphas: NDArray[np.float64],
    scores: NDArray[np.float64],
    wanted: torch.Tensor,
    search: PenaltySearch,
    folds: Sequence[Fold],
) -> dict[str, Any]:
    """Facts like those of every other search; himalaya keeps the scores of the best penalty of each draw alone."""
    best = scores.max(axis=0) if search.per_target else scores[scores.mean(axis=1).argmax()]
    tried = torch.tensor(search.alphas, dtype=torch.float64)
    chosen = (torch.from_numpy(alphas)[None] - tried[:, None]).abs().argmin(dim=0)
    errors = torch.full((len(tried), len(best)), float("nan"), dtype=torch.float64)
    errors[chosen, torch.arange(len(best))] = -torch.from_numpy(best) * len(wanted)
    baseline = sum(float((wanted[held] - wanted[kept].mean(dim=0)).square().sum()) for kept, held in folds)
    facts = describe(Choice(tried, errors, chosen, 1.0, baseline), search, len(folds))
    del facts["cv_r2_by_alpha"]
    return {**facts, "cv_r2_by_draw": [1 + float(each.sum()) * len(wanted) / baseline for each in scores]}
