"""How far a number of retrieval can be trusted: intervals, permutations, and two models on the same queries.

Nothing here trains or scores again: intervals and comparisons are made of one value a query, such as the hits of
[`hits_from_scores`], permutations of one score matrix. The gallery is fixed throughout, and so is the model: what
another seed of the training would give is not in these intervals. Average a query's hits over the seeds first, then a
query with three seeds counts once and not three times.

Randomness comes from numpy's generator and `seed` alone; the same call gives the same numbers.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from neuroclip_hf.metrics._every_target import hits_of_every_target
from neuroclip_hf.metrics._targets import target_mask, whole_number

FEWEST_SUBJECTS = 5  # below this subjects are not resampled: so few say nothing about other subjects
_AT_ONCE = 2**22  # numbers that lie in memory at a time

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Interval(NamedTuple):
    """A mean over queries with its percentile interval, in the unit of the values (fractions, for hits).

    `low <= estimate <= high`; `level` is the share of resampled means inside, `resamples` their number, and `over`
    what was resampled: "queries", "queries within subjects" or "subjects and queries".
    """

    low: float
    high: float
    estimate: float
    level: float
    resamples: int
    over: str


class PermutationResult(NamedTuple):
    """`p` of a permutation test, the observed `statistic` (a fraction of queries) and the number of `permutations`."""

    p: float
    statistic: float
    permutations: int


class PairedComparison(NamedTuple):
    """Mean of first minus second model over the same queries, with its interval and a two-sided `p`.

    `level`, `resamples` and `over` as in [`Interval`]; `p` comes from as many sign flips as there are resamples.
    """

    difference: float
    low: float
    high: float
    p: float
    level: float
    resamples: int
    over: str


def bootstrap_interval(
    hits: torch.Tensor,
    groups: Sequence[Any] | torch.Tensor | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile interval of the mean over queries, by resampling the queries with the gallery fixed.

    Bootstrap of Efron & Tibshirani (1993, ch. 13). With five or more distinct `groups` subjects are drawn with
    replacement and queries within each drawn subject, so that the interval speaks of other subjects as well; with
    fewer, queries within each subject. The number of five is ours, and so is that an interval which would leave out
    its own estimate is widened to it. Subjects who saw the same pictures are resampled as if they had seen different
    ones. Where all values are equal the interval has no width: read that as "too few queries", not as certainty.

    Args:
        hits: (Q,) one value a query, such as a boolean hit, or the mean of a query's hits over seeds.
        groups: (Q,) the subject of each query, names or numbers; `None` takes all queries as one subject's.
        level: share of the resampled means that the interval holds, between 0 and 1.
        resamples: how many means are resampled.
        seed: of numpy's generator.

    Returns:
        [`Interval`]; its estimate is the plain mean over all queries.

    Raises:
        ValueError: if values or groups are missing, are not one a query, or a setting is impossible.

    Example:
        >>> bootstrap_interval(torch.tensor([True] * 60 + [False] * 40)).estimate
        0.6
    """
    values = _values("hits", hits)
    of_group = _group_rows(groups, len(values))
    level, resamples = _checked_level(level), whole_number("resamples", resamples, 1)
    generator = np.random.default_rng(whole_number("seed", seed, 0))
    whole_groups = len(of_group) >= FEWEST_SUBJECTS
    means = _resampled_means([values[rows] for rows in of_group], resamples, generator, whole_groups)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    estimate = float(values.mean())
    over = "subjects and queries" if whole_groups else "queries within subjects" if len(of_group) > 1 else "queries"
    return Interval(min(float(low), estimate), max(float(high), estimate), estimate, level, resamples, over)


def permutation_test(
    scores: torch.Tensor,
    target: torch.Tensor,
    permutations: int = 999,
    seed: int = 0,
    k: int = 1,
    groups: Sequence[Any] | torch.Tensor | None = None,
) -> PermutationResult:
    """Would a model that knows nothing of what was seen find as much? Targets are shuffled among the queries.

    The model and its scores stay as they are; the targets, each a row or a whole row of the mask, change places among
    the queries of a group. p = (1 + b) / (1 + permutations), where b permutations find at least as many (Phipson &
    Smyth 2010), so that p is never zero, and at most `alpha` with probability `alpha` or less where nothing is found.

    Args:
        scores: (Q, G), higher is more similar.
        target: (Q,) rows or (Q, G) mask.
        permutations: how many; the smallest p is 1 / (1 + permutations).
        seed: of numpy's generator.
        k: the statistic is top-k accuracy, ties and NaN counting against the model for every target.
        groups: (Q,) the subject of each query; targets change places within a subject only. `None` takes all queries
            as one subject's.

    Returns:
        [`PermutationResult`]; its statistic is what [`accuracy_from_scores`] gives for this k.

    Raises:
        TypeError: if scores or target are no tensors.
        ValueError: as [`accuracy_from_scores`], and if groups are not one a query or a setting is impossible.

    Example:
        >>> permutation_test(torch.eye(20), torch.arange(20)).p
        0.001
    """
    permutations, k = whole_number("permutations", permutations, 1), whole_number("k", k, 1)
    generator = np.random.default_rng(whole_number("seed", seed, 0))
    mask = target_mask(scores, target)
    of_group = _group_rows(groups, len(scores))
    hits, shown = hits_of_every_target(scores.detach(), mask, k)
    found = np.zeros(permutations, dtype=np.int64)
    for rows in of_group:
        for part in _parts(permutations, len(rows)):
            shuffled = generator.permuted(np.tile(shown[rows], (part.stop - part.start, 1)), axis=1)
            found[part] += hits[rows, shuffled].sum(axis=1)
    observed = int(hits[np.arange(len(shown)), shown].sum())
    p = (1 + int((found >= observed).sum())) / (1 + permutations)
    return PermutationResult(p, observed / len(shown), permutations)


