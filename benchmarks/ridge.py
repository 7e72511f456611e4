"""What ridge regression in closed form costs: one JSON line a subcommand, beside a plain baseline of the same run.

    python benchmarks/ridge.py god      4,500 voxels, 1,200 trials, 768 targets: under 60 s on two cores
    python benchmarks/ridge.py nsd      15,000 voxels, 27,000 trials, 768 targets: under 40 minutes and 24 GB
    python benchmarks/ridge.py kernel   as god, with an RBF kernel of four widths
    python benchmarks/ridge.py banded   as god, five bands, 3 weightings of 20

Values are simulated: targets follow from the patterns through a random map, with as much noise again. Every subcommand
is one nested selection, five folds over whole concepts, all penalties of the default list, and the final solution.
The baseline of `god` is himalaya's KernelRidgeCV with the same folds and penalties. That of `nsd` is scikit-learn's
Ridge, which is run once and multiplied, since a whole selection with it takes hours. `peak_gb` is the process's,
values included, before the baseline. `--scale 0.2` takes a fifth of the trials and of the voxels.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from measuring import describe_device
from printing import print_line
from sklearn.linear_model import Ridge
from sklearn.model_selection import PredefinedSplit

from neuroclip_hf.models.encoders.banded_ridge.banded_fitting import fit_banded_ridge
from neuroclip_hf.models.encoders.kernel_ridge.configuration_kernel_ridge import GAMMAS
from neuroclip_hf.models.encoders.kernel_ridge.kernel_fitting import fit_kernel_ridge
from neuroclip_hf.models.encoders.ridge_fitting import fit_ridge
from neuroclip_hf.models.encoders.ridge_search import PenaltySearch, check_problem

TARGETS, BANDS, DRAWS, OF_DRAWS = 768, 5, 3, 20
SIZES = {"god": (1200, 4500), "kernel": (1200, 4500), "banded": (1200, 4500), "nsd": (27000, 15000)}
BOUNDS = {"god": {"seconds": 60}, "nsd": {"seconds": 2400, "peak_gb": 24}}
PER_CONCEPT = 8


def simulate(trials: int, voxels: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Patterns, targets and concepts; patterns have more to say in some directions than in others, as a brain's do."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(trials, voxels, generator=generator)
    values += torch.randn(trials, 50, generator=generator) @ torch.randn(50, voxels, generator=generator) / 7
    targets = values @ torch.randn(voxels, TARGETS, generator=generator)
    targets /= targets.std()
    targets += torch.randn(trials, TARGETS, generator=generator)
    return values, targets, np.arange(trials) // PER_CONCEPT


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def peak_gb() -> float:
    """Most memory that the process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def himalaya_ridge(values: torch.Tensor, targets: torch.Tensor, groups: np.ndarray, unit: float) -> Any:
    """The same selection by himalaya, in its own order of operations for more voxels than trials: a linear kernel."""
    from himalaya.kernel_ridge import KernelRidgeCV

    search = PenaltySearch()
    held = np.zeros(len(values), dtype=int)
    for number, (_, rows) in enumerate(check_problem(values, targets, groups, search)):
        held[rows] = number
    model = KernelRidgeCV(
        alphas=np.array(search.alphas) * unit,
        kernel="linear",
        fit_intercept=True,
        cv=PredefinedSplit(held),
        solver_params={"local_alpha": False},
    )
    return model.fit(values.double().numpy(), targets.double().numpy())


def god(trials: int, voxels: int, baseline: bool) -> dict[str, Any]:
    values, targets, groups = simulate(trials, voxels)
    seconds, fit = timed(lambda: fit_ridge(values, targets, groups, PenaltySearch()))
    facts = {"seconds": seconds, "peak_gb": peak_gb(), **chosen(fit.facts)}
    if not baseline:
        return facts
    theirs, model = timed(lambda: himalaya_ridge(values, targets, groups, fit.facts["alpha_unit"]))
    same = model.best_alphas_[0] / fit.facts["alpha_unit"]
    return facts | {"baseline": "himalaya KernelRidgeCV", "baseline_seconds": theirs, "baseline_alpha": same}


