"""Kernel ridge regression in closed form."""

from collections.abc import Sequence
from typing import Any

import torch

from neuroclip_hf.logging import get_logger
from neuroclip_hf.models.encoders.ridge_fitting import centred, centred_kernel, dual_systems
from neuroclip_hf.models.encoders.ridge_search import (
    Choice,
    Fit,
    PenaltySearch,
    check_problem,
    choose,
    describe,
    precision,
    solve_chosen,
)


def kernel_of(name: str, rows: torch.Tensor, columns: torch.Tensor, gamma: float, degree: int) -> torch.Tensor:
    """The kernel of patterns (rows, voxels) and (columns, voxels), see [`KernelRidgeConfig`]: (rows, columns)."""
    products = rows @ columns.T
    if name == "linear":
        return products
    if name == "polynomial":
        return (1 + gamma * products) ** degree
    distances = rows.square().sum(dim=1, keepdim=True) - 2 * products + columns.square().sum(dim=1)
    return torch.exp(-gamma * distances.clamp_min(0))


def fit_kernel_ridge(
    values: torch.Tensor,
    targets: torch.Tensor,
    groups: Sequence[Any],
    search: PenaltySearch,
    kernel: str,
    gammas: Sequence[float],
    degree: int,
) -> tuple[Fit, float]:
    """Kernel ridge regression, its penalty and `gamma` chosen together.

    Args:
        values (`torch.Tensor`): (trials, voxels), standardised.
        targets (`torch.Tensor`): (trials, targets).
        groups (sequence): of each trial; trials of one group are held out together.
        search (`PenaltySearch`): penalties that are tried.
        kernel (`str`): "linear", "polynomial" or "rbf".
        gammas (sequence of `float`): what is tried, in the units of [`KernelRidgeConfig`].
        degree (`int`): of the polynomial.

    Returns:
        A [`Fit`], whose prediction for a pattern is its kernel with the training patterns times `weight`, plus `bias`;
        and the absolute `gamma`.

    Raises:
        InputError: as for [`neuroclip_hf.models.encoders.ridge_fitting.fit_ridge`].
    """
    folds = check_problem(values, targets, groups, search)
    dtype = precision(len(values))
    patterns, (wanted, target_mean) = values.to(dtype), centred(targets, dtype)
    unit = float(centred(patterns, dtype)[0].square().sum()) / len(patterns) * (2 if kernel == "rbf" else 1)
    found: list[tuple[Choice, float]] = []
    for gamma in gammas if kernel != "linear" else gammas[:1]:
        gram = kernel_of(kernel, patterns, patterns, gamma / unit, degree)
        gram = centred_kernel(gram, gram)
        found.append((choose(gram, len(gram), dual_systems(gram, wanted, folds), search), gamma))
    choice, gamma = min(found, key=lambda each: each[0].error)
    whole = kernel_of(kernel, patterns, patterns, gamma / unit, degree)
    dual = solve_chosen(centred_kernel(whole, whole), wanted, choice)
    dual -= dual.mean(dim=0)  # zero but for rounding, which the part that all kernels share would magnify
    facts = describe(choice, search, len(folds))
    if kernel != "linear":
        facts |= _describe_gamma(gamma, gammas)
    return Fit(dual.float(), (target_mean - whole.mean(dim=0) @ dual).float(), facts), gamma / unit


def _describe_gamma(gamma: float, gammas: Sequence[float]) -> dict[str, Any]:
    edge = {gammas[0]: "lowest", gammas[-1]: "highest"}.get(gamma) if len(gammas) > 1 else None
    if edge is not None:
        get_logger().warning("The best gamma is the %s of those tried (%g): name more of them in gammas.", edge, gamma)
    return {"gammas": list(gammas), "gamma": gamma, "gamma_at_edge": edge}
