"""Choosing the penalty of a ridge regression by cross-validation over groups of trials."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import GroupKFold

from neuroclip_hf.errors import InputError
from neuroclip_hf.logging import get_logger

PENALTIES = tuple(float(f"{10 ** (half / 2):.3g}") for half in range(-6, 9))
"""Penalties that are tried, unless others are named (ours): half decades from .001 to 10,000."""

EXACT_SIZE = 4096
"""Systems of up to so many equations are solved in float64, larger ones in float32 (ours)."""

Fold = tuple[torch.Tensor, torch.Tensor]
"""Trials that fit, and trials that are held out."""

System = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""Of a fold: the equations, their right side, what takes their solution to predictions, what those should be."""


@dataclass(frozen=True)
class PenaltySearch:
    """How a penalty is chosen.

    Args:
        alphas (sequence of `float`): what is tried, in units of the mean squared norm of a centred training trial
            (ours), so that the same list serves every number of voxels.
        folds (`int`): of the cross-validation; fewer where there are fewer groups.
        per_target (`bool`): a penalty for each target, instead of one for all of them.
    """

    alphas: Sequence[float] = PENALTIES
    folds: int = 5
    per_target: bool = False


@dataclass(frozen=True)
class Fit:
    """What a closed form found.

    Args:
        weight (`torch.Tensor`): (voxels, targets), or for a kernel (trials, targets).
        bias (`torch.Tensor`): (targets,).
        facts (`dict`): how the penalty was chosen, for `run.json`.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    facts: dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """Penalties and their held-out errors.

    Args:
        alphas (`torch.Tensor`): (alphas,), absolute.
        errors (`torch.Tensor`): (alphas, targets), squared and summed over all held-out trials.
        chosen (`torch.Tensor`): (targets,), places in `alphas`.
        unit (`float`): the mean squared norm of a centred training trial.
        baseline (`float`): the error of predicting the mean of the trials that fit, over all targets.
    """

    alphas: torch.Tensor
    errors: torch.Tensor
    chosen: torch.Tensor
    unit: float
    baseline: float

    @property
    def error(self) -> float:
        """Squared held-out error of what was chosen."""
        return float(self.errors.gather(0, self.chosen[None]).sum())


def check_problem(
    values: torch.Tensor, targets: torch.Tensor, groups: Sequence[Any], search: PenaltySearch
) -> list[Fold]:
    """Look at what is to be fitted, and hold its groups out in turn.

    Returns:
        For each fold the trials that fit and the trials that are held out, as int64; the same for the same groups.

    Raises:
        InputError: see [`fit_ridge`].
    """
    if values.ndim != 2 or targets.ndim != 2 or not len(values) == len(targets) == len(groups):
        raise InputError(
            f"values is {tuple(values.shape)}, targets is {tuple(targets.shape)}, and there are {len(groups)} groups: "
            "pass (trials, voxels), (trials, targets) and a group for each trial."
        )
    for name, given in (("values", values), ("targets", targets)):
        if not torch.isfinite(given).all():
            row = int((~torch.isfinite(given)).any(dim=1).nonzero()[0])
            raise InputError(f"{name} of trial {row} hold a number that is not finite: leave that trial out.")
    check_search(search)
    names, numbers = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    if len(names) < 2:
        raise InputError(
            f"all {len(values)} trials are of one group ({names[0] if len(names) else 'there are none'}): choosing a "
            "penalty takes at least two pictures, concepts or runs."
        )
    splits = GroupKFold(min(search.folds, len(names))).split(numbers, groups=numbers)
    return [(torch.from_numpy(kept), torch.from_numpy(held)) for kept, held in splits]


def check_search(search: PenaltySearch) -> None:
    """Raise [`InputError`] if nothing can be chosen from."""
    require_numbers("alphas", search.alphas)
    if search.folds < 2:
        raise InputError(f"folds is {search.folds}: it must be at least 2.")


def require_numbers(name: str, value: Any) -> None:
    """Raise [`InputError`] unless the value of a setting is a list of numbers above zero, ascending."""
    right = isinstance(value, (list, tuple)) and len(value) > 0
    right = right and all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in value)
    if not right or not all(0 < each < float("inf") for each in value) or sorted(set(value)) != list(value):
        raise InputError(f"{name} is {value!r}: it must be a list of numbers above zero, in ascending order.")


def precision(equations: int) -> torch.dtype:
    """In which so many equations are solved."""
    return torch.float64 if equations <= EXACT_SIZE else torch.float32


def choose(
    gram: torch.Tensor,
    trials: int,
    systems: Iterator[System],
    search: PenaltySearch,
) -> Choice:
    """Solve every fold with every penalty, and take those whose held-out error is least; the larger one of equals.

    Args:
        gram (`torch.Tensor`): of all trials, centred.
        trials (`int`): how many they are.
        systems (iterator): of each fold: the system, its right side, what maps its solution to held-out predictions,
            and what those should be.
        search (`PenaltySearch`): what is tried.
    """
    unit = float(gram.diagonal().sum()) / trials
    if not unit > 0:
        raise InputError("values are the same in all trials: nothing can be predicted from them.")
    alphas = torch.tensor(search.alphas, dtype=gram.dtype) * unit
    errors, baseline = torch.zeros(len(alphas), 1, dtype=torch.float64), 0.0
    for system, right, predict, wanted in systems:
        found = torch.stack([(wanted - predict @ solve(system, right, alpha)).square().sum(dim=0) for alpha in alphas])
        errors = errors + found
        baseline += float(wanted.square().sum())
        del system, right, predict, wanted, found
    by_target = errors if search.per_target else errors.sum(dim=1, keepdim=True)
    chosen = len(alphas) - 1 - by_target.flip(0).argmin(dim=0)
    return Choice(alphas, errors, chosen.expand(errors.shape[1]), unit, baseline)


def solve(system: torch.Tensor, right: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """`(system + alpha)^-1 right`; the system is left as it was.

    Raises:
        InputError: if the penalty is too small for the precision.
    """
    diagonal = system.diagonal()
    kept = diagonal.clone()
    diagonal += alpha
    factor, failed = torch.linalg.cholesky_ex(system)
    diagonal.copy_(kept)
    if failed:
        raise InputError(
            f"a penalty of {float(alpha):.3g} is too small for {len(system)} equations in {system.dtype}: let alphas "
            "begin higher."
        )
    return torch.cholesky_solve(right, factor)


def solve_chosen(system: torch.Tensor, right: torch.Tensor, choice: Choice) -> torch.Tensor:
    """Solve all targets, each with its penalty."""
    solution = torch.empty_like(right)
    for place in choice.chosen.unique():
        mine = choice.chosen == place
        solution[:, mine] = solve(system, right[:, mine], choice.alphas[place])
    return solution


def describe(choice: Choice, search: PenaltySearch, folds: int) -> dict[str, Any]:
    """What is to be known of a choice, as JSON can hold it; says so where the list of penalties was too short.

    Args:
        choice (`Choice`): what was chosen.
        search (`PenaltySearch`): from what.
        folds (`int`): how many there were.
    """
    total = choice.baseline
    counts = torch.bincount(choice.chosen, minlength=len(search.alphas)).tolist()
    score = 1 - choice.error / total if total > 0 else 0.0
    edges = [name for name, place in (("lowest", 0), ("highest", -1)) if 2 * counts[place] > sum(counts)]
    if len(search.alphas) > 1 and edges:
        get_logger().warning(
            "The best penalty is the %s of those tried (%g): name more of them in alphas.",
            edges[0],
            search.alphas[0 if edges[0] == "lowest" else -1],
        )
    if score <= 0:
        get_logger().warning("No penalty predicts held-out trials better than their mean does (R2 %.3f).", score)
    return {
        "alphas": [float(alpha) for alpha in search.alphas],
        "alpha_unit": choice.unit,
        "targets_by_alpha": counts,
        "alpha": float(search.alphas[int(choice.chosen[0])]) if max(counts) == sum(counts) else None,
        "alpha_at_edge": edges[0] if edges else None,
        "cv_r2": score,
        "cv_r2_by_alpha": [1 - float(error) / total if total > 0 else 0.0 for error in choice.errors.sum(dim=1)],
        "folds": folds,
    }
