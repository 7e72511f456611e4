"""Cross-validation of `fmri.py`: categories and pictures that were held out, decoded from patterns.

Nothing of a held-out trial is seen in its fold: mean and scale of voxels, penalties, a kernel's width and the centre
of the features come from its training trials, penalties and width by cross-validation inside them. A control is the
whole of that again with what was shown shuffled.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from fmri_data import Trials
from numpy.typing import NDArray

from neuroclip_hf.logging import progress
from neuroclip_hf.losses import weighted_directions
from neuroclip_hf.metrics.retrieval import hits_from_scores, ranks_from_scores, similarity
from neuroclip_hf.models.encoders.kernel_ridge import KernelRidgeConfig, KernelRidgeEncoder
from neuroclip_hf.models.encoders.ridge import RidgeConfig, RidgeEncoder

MODELS: dict[str, tuple[Any, Any]] = {
    "ridge": (RidgeConfig, RidgeEncoder),
    "kernel": (KernelRidgeConfig, KernelRidgeEncoder),
}
Fold = tuple[NDArray[np.bool_], NDArray[np.bool_]]
Rule = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def decode_classes(
    trials: Trials, labels: NDArray[np.int64], folds: Sequence[Fold], groups: NDArray[np.int64], model: str, rule: Rule
) -> torch.Tensor:
    """Scores of classes for held-out trials.

    One-hot codes are predicted, each with a penalty of its own, so that shuffled labels stand beside the true ones in
    one system of equations without changing what is chosen for those.

    Args:
        trials (`Trials`): all of them.
        labels (array): (versions, trials), the true ones first.
        folds (sequence): of masks over the trials: which train, which are held out.
        groups (array): (trials,), held out together while the penalty is chosen.
        model (`str`): of `MODELS`.
        rule (callable): how predicted codes become scores, see [`as_they_are`].

    Returns:
        (versions, trials, classes).
    """
    versions, count = len(labels), int(labels.max()) + 1
    shown = torch.from_numpy(labels)
    codes = torch.eye(count)[shown].permute(1, 0, 2)  # (trials, versions, classes)
    scores = torch.zeros(versions, len(trials.values), count)
    for train, test in progress(folds, desc=f"{model}, {len(folds)} folds"):
        predict = _fitted(trials, train, codes[train].flatten(1), groups, model, per_target=True)
        fitted, held = (predict(rows).unflatten(1, (versions, count)).transpose(0, 1) for rows in (train, test))
        scores[:, test] = rule(fitted, shown[:, train], held)
    return scores


def as_they_are(fitted: torch.Tensor, labels: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
    """The highest predicted code wins.

    Args:
        fitted (`torch.Tensor`): (versions, training trials, classes) predicted codes.
        labels (`torch.Tensor`): (versions, training trials).
        held (`torch.Tensor`): (versions, held-out trials, classes) predicted codes.
    """
    return held


def nearest_mean(fitted: torch.Tensor, labels: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
    """The nearest mean of the training trials' codes wins, where distances count by how codes spread within classes.

    Discriminant analysis by regression (Hastie, Buja & Tibshirani, Annals of Statistics 1995).
    """
    member = torch.nn.functional.one_hot(labels, held.shape[-1]).to(fitted.dtype)
    means = torch.einsum("vtc,vtd->vcd", member, fitted) / member.sum(dim=1)[..., None]
    within = fitted - means.gather(1, labels[..., None].expand_as(fitted))
    # Codes of a trial sum to one, so that one direction has no spread: it is left out.
    precision = torch.linalg.pinv(within.double().mT @ within.double() / within.shape[1], rtol=1e-6, hermitian=True)
    apart = (held[:, :, None] - means[:, None]).double()
    return -torch.einsum("vqcd,vde,vqce->vqc", apart, precision, apart).to(held.dtype)


def hits(scores: torch.Tensor, labels: NDArray[np.int64]) -> torch.Tensor:
    """Which trials are decoded rightly: (versions, trials)."""
    pairs = zip(scores, torch.from_numpy(labels), strict=True)
    return torch.stack([hits_from_scores(each, target, ks=(1,))["top1"] for each, target in pairs]).double()


def averaged(scores: torch.Tensor, labels: NDArray[np.int64], of: NDArray[np.int64]) -> tuple[torch.Tensor, Any]:
    """Scores averaged over trials of one number in `of`, and their labels."""
    first = np.unique(of, return_index=True)[1]
    means = [scores[:, torch.from_numpy(of == of[row])].mean(dim=1) for row in first]
    return torch.stack(means, dim=1), labels[:, first]


def identify(
    trials: Trials, features: torch.Tensor, held_out: Sequence[NDArray[np.int64]], model: str, rivals: str
) -> torch.Tensor:
    """How often the features predicted from a held-out trial are nearer its own picture than another held-out one.

    Features are centred on the fold's training pictures and of length one, as BrainCLIP has them; near is the cosine.

    Args:
        trials (`Trials`): all of them.
        features (`torch.Tensor`): (items, width).
        held_out (sequence): of each fold, the items; the groups that choose the penalty are whole units where whole
            units are held out, else items.
        model (`str`): of `MODELS`.
        rivals (`str`): "all" other held-out pictures, those of "other" units, or of the "same" one.

    Returns:
        (trials,), the mean over the rivals and the folds in which a trial was held out.
    """
    total, times = torch.zeros(2, len(trials.values), dtype=torch.float64)
    for items in held_out:
        held = np.isin(np.arange(len(features)), items)
        whole = not np.isin(trials.unit[~held], trials.unit[held]).any()
        groups = trials.unit[trials.item] if whole else trials.item
        wanted = weighted_directions([(features - features[torch.from_numpy(~held)].mean(dim=0), 1.0)])
        test = held[trials.item]
        predict = _fitted(trials, ~test, wanted[trials.item[~test]], groups, model, per_target=False)
        scores = similarity(predict(test), wanted[items])
        own = torch.from_numpy(np.searchsorted(items, trials.item[test]))
        same = torch.from_numpy(trials.unit[trials.item[test]][:, None] == trials.unit[items])
        against = {"all": torch.ones_like(same), "other": ~same, "same": same}[rivals].clone()
        against[torch.arange(len(own)), own] = True
        ranks = ranks_from_scores(scores.masked_fill(~against, -torch.inf), own)
        total[torch.from_numpy(test)] += 1 - ranks / (against.sum(dim=1) - 1)
        times[torch.from_numpy(test)] += 1
    return total / times


def _fitted(
    trials: Trials,
    train: NDArray[np.bool_],
    targets: torch.Tensor,
    groups: NDArray[np.int64],
    model: str,
    per_target: bool,
) -> Callable[[NDArray[np.bool_]], torch.Tensor]:
    """A decoder, fitted to training trials, from a mask over all trials to their predicted targets."""
    config, encoder = MODELS[model]
    values = trials.values[train]
    mean, spread = values.mean(dim=0), values.std(dim=0, correction=0)
    spread = spread.square().mean().sqrt() if trials.one_scale else spread.where(spread > 0, torch.ones(()))
    sizes = {"num_voxels": values.shape[1], "hidden_size": targets.shape[1], "alpha_per_target": per_target}
    made = encoder(config(**sizes)).eval()
    made.fit((values - mean) / spread, targets, groups[train].tolist())
    return lambda rows: made.encode((trials.values[rows] - mean) / spread, None).detach()
