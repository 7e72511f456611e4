"""Ridge regression in closed form, its penalty chosen by cross-validation over groups of trials.

One problem is solved throughout: weights `W` and a free bias `b` that make `|Y - f(X) - b|^2 + alpha |f|^2` least.
With fewer voxels than trials that is a system of equations as large as the voxels, else, and for kernels, as large as
the trials; each fold with each penalty is one Cholesky factorisation of it. himalaya and scikit-learn give the same
weights (tests compare all of them), but decompose every fold's trials into singular vectors, which 15,000 voxels and
27,000 trials leave no time for: `benchmarks/ridge.py` prints both.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from neuroclip_hf.models.encoders.ridge_search import (
    Fit,
    Fold,
    PenaltySearch,
    System,
    check_problem,
    choose,
    describe,
    precision,
    solve_chosen,
)


def fit_ridge(values: torch.Tensor, targets: torch.Tensor, groups: Sequence[Any], search: PenaltySearch) -> Fit:
    """Linear ridge regression.

    Args:
        values (`torch.Tensor`): (trials, voxels), standardised.
        targets (`torch.Tensor`): (trials, targets).
        groups (sequence): of each trial; trials of one group (a picture, a concept, a run) are held out together.
        search (`PenaltySearch`): what is tried.

    Raises:
        InputError: for values that are not finite, shapes that do not fit, fewer than two groups or impossible
            settings.
    """
    folds = check_problem(values, targets, groups, search)
    trials, voxels = values.shape
    dtype = precision(min(trials, voxels))
    patterns, mean = centred(values, dtype)
    wanted, target_mean = centred(targets, dtype)
    if voxels < trials:
        gram, cross = patterns.T @ patterns, patterns.T @ wanted
        choice = choose(gram, trials, _primal_systems(patterns, wanted, gram, cross, folds), search)
        weight = solve_chosen(gram, cross, choice)
    else:
        gram = patterns @ patterns.T
        choice = choose(gram, trials, dual_systems(gram, wanted, folds), search)
        weight = patterns.T @ solve_chosen(gram, wanted, choice)
    facts = describe(choice, search, len(folds))
    return Fit(weight.float(), (target_mean - mean @ weight).float(), facts)


def centred(values: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows less their mean, and that mean."""
    values = values.to(dtype)
    mean = values.mean(dim=0)
    return values - mean, mean


def centred_kernel(kernel: torch.Tensor, of_fitting: torch.Tensor) -> torch.Tensor:
    """A kernel `(rows, fitting trials)` as if the fitting trials had mean zero where the kernel measures them."""
    means = of_fitting.mean(dim=0)
    return kernel - kernel.mean(dim=1, keepdim=True) - means + means.mean()


def _primal_systems(
    patterns: torch.Tensor, wanted: torch.Tensor, gram: torch.Tensor, cross: torch.Tensor, folds: Sequence[Fold]
) -> Iterator[System]:
    for kept, held in folds:
        seen, seen_targets = patterns[held], wanted[held]
        # All trials have mean zero, so what is left has that of the held-out ones, turned round.
        mean, target_mean = (-each.sum(dim=0) / len(kept) for each in (seen, seen_targets))
        system = torch.addmm(gram, seen.T, seen, alpha=-1)
        system.addr_(mean, mean, alpha=-float(len(kept)))
        right = cross - seen.T @ seen_targets - len(kept) * torch.outer(mean, target_mean)
        yield system, right, seen - mean, seen_targets - target_mean


def dual_systems(gram: torch.Tensor, wanted: torch.Tensor, folds: Sequence[Fold]) -> Iterator[System]:
    """The equations of each fold, as many as it has trials.

    Args:
        gram (`torch.Tensor`): (trials, trials).
        wanted (`torch.Tensor`): (trials, targets).
        folds (sequence): see [`check_problem`].
    """
    for kept, held in folds:
        fitting = gram[kept][:, kept]
        target_mean = wanted[kept].mean(dim=0)
        system, predict = centred_kernel(fitting, fitting), centred_kernel(gram[held][:, kept], fitting)
        yield system, wanted[kept] - target_mean, predict, wanted[held] - target_mean
