"""How the settings of each row of `accuracy.py` are chosen: on another simulation, made for that alone.

The trials of a held-out training picture are four at most, far noisier than a test query of 80, and would choose other
settings than the test needs. So candidates are compared on a simulation of its own: another person, seed, order of
concepts and pictures, with as many of everything. Each is trained once, and judged by the cross-entropy of its 200-way
test at the best factor of the cosines, which says more of 200 queries than how many come first. Nothing of the
recordings that the table is made of is looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accuracy_methods import Method
from accuracy_rows import Made, make_methods

from neuroclip_hf import TrialStore
from neuroclip_hf.data.simulation.frozen import BENCHMARK
from neuroclip_hf.evaluation import load_ranking
from neuroclip_hf.metrics import log_loss_from_scores
from neuroclip_hf.protocols.reproduce.engine import Engine

DEVELOPMENT = replace(BENCHMARK, seed=1, subjects=(3,))
"""The simulation on which settings are chosen."""
FACTORS = tuple(range(2, 61))


def search(
    methods: Sequence[Method], changes: Mapping[str, Any], store: TrialStore, out: Path, features: Path, engine: Engine
) -> list[dict[str, Any]]:
    """Train every candidate of every row on `store` once, unless it lies below `out`, and judge it."""
    variants = [
        Method(f"{method.name}/{number}", method.recipe, {**method.overrides, **candidate})
        for method in methods
        for number, candidate in enumerate(method.candidates)
    ]
    made = iter(make_methods(variants, changes, {out: store}, features, 1, engine))
    rows = []
    for method in methods:
        found = [{"settings": dict(settings), **judge(next(made))} for settings in method.candidates]
        best = min(range(len(found)), key=lambda place: found[place]["cross_entropy"])
        rows.append(
            {"row": method.name, "recipe": method.recipe, "best": best, "chosen": method.chosen, "candidates": found}
        )
    return rows


def judge(made: Made) -> dict[str, Any]:
    """Cross-entropy and top-1 of a candidate, with the epochs that validation chose."""
    rankings = [load_ranking(folder) for folder, _ in made.runs()]
    found = [cross_entropy(one.scores, one.mask) for one in rankings]
    return {
        "cross_entropy": round(sum(found) / len(found), 4),
        "top1": round(float(made.answers()[0]["top1"].mean()), 4),
        "best_epochs": [run["best_epoch"] for run in made.reports[0].runs],
    }


def cross_entropy(scores: torch.Tensor, right: torch.Tensor) -> float:
    """Of the cosines times whatever factor suits them best."""
    return min(float(log_loss_from_scores(scores, right, factor).mean()) for factor in FACTORS)
