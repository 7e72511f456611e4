"""Closed forms against scikit-learn and himalaya, and against answers that are known by hand."""

import logging
import sys

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.model_selection import PredefinedSplit

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.encoders import ridge_search
from neuroclip_hf.models.encoders.banded_ridge.banded_fitting import fit_banded_ridge
from neuroclip_hf.models.encoders.kernel_ridge.kernel_fitting import fit_kernel_ridge, kernel_of
from neuroclip_hf.models.encoders.ridge_fitting import fit_ridge
from neuroclip_hf.models.encoders.ridge_search import PenaltySearch, check_problem

TARGETS = 5


def problem(trials=60, voxels=20, noise=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(trials, voxels, generator=generator) + 0.5
    map_ = torch.randn(voxels, TARGETS, generator=generator) / voxels**0.5
    targets = values @ map_ + noise * torch.randn(trials, TARGETS, generator=generator) + 3
    return values, targets, np.arange(trials) // 2


def split_of(values, targets, groups, search):
    held = np.zeros(len(values), dtype=int)
    for number, (_, rows) in enumerate(check_problem(values, targets, groups, search)):
        held[rows] = number
    return PredefinedSplit(held)


@pytest.mark.parametrize("trials_and_voxels", [(60, 20), (60, 300)])
@pytest.mark.parametrize("exact", [True, False])
def test_weights_are_those_of_scikit_learn(trials_and_voxels, exact, monkeypatch):
    monkeypatch.setattr(ridge_search, "EXACT_SIZE", 1000 if exact else 1)
    values, targets, groups = problem(*trials_and_voxels)
    fit = fit_ridge(values, targets, groups, PenaltySearch())
    alpha = fit.facts["alpha"] * fit.facts["alpha_unit"]
    theirs = Ridge(alpha=alpha).fit(values.double().numpy(), targets.double().numpy())
    tolerance = 1e-6 if exact else 1e-4
    np.testing.assert_allclose(fit.weight.T, theirs.coef_, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(fit.bias, theirs.intercept_, rtol=tolerance)


@pytest.mark.parametrize("per_target", [False, True])
@pytest.mark.parametrize("trials_and_voxels", [(60, 20), (60, 300)])
def test_penalty_and_score_are_those_of_himalaya(trials_and_voxels, per_target):
    ridge = pytest.importorskip("himalaya.ridge")
    values, targets, groups = problem(*trials_and_voxels)
    targets[:, 0] = torch.randn(len(targets), generator=torch.Generator().manual_seed(9))  # wants a larger one
    search = PenaltySearch(per_target=per_target)
    fit = fit_ridge(values, targets, groups, search)
    theirs = ridge.RidgeCV(
        alphas=np.array(search.alphas) * fit.facts["alpha_unit"],
        fit_intercept=True,
        cv=split_of(values, targets, groups, search),
        solver_params={"local_alpha": per_target, "warn": False},
    ).fit(values.double().numpy(), targets.double().numpy())
    counts = [int(np.isclose(theirs.best_alphas_, alpha * fit.facts["alpha_unit"]).sum()) for alpha in search.alphas]
    assert fit.facts["targets_by_alpha"] == counts
    assert (max(counts) < TARGETS) is per_target
    np.testing.assert_allclose(fit.weight, theirs.coef_, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fit.bias, theirs.intercept_, rtol=1e-5)
    folds = check_problem(values, targets, groups, search)
    constant = sum(float((targets[held] - targets[kept].mean(dim=0)).square().sum()) for kept, held in folds)
    assert fit.facts["cv_r2"] == pytest.approx(1 + float(theirs.cv_scores_.sum()) * len(values) / constant, abs=1e-6)


def test_a_known_answer_by_hand():
    # Four trials of one voxel; without their mean they are -3 -1 1 3, whose squares sum to 20: a unit of 5.
    values, targets = torch.tensor([[1.0], [3.0], [5.0], [7.0]]), torch.tensor([[0.0], [2.0], [4.0], [6.0]])
    fit = fit_ridge(values, targets, list("abcd"), PenaltySearch(alphas=(2.0,)))
    assert fit.facts["alpha_unit"] == pytest.approx(5)
    assert fit.weight.item() == pytest.approx(20 / (20 + 2 * 5))
    assert fit.bias.item() == pytest.approx(3 - 4 * 20 / 30)
    assert fit.facts["folds"] == 4


def test_trials_of_a_group_are_held_out_together():
    # Every trial stands twice. Held out alone its twin gives it away, and the smallest penalty looks best.
    values, targets, _ = problem(trials=20, voxels=100, noise=2.0)
    values, targets = values.repeat_interleave(2, dim=0), targets.repeat_interleave(2, dim=0)
    search = PenaltySearch(folds=10)
    apart = fit_ridge(values, targets, np.random.default_rng(0).permutation(40), search).facts
    together = fit_ridge(values, targets, np.arange(40) // 2, search).facts
    assert apart["cv_r2"] > together["cv_r2"] + 0.2
    assert apart["alpha"] < together["alpha"]
    for kept, held in check_problem(values, targets, np.arange(40) // 2, search):
        assert not set(kept.numpy() // 2) & set(held.numpy() // 2)


@pytest.mark.parametrize(("kernel", "theirs"), [("linear", "linear"), ("rbf", "rbf"), ("polynomial", "poly")])
def test_kernels_are_those_of_scikit_learn(kernel, theirs):
    values, targets, groups = problem(voxels=30)
    fit, gamma = fit_kernel_ridge(values, targets, groups, PenaltySearch(), kernel, (0.3, 1.0), 2)
    rows = values.double()
    whole = kernel_of(kernel, rows, rows, gamma, 2)
    options = {} if kernel == "linear" else {"gamma": gamma, "coef0": 1, "degree": 2}
    model = KernelRidge(kernel=theirs, alpha=fit.facts["alpha"] * fit.facts["alpha_unit"], **options)
    np.testing.assert_allclose(model._get_kernel(rows.numpy(), rows.numpy()), whole, rtol=1e-9)
    # Theirs has no bias. One that costs nothing makes the residuals, which the weights are in proportion to, sum to 0.
    predicted = whole @ fit.weight.double() + fit.bias
    torch.testing.assert_close(fit.weight.sum(dim=0), torch.zeros(TARGETS), atol=1e-5, rtol=0)
    residuals = targets.double() - predicted
    torch.testing.assert_close(residuals, model.alpha * fit.weight.double(), rtol=1e-3, atol=1e-4)


def test_penalty_of_a_kernel_is_that_of_himalaya():
    kernel_ridge = pytest.importorskip("himalaya.kernel_ridge")
    values, targets, groups = problem(voxels=30)
    search = PenaltySearch()
    fit, gamma = fit_kernel_ridge(values, targets, groups, search, "rbf", (1.0,), 2)
    theirs = kernel_ridge.KernelRidgeCV(
        alphas=np.array(search.alphas) * fit.facts["alpha_unit"],
        kernel="rbf",
        kernel_params={"gamma": gamma},
        fit_intercept=True,
        cv=split_of(values, targets, groups, search),
        solver_params={"local_alpha": False},
    ).fit(values.double().numpy(), targets.double().numpy())
    assert theirs.best_alphas_[0] == pytest.approx(fit.facts["alpha"] * fit.facts["alpha_unit"])
    predicted = kernel_of("rbf", values, values, gamma, 2) @ fit.weight + fit.bias
    np.testing.assert_allclose(predicted, theirs.predict(values.double().numpy()), atol=1e-4)


def test_a_linear_kernel_is_ridge():
    values, targets, groups = problem(voxels=90)
    fit = fit_ridge(values, targets, groups, PenaltySearch())
    dual, _ = fit_kernel_ridge(values, targets, groups, PenaltySearch(), "linear", (1.0,), 2)
    torch.testing.assert_close(values.T @ dual.weight, fit.weight, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(dual.bias, fit.bias)
    assert dual.facts.keys() == fit.facts.keys()
    assert all(dual.facts[name] == pytest.approx(value) for name, value in fit.facts.items())


def test_gamma_is_chosen_by_the_same_folds(caplog):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(120, 2, generator=generator)
    targets = torch.sin(4 * values)  # too wiggly for a wide kernel
    with caplog.at_level(logging.WARNING, logger="neuroclip_hf"):
        fit, gamma = fit_kernel_ridge(
            values, targets, np.arange(120), PenaltySearch(), "rbf", (0.01, 0.1, 3.0, 300), 2
        )
    assert (fit.facts["gamma"], fit.facts["gamma_at_edge"]) == (3.0, None)
    assert gamma == pytest.approx(3.0 / (2 * values.var(dim=0, correction=0).sum().item()), rel=1e-5)
    assert "gamma" not in caplog.text
    with caplog.at_level(logging.WARNING, logger="neuroclip_hf"):
        fit, _ = fit_kernel_ridge(values, targets, np.arange(120), PenaltySearch(), "rbf", (0.01, 0.1), 2)
    assert fit.facts["gamma_at_edge"] == "highest"
    assert "gamma is the highest of those tried (0.1)" in caplog.text


def test_a_list_that_is_too_short_is_said(caplog):
    values, targets, groups = problem()
    with caplog.at_level(logging.WARNING, logger="neuroclip_hf"):
        inside = fit_ridge(values, targets, groups, PenaltySearch()).facts
    assert (inside["alpha_at_edge"], caplog.text) == (None, "")
    with caplog.at_level(logging.WARNING, logger="neuroclip_hf"):
        short = fit_ridge(values, targets, groups, PenaltySearch(alphas=(10.0, 100.0))).facts
    assert short["alpha_at_edge"] == "lowest"
    assert "best penalty is the lowest of those tried (10)" in caplog.text


def test_noise_is_said(caplog):
    values, targets, groups = problem()
    noise = torch.randn(targets.shape, generator=torch.Generator().manual_seed(5))
    with caplog.at_level(logging.WARNING, logger="neuroclip_hf"):
        assert fit_ridge(values, noise, groups, PenaltySearch(alphas=(0.01, 0.1, 0.5))).facts["cv_r2"] < 0
    assert "No penalty predicts held-out trials better than their mean" in caplog.text


def test_one_band_is_ridge():
    pytest.importorskip("himalaya")
    values, targets, groups = problem(voxels=90)
    fit = fit_ridge(values, targets, groups, PenaltySearch())
    banded = fit_banded_ridge(values, targets, groups, {"all": range(90)}, PenaltySearch(), 1, 0)
    torch.testing.assert_close(banded.weight, fit.weight, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(banded.bias, fit.bias)
    assert banded.facts["alpha"] == fit.facts["alpha"]
    assert banded.facts["cv_r2"] == pytest.approx(fit.facts["cv_r2"], abs=1e-6)


@pytest.mark.parametrize("per_target", [False, True])
def test_the_band_that_knows_gets_the_weight_and_the_backend_is_given_back(per_target):
    backend = pytest.importorskip("himalaya.backend")
    values, targets, groups = problem(trials=80, voxels=60)
    knows, noise = values[:, :20], 3 * torch.randn(80, 40, generator=torch.Generator().manual_seed(4))
    map_ = torch.randn(20, TARGETS, generator=torch.Generator().manual_seed(1))
    targets = knows @ map_ + torch.randn(80, TARGETS, generator=torch.Generator().manual_seed(2))
    mixed = torch.cat([noise[:, :10], knows, noise[:, 10:]], dim=1)
    bands = {"LOC": list(range(10, 30)), "rest": [*range(10), *range(30, 60)]}
    backend.set_backend("torch")
    try:
        search = PenaltySearch(per_target=per_target)
        first, again = (fit_banded_ridge(mixed, targets, groups, bands, search, 20, 3) for _ in range(2))
        assert backend.get_backend().__name__ == "himalaya.backend.torch"
    finally:
        backend.set_backend("numpy")
    assert first.facts["band_weights"]["LOC"] > 0.9
    assert sum(first.facts["band_weights"].values()) == pytest.approx(1, abs=1e-4)
    assert first.facts["cv_r2"] > fit_ridge(mixed, targets, groups, PenaltySearch()).facts["cv_r2"] + 0.05
    held_out = targets - (mixed @ first.weight + first.bias)
    assert float(held_out.square().sum()) < 0.1 * float((targets - targets.mean(dim=0)).square().sum())
    assert torch.equal(first.weight, again.weight)
    assert first.facts == again.facts


def test_banded_ridge_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "himalaya", None)
    with pytest.raises(InputError, match=r"needs himalaya.*neuroclip-hf\[fmri\]"):
        fit_banded_ridge(*problem(), {"all": range(20)}, PenaltySearch(), 1, 0)


def test_a_silent_band_is_named():
    pytest.importorskip("himalaya")
    values, targets, groups = problem()
    values[:, 3:6] = 1.0
    bands = {"V1": [*range(3), *range(6, 20)], "V2": [3, 4, 5]}
    with pytest.raises(InputError, match="voxels of V2 are the same in all trials"):
        fit_banded_ridge(values, targets, groups, bands, PenaltySearch(), 1, 0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda values, targets, groups: (values, targets, groups[1:]), "there are 59 groups"),
        (lambda values, targets, groups: (values, targets[1:], groups), r"targets is \(59, 5\)"),
        (lambda values, targets, groups: (values, targets, [0] * 60), "all 60 trials are of one group"),
        (lambda values, targets, groups: (values * float("nan"), targets, groups), "values of trial 0"),
        (lambda values, targets, groups: (values, targets / 0.0, groups), "targets of trial 0"),
        (lambda values, targets, groups: (values * 0, targets, groups), "the same in all trials"),
    ],
)
def test_what_cannot_be_fitted_is_named(change, named):
    with pytest.raises(InputError, match=named):
        fit_ridge(*change(*problem()), PenaltySearch())


@pytest.mark.parametrize(
    ("search", "named"),
    [
        (PenaltySearch(alphas=()), r"alphas is \(\)"),
        (PenaltySearch(alphas=(1.0, 0.1)), "ascending"),
        (PenaltySearch(alphas=(0.0, 1.0)), "above zero"),
        (PenaltySearch(alphas=(1.0, float("inf"))), "above zero"),
        (PenaltySearch(folds=1), "folds is 1"),
    ],
)
def test_an_impossible_search_is_named(search, named):
    with pytest.raises(InputError, match=named):
        fit_ridge(*problem(), search)


def test_a_penalty_too_small_for_the_precision_is_named(monkeypatch):
    monkeypatch.setattr(ridge_search, "EXACT_SIZE", 1)
    values, targets, groups = problem(voxels=40)
    values[:, 20:] = values[:, :20]
    with pytest.raises(InputError, match="let alphas begin higher"):
        fit_ridge(values * 100, targets, groups, PenaltySearch(alphas=(1e-20, 1.0)))