def nsd(trials: int, voxels: int, baseline: bool) -> dict[str, Any]:
    values, targets, groups = simulate(trials, voxels)
    seconds, fit = timed(lambda: fit_ridge(values, targets, groups, PenaltySearch()))
    facts = {"seconds": seconds, "peak_gb": peak_gb(), **chosen(fit.facts)}
    if not baseline:
        return facts
    penalties = len(PenaltySearch().alphas)
    alpha = fit.facts["alpha"] * fit.facts["alpha_unit"]
    one, _ = timed(lambda: Ridge(alpha=alpha, solver="cholesky").fit(values.numpy(), targets.numpy()))
    # A fold has four fifths of the trials; scikit-learn builds its equations anew for each penalty.
    name = f"scikit-learn Ridge, once, times {penalties} penalties and 5 folds of 4/5, and once more"
    return facts | {"baseline": name, "baseline_once_seconds": one, "baseline_seconds": one * (penalties * 4 + 1)}


def kernel(trials: int, voxels: int, baseline: bool) -> dict[str, Any]:
    values, targets, groups = simulate(trials, voxels)
    seconds, (fit, _) = timed(lambda: fit_kernel_ridge(values, targets, groups, PenaltySearch(), "rbf", GAMMAS, 2))
    facts = {"seconds": seconds, "peak_gb": peak_gb(), "gamma": fit.facts["gamma"], **chosen(fit.facts)}
    if not baseline:
        return facts
    theirs, _ = timed(lambda: fit_ridge(values, targets, groups, PenaltySearch()))
    return facts | {"baseline": "linear ridge", "baseline_seconds": theirs}


def banded(trials: int, voxels: int, baseline: bool) -> dict[str, Any]:
    values, targets, groups = simulate(trials, voxels)
    bands = {f"band {number}": range(number, voxels, BANDS) for number in range(BANDS)}
    search = PenaltySearch()
    seconds, fit = timed(lambda: fit_banded_ridge(values, targets, groups, bands, search, DRAWS, 0))
    facts = {"seconds": seconds, "draws": DRAWS, "seconds_of_20": seconds * OF_DRAWS / DRAWS, "peak_gb": peak_gb()}
    facts |= chosen(fit.facts)
    if not baseline:
        return facts
    theirs, _ = timed(lambda: fit_ridge(values, targets, groups, search))
    return facts | {"baseline": "linear ridge", "baseline_seconds": theirs}


def chosen(facts: dict[str, Any]) -> dict[str, Any]:
    """What a selection ended with."""
    return {name: facts[name] for name in ("alpha", "alpha_at_edge", "cv_r2", "folds")} | {
        "penalties": len(facts["alphas"])
    }


SUBCOMMANDS = {one.__name__: one for one in (god, nsd, kernel, banded)}


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subcommand", choices=SUBCOMMANDS)
    parser.add_argument("--threads", type=int, default=2, help="of torch; set OMP_NUM_THREADS for the baselines")
    parser.add_argument("--scale", type=float, default=1.0, help="part of the voxels, and of the trials")
    parser.add_argument("--no-baseline", action="store_true", help="leave the baseline out")
    options = parser.parse_args(words)
    torch.set_num_threads(options.threads)
    place = describe_device(torch.device("cpu"))
    trials, voxels = (round(size * options.scale) for size in SIZES[options.subcommand])
    facts = SUBCOMMANDS[options.subcommand](trials, voxels, not options.no_baseline)
    bounds = BOUNDS.get(options.subcommand, {}) if options.scale == 1 else {}
    if bounds:
        facts |= {"bounds": bounds, "holds": all(facts[name] <= bound for name, bound in bounds.items())}
    if "baseline_seconds" in facts:
        facts["ratio"] = facts["seconds"] / facts["baseline_seconds"]
    sizes = {"trials": trials, "voxels": voxels, "targets": TARGETS}
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in facts.items()}
    print_line(f"ridge {options.subcommand}", place, sizes | rounded)
    return 0


if __name__ == "__main__":
    sys.exit(main())
