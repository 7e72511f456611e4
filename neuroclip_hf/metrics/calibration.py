"""Geometry that uses no label: what may be done to embeddings or scores before ranking, and under which heading.

A number that uses nothing but the query itself is *inductive*, and none of these functions is in it. What a function
here was fitted on decides the heading of its number:

- **calibrated**: fitted on unlabelled trials of the subject's training split, given as `reference`;
- **transductive**: fitted on the test queries themselves, which is what happens without `reference`, and always in
  [`sinkhorn_scores`];
- **matching**: [`one_to_one_assignment`] knows that every picture was shown once, and answers another question than
  retrieval does.

Say with the number how many trials it used, and call them for one subject at a time. What is given stays as it was;
embeddings and scores stay on their device. Rows with NaN or infinite values are left out of whatever is fitted and
stay NaN, which never wins a ranking. Means, covariances and the like are computed in float64.
"""

import torch

from neuroclip_hf.metrics._fitting import as_double, check_sides, fitted_on, like
from neuroclip_hf.metrics._neighbours import less_mass, mean_of_highest, mutual_nearest
from neuroclip_hf.metrics._targets import check_scores, target_mask, whole_number
from neuroclip_hf.metrics.retrieval import similarity

_HAIR = 1e-9  # of the range of the scores: what decides between assignments that are equally good