def compare_paired(
    hits_a: torch.Tensor,
    hits_b: torch.Tensor,
    groups: Sequence[Any] | torch.Tensor | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> PairedComparison:
    """Two models on the same queries, in the same order: how much the first is ahead, and whether by chance.

    The interval is that of [`bootstrap_interval`] for the differences query by query. p is two-sided and comes from
    flipping their signs, (1 + b) / (1 + resamples): if the two models were interchangeable on every query, how often
    would they be as far apart. Signs flip query by query also where subjects are resampled (ours: five subjects could
    not get below p = 1 / 16 otherwise), so p speaks of these subjects, the interval of others too: claim no more than
    the interval holds.

    Args:
        hits_a: (Q,) one value a query, as for [`bootstrap_interval`].
        hits_b: (Q,) the other model's, same queries in the same order.
        groups: (Q,) the subject of each query, or `None`.
        level: of the interval, between 0 and 1.
        resamples: how many differences are resampled, and how many sign flips drawn.
        seed: of numpy's generators.

    Returns:
        [`PairedComparison`].

    Raises:
        ValueError: as [`bootstrap_interval`], and if the two differ in length.
    """
    first, second = _values("hits_a", hits_a), _values("hits_b", hits_b)
    if len(first) != len(second):
        raise ValueError(
            f"hits_a has {len(first)} queries and hits_b {len(second)}: expected the same queries in the same order."
        )
    differences = first - second
    interval = bootstrap_interval(torch.from_numpy(differences), groups, level, resamples, seed)
    generator = np.random.default_rng([int(seed), 1])  # not the bootstrap's: p must not hang on the interval's draws
    p = _sign_flip_p(differences, interval.resamples, generator)
    return PairedComparison(
        interval.estimate, interval.low, interval.high, p, interval.level, interval.resamples, interval.over
    )


def _resampled_means(
    values: list[Doubles], resamples: int, generator: np.random.Generator, whole_groups: bool
) -> Doubles:
    """(resamples,) means over all drawn queries; `values` holds those of each group."""
    times = np.ones((resamples, len(values)), dtype=np.int64)
    if whole_groups:
        times = generator.multinomial(len(values), np.full(len(values), 1 / len(values)), size=resamples)
    total, number = np.zeros(resamples), np.zeros(resamples)
    for group, mine in enumerate(values):
        drawn = times[:, group] * len(mine)  # a subject that is drawn twice draws its queries anew
        total += _sums_of_draws(mine, drawn, generator)
        number += drawn
    return total / number


def _sums_of_draws(values: Doubles, drawn: Integers, generator: np.random.Generator) -> Doubles:
    """Sums of so many draws with replacement, one for each number in `drawn`.

    How often each distinct value comes up is drawn, not which rows: the same distribution, and for hits two numbers
    instead of hundreds.
    """
    distinct, occurrences = np.unique(values, return_counts=True)
    share = occurrences / len(values)
    return np.concatenate(
        [generator.multinomial(drawn[part], share) @ distinct for part in _parts(len(drawn), len(distinct))]
    )


def _sign_flip_p(differences: Doubles, flips: int, generator: np.random.Generator) -> float:
    sizes, occurrences = np.unique(np.abs(differences), return_counts=True)
    # Of equal sizes only the number that stays positive matters.
    flipped = np.concatenate(
        [
            (2 * generator.binomial(occurrences, 0.5, (part.stop - part.start, len(sizes))) - occurrences) @ sizes
            for part in _parts(flips, len(sizes))
        ]
    )
    rounding = 1e-9 * float(sizes @ occurrences)  # sums that are equal on paper count as equal, hence against
    as_far = np.abs(flipped) >= abs(float(differences.sum())) - rounding
    return (1 + int(as_far.sum())) / (1 + flips)


def _values(name: str, values: Any) -> Doubles:
    tensor = torch.as_tensor(values).detach()
    if tensor.ndim != 1 or not len(tensor) or tensor.is_complex():
        raise ValueError(f"{name} are {tuple(tensor.shape)} {tensor.dtype}: expected one real number a query (Q,).")
    array = tensor.cpu().double().numpy()
    strange = np.flatnonzero(~np.isfinite(array))
    if len(strange):
        raise ValueError(f"{name} hold {array[strange[0]]} for query {strange[0]}: a missed query counts 0, not NaN.")
    return array


def _group_rows(groups: Sequence[Any] | torch.Tensor | None, queries: int) -> list[Integers]:
    """The rows of each group, groups in the order of their names."""
    if groups is None:
        return [np.arange(queries)]
    names = groups.tolist() if isinstance(groups, (torch.Tensor, np.ndarray)) else list(groups)
    if isinstance(groups, str) or len(names) != queries:
        raise ValueError(f"groups has {len(names)} entries for {queries} queries: expected the subject of each query.")
    missing = [row for row, name in enumerate(names) if name is None or name != name]
    if missing:
        raise ValueError(
            f"groups has {names[missing[0]]} for query {missing[0]}: expected a subject's name or number."
        )
    rows: dict[Any, list[int]] = {}
    for row, name in enumerate(names):
        rows.setdefault(name, []).append(row)
    return [np.asarray(rows[name]) for name in sorted(rows, key=str)]


def _checked_level(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}: expected a share between 0 and 1, such as 0.95.")
    return float(level)


def _parts(rows: int, width: int) -> Iterator[slice]:
    """Slices of so many rows as lie in memory at a time, each `width` numbers wide."""
    step = max(1, _AT_ONCE // width)
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))