def center(
    query: torch.Tensor, gallery: torch.Tensor, reference: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Subtract each side's mean from its vectors as given, without normalising before or after.

    Calibrated with `reference`, else transductive. Removes the gap between the two sides' cones (Liang et al., NeurIPS
    2022, "Mind the gap", sec. 4.2, who shift normalised vectors).

    Args:
        query: (Q, D).
        gallery: (G, D), centred on its own mean in either case.
        reference: (R, D) vectors of the training split whose mean is subtracted from the queries; `None` takes that of
            `query`.

    Returns:
        Both, centred, in float32 or wider.

    Raises:
        TypeError, ValueError: if the matrices are not of one width, or what is fitted on has no row of finite numbers.
    """
    check_sides(query, gallery)
    query_mean = fitted_on(query, reference, "query").mean(dim=0)
    gallery_mean = fitted_on(gallery, None, "gallery").mean(dim=0)
    return like(as_double(query) - query_mean, query), like(as_double(gallery) - gallery_mean, gallery)


def standardize(values: torch.Tensor, reference: torch.Tensor | None = None) -> torch.Tensor:
    """Mean 0 and standard deviation 1 in every feature. Calibrated with `reference`, else transductive.

    With one subject's vectors this is the per-subject standardisation of the field. A feature that is constant in what
    is fitted is centred only.

    Args:
        values: (N, D), of one subject or of the gallery.
        reference: (R, D) vectors of the training split whose mean and standard deviation (dividing by R) are used;
            `None` takes those of `values`.

    Returns:
        (N, D), in float32 or wider.

    Raises:
        TypeError, ValueError: if the two are not matrices of one width, or what is fitted on has no finite row.
    """
    fitted = fitted_on(values, reference)
    deviation = fitted.std(dim=0, correction=0)
    return like((as_double(values) - fitted.mean(dim=0)) / deviation.masked_fill(deviation == 0, 1.0), values)


def whiten(
    values: torch.Tensor, reference: torch.Tensor | None = None, shrinkage: float | None = None
) -> torch.Tensor:
    """Mean 0 and unit covariance. Calibrated with `reference`, else transductive.

    Turns the axes as little as possible: the zero-phase whitening of Kessy, Lewin & Strimmer (2018), multiplied with
    the power -1/2 of the covariance (1 - s) C + s tr(C) / D I. Queries are often fewer than features, and C alone
    could not be inverted. Where all rows that it is fitted on are equal, values are centred only.

    Args:
        values: (N, D), of either side.
        reference: (R, D) vectors of the training split whose mean and covariance are used; `None` takes those of
            `values`.
        shrinkage: s in [0, 1]; `None` estimates it after Ledoit & Wolf (2004).

    Returns:
        (N, D), in float32 or wider.

    Raises:
        TypeError, ValueError: as [`standardize`], and if `shrinkage` is impossible or too small for so few rows.
    """
    if shrinkage is not None and not 0 <= shrinkage <= 1:
        raise ValueError(f"shrinkage is {shrinkage}: expected a number from 0 to 1, or None for Ledoit and Wolf's.")
    fitted = fitted_on(values, reference)
    mean = fitted.mean(dim=0)
    if (fitted == fitted[:1]).all():  # what the difference to the computed mean holds is rounding
        return like(as_double(values) - mean, values)
    centred = fitted - mean
    if shrinkage is None:
        from sklearn.covariance import ledoit_wolf_shrinkage

        shrinkage = float(ledoit_wolf_shrinkage(centred.cpu().numpy(), assume_centered=True))
    covariance = centred.T @ centred / len(centred) * (1 - shrinkage)
    covariance.diagonal().add_(shrinkage * centred.square().sum() / centred.numel())
    sizes, axes = torch.linalg.eigh(covariance)
    if sizes[0] <= sizes[-1] * len(sizes) * torch.finfo(sizes.dtype).eps:
        raise ValueError(
            f"the covariance of {len(fitted)} rows in {len(sizes)} features has directions without variance at "
            f"shrinkage {shrinkage:.3g}: give more rows that differ, or a larger shrinkage."
        )
    return like((as_double(values) - mean) @ (axes / sizes.sqrt()) @ axes.T, values)


def csls_scores(
    query: torch.Tensor, gallery: torch.Tensor, k: int = 10, reference: torch.Tensor | None = None
) -> torch.Tensor:
    """2 cos(query, gallery) - r_query - r_gallery: cosine less how near everything is to either.

    Calibrated with `reference`, else transductive. Cross-domain similarity local scaling of Conneau et al. (ICLR 2018,
    sec. 2.3), against gallery entries that are near to every query. r_query is the mean of the k highest cosines of
    the query with the gallery, r_gallery that of the entry with the queries.

    Args:
        query: (Q, D), need not be normalised: cosines are taken inside.
        gallery: (G, D).
        k: neighbours on each side; where a side has fewer, all of them (the field does the same with the gallery).
        reference: (R, D) vectors of the training split that stand in the queries' place in r_gallery (ours), so that a
            query's scores do not depend on the other queries; `None` takes the queries.

    Returns:
        (Q, G), in float32 or wider, for [`accuracy_from_scores`] and its like.

    Raises:
        TypeError, ValueError: if the matrices are not of one width with a row each, or k is no whole number of 1 or
            more.
    """
    k = whole_number("k", k, 1)
    check_sides(query, gallery)
    scores = similarity(query.detach(), gallery.detach())
    others = scores
    if reference is not None:
        check_sides(reference, gallery, "reference")
        others = similarity(reference.detach(), gallery.detach())
    near_query, near_gallery = mean_of_highest(scores, k, dim=1), mean_of_highest(others, k, dim=0)
    return scores.mul_(2).sub_(near_query[:, None]).sub_(near_gallery)


def orthogonal_alignment(
    query: torch.Tensor,
    gallery: torch.Tensor,
    reference: torch.Tensor | None = None,
    *,
    k: int = 10,
    iterations: int = 5,
    identity_weight: float = 1.0,
) -> torch.Tensor:
    """Turn the queries towards the gallery by a rotation found on pseudo-pairs. Calibrated or transductive.

    The refinement of Conneau et al. (ICLR 2018, sec. 2.2): vectors and entries that are each other's nearest by
    [`csls_scores`] are taken for pairs (X, Y), and the rotation W that brings X W nearest to Y is U V^T of the
    singular value decomposition of X^T Y (Schönemann 1966); again with the turned vectors, until the pairs stay. No
    label is used: pairs are guesses. Ours: `identity_weight` / D times the identity is added to the mean of x^T y,
    since pairs are often fewer than features and leave W undetermined; where they say nothing, W then turns nothing.

    Args:
        query: (Q, D), turned as given; pairs are sought among normalised vectors.
        gallery: (G, D) entries that pairs are sought in.
        reference: (R, D) unlabelled trials of the subject's training split that pairs are sought for; `None` seeks
            them for the queries.
        k: of [`csls_scores`].
        iterations: at most so many rounds.
        identity_weight: 0 or more; 0 is plain Procrustes.

    Returns:
        (Q, D), in float32 or wider; as given where nothing can be paired.

    Raises:
        TypeError, ValueError: if the matrices are not of one width, or a setting is impossible.
    """
    iterations = whole_number("iterations", iterations, 1)
    if not 0 <= identity_weight < torch.inf:
        raise ValueError(f"identity_weight is {identity_weight}: expected a finite number of 0 or more.")
    check_sides(query, gallery)
    if reference is not None:
        check_sides(reference, gallery, "reference")
    sought = torch.nn.functional.normalize(as_double(query if reference is None else reference), dim=1)
    entries = torch.nn.functional.normalize(as_double(gallery), dim=1)
    width = entries.shape[1]
    prior = torch.eye(width, dtype=entries.dtype, device=entries.device) * identity_weight / width
    rotation, pairs = torch.eye(width, dtype=entries.dtype, device=entries.device), None
    for _ in range(iterations):
        found = mutual_nearest(csls_scores(sought @ rotation, entries, k))
        if not len(found) or (pairs is not None and torch.equal(found, pairs)):
            break
        pairs = found
        left, _, right = torch.linalg.svd(sought[pairs[:, 0]].T @ entries[pairs[:, 1]] / len(pairs) + prior)
        rotation = left @ right
    return like(as_double(query) @ rotation, query)


def sinkhorn_scores(scores: torch.Tensor, temperature: float = 0.05, iterations: int = 50) -> torch.Tensor:
    """Logarithm of a plan in which every entry is wanted equally often. Transductive.

    exp(scores / temperature), with rows and columns scaled in turn (Sinkhorn's algorithm; Cuturi, NeurIPS 2013,
    Alg. 1) until each query gives 1 and each entry receives Q / G. It assumes that the pictures were shown equally
    often, which holds for a test split and not for a stream. Computed with logarithms, so that nothing becomes 0.

    Args:
        scores: (Q, G), higher is more similar; cosines for the default temperature.
        temperature: above 0; the lower, the nearer to an assignment.
        iterations: how often rows and columns are scaled, columns first.

    Returns:
        (Q, G) logarithms, in float32 or wider; their exponentials add up to 1 in every row.

    Raises:
        TypeError, ValueError: if scores are no matrix or hold +inf, or a setting is impossible.
    """
    iterations = whole_number("iterations", iterations, 1)
    if not 0 < temperature < torch.inf:
        raise ValueError(f"temperature is {temperature}: expected a finite number above 0.")
    check_scores(scores)
    logits = as_double(scores) / temperature
    unknown = logits.isnan()
    logits.masked_fill_(unknown, -torch.inf)
    row, column = logits.new_zeros(logits.shape[0]), logits.new_zeros(logits.shape[1])
    for _ in range(iterations):
        column = less_mass(logits.T, row)  # Q / G for each is a constant, which the rows undo
        row = less_mass(logits, column)
    return like(logits.add_(row[:, None]).add_(column).masked_fill_(unknown, torch.nan), scores)


def one_to_one_assignment(scores: torch.Tensor) -> torch.Tensor:
    """The gallery row of each query when no two may have the same, best in the sum of scores. Matching, not retrieval.

    `scipy.optimize.linear_sum_assignment`. It is given the queries and entries in a shuffled order (ours, always the
    same one): where scores tie, its own preference is for the diagonal, where the right entries often lie.

    Args:
        scores: (Q, G) with Q <= G, one subject's queries; higher is more similar.

    Returns:
        (Q,) int64 rows, on the CPU; -1 for a query that is left with an entry of score NaN or -inf.

    Raises:
        TypeError, ValueError: if scores are no matrix, hold +inf, or are of more queries than entries.
    """
    from scipy.optimize import linear_sum_assignment

    check_scores(scores)
    queries, entries = scores.shape
    if queries > entries:
        raise ValueError(f"scores are of {queries} queries and {entries} entries: match one subject at a time.")
    values = as_double(scores).cpu()
    possible = values.isfinite()
    if possible.any():
        lowest, highest = values[possible].aminmax()
        # One impossible entry costs more than all queries together can win.
        values = values.masked_fill(~possible, float(lowest - queries * (highest - lowest) - 1))
    else:
        values = torch.zeros_like(values)
    shuffle = torch.Generator().manual_seed(0)
    rows, columns = torch.randperm(queries, generator=shuffle), torch.randperm(entries, generator=shuffle)
    first, second = map(torch.from_numpy, linear_sum_assignment(values[rows][:, columns].numpy(), maximize=True))
    assigned = torch.empty(queries, dtype=torch.int64)
    assigned[rows[first]] = columns[second]
    return assigned.masked_fill(~possible.gather(1, assigned[:, None])[:, 0], -1)


def matching_accuracy(scores: torch.Tensor, target: torch.Tensor) -> float:
    """Fraction of queries that [`one_to_one_assignment`] gives a right entry. Matching, not retrieval.

    Of assignments that are equally good to a billionth of the range of the scores, one with few right entries is taken
    (ours), so that a model that maps everything onto one point scores 0 here too.

    Args:
        scores: (Q, G) with Q <= G, one subject's queries.
        target: (Q,) rows or (Q, G) mask.

    Raises:
        TypeError, ValueError: as [`one_to_one_assignment`] and [`accuracy_from_scores`].
    """
    right = target_mask(scores, target).cpu()
    values = as_double(scores).cpu()
    known = values[values.isfinite()]
    hair = _HAIR * max(float(known.max() - known.min()), 1.0) if len(known) else 0.0
    assigned = one_to_one_assignment(values - hair * right)
    found = right.gather(1, assigned.clamp(min=0)[:, None])[:, 0] & (assigned >= 0)
    return int(found.sum()) / len(found)
