"""Calibrations against their definitions, written out; what they must not touch; and what must not win."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neuroclip_hf.metrics import (
    _neighbours,
    accuracy_from_scores,
    center,
    csls_scores,
    matching_accuracy,
    n_way_accuracy,
    one_to_one_assignment,
    orthogonal_alignment,
    ranks_from_scores,
    retrieval_accuracy,
    similarity,
    sinkhorn_scores,
    standardize,
    whiten,
)

NAN, INF = float("nan"), float("inf")
SIZES = st.integers(1, 7)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def turn(width, size, seed=0):
    steps = normal(width, width, seed=seed)
    return torch.matrix_exp((steps - steps.T) * size)


# Centring, standardising, whitening


def test_centring_by_hand_without_normalising():
    query, gallery = torch.tensor([[1.0, 2.0], [3.0, 8.0]]), torch.tensor([[10.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
    centred = center(query, gallery)
    assert centred[0].tolist() == [[-1, -3], [1, 3]]
    torch.testing.assert_close(centred[1], torch.tensor([[6.0, -1.0], [-4.0, 0.0], [-2.0, 1.0]]))
    assert query.tolist() == [[1, 2], [3, 8]]  # as it was


def test_a_reference_centres_the_queries_and_not_the_gallery():
    query, gallery, reference = normal(3, 4), normal(5, 4, seed=1), 7 + normal(9, 4, seed=2)
    reference[4] = NAN
    centred, centred_gallery = center(query, gallery, reference)
    torch.testing.assert_close(centred, query - reference[[0, 1, 2, 3, 5, 6, 7, 8]].mean(dim=0))
    torch.testing.assert_close(centred_gallery, center(query, gallery)[1], rtol=0, atol=0)


def test_centring_finds_what_a_shift_had_hidden():
    gallery = normal(50, 20)
    query = gallery + 5 * normal(1, 20, seed=1)
    assert retrieval_accuracy(query, gallery, torch.arange(50))["top1"] < 0.3
    assert retrieval_accuracy(*center(query, gallery), torch.arange(50))["top1"] == 1


def test_standardising_by_hand():
    values = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    assert standardize(values).tolist() == [[-1, 0], [1, 0]]
    reference = torch.tensor([[0.0, 1.0], [4.0, 1.0]])  # means 2 and 1, deviations 2 and none
    assert standardize(values, reference).tolist() == [[-0.5, 4], [0.5, 4]]


def test_equal_numbers_are_not_blown_up_by_their_rounding():
    reference = torch.full((11, 2), 0.1, dtype=torch.float64)
    assert 0 < (reference.mean(dim=0) - 0.1).abs().max() < 1e-12
    for calibrate in (standardize, whiten):
        assert calibrate(reference[:3], reference).abs().max() < 1e-12
        found = calibrate(torch.ones(3, 2).double(), reference)
        torch.testing.assert_close(found, torch.full((3, 2), 0.9).double())


@pytest.mark.parametrize("shrinkage", [None, 0.0, 0.3])
def test_whitening_gives_unit_covariance_to_what_it_was_fitted_on(shrinkage):
    reference = normal(4000, 3) @ torch.tensor([[3.0, 1, 0], [0, 2, 0], [0, 0, 0.5]]).double() + 4
    white = whiten(reference, shrinkage=shrinkage)
    torch.testing.assert_close(white.mean(dim=0), torch.zeros(3).double(), atol=1e-9, rtol=0)
    if shrinkage != 0.3:
        torch.testing.assert_close(
            white.T @ white / 4000, torch.eye(3).double(), atol=5e-2 if shrinkage is None else 1e-9, rtol=0
        )
    values = normal(5, 3, seed=1)
    torch.testing.assert_close(
        whiten(values, reference, shrinkage), whiten_by_definition(values, reference, shrinkage)
    )


def whiten_by_definition(values, reference, shrinkage):
    from sklearn.covariance import ledoit_wolf, shrunk_covariance

    covariance = torch.cov(reference.T, correction=0).numpy()
    shrunk = ledoit_wolf(reference.numpy())[0] if shrinkage is None else shrunk_covariance(covariance, shrinkage)
    sizes, axes = torch.linalg.eigh(torch.as_tensor(shrunk))
    return (values - reference.mean(dim=0)) @ axes @ torch.diag(sizes**-0.5) @ axes.T


def test_fewer_rows_than_features_are_whitened_by_shrinkage_only():
    values = normal(10, 30)
    assert whiten(values).isfinite().all()
    with pytest.raises(ValueError, match=r"10 rows in 30 features .* shrinkage 0: give more rows .* larger shrinkage"):
        whiten(values, shrinkage=0)


# CSLS


def csls_by_definition(query, gallery, k, reference=None):
    def to_gallery(vectors):
        return [[float(torch.cosine_similarity(one, entry, dim=0)) for entry in gallery] for one in vectors]

    cosines = to_gallery(query)
    columns = zip(*(cosines if reference is None else to_gallery(reference)), strict=True)

    def nearness(values):
        highest = sorted(values, reverse=True)[:k]
        return sum(highest) / len(highest)

    of_query, of_entry = [nearness(row) for row in cosines], [nearness(column) for column in columns]
    return torch.tensor(
        [
            [2 * cosine - of_query[row] - of_entry[column] for column, cosine in enumerate(cosines[row])]
            for row in range(len(query))
        ],
        dtype=torch.float64,
    )


def test_csls_by_hand():
    query, gallery = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 5.0]])
    # Cosines 1 1 0 / 0 0 1. The highest of each row and column is 1.
    assert csls_scores(query, gallery, k=1).tolist() == [[0, 0, -2], [-2, -2, 0]]
    # Means of two: rows 1 and 0.5, columns 0.5 each.
    assert csls_scores(query, gallery, k=2).tolist() == [[0.5, 0.5, -1.5], [-1, -1, 1]]
    third = torch.tensor([[2 - 2 / 3 - 0.5] * 2 + [-2 / 3 - 0.5], [-1 / 3 - 0.5] * 2 + [2 - 1 / 3 - 0.5]])
    torch.testing.assert_close(csls_scores(query, gallery), third)  # ten are not there: all are taken


@given(SIZES, SIZES, SIZES, st.integers(1, 9), st.integers(0, 99))
def test_csls_is_its_definition(queries, entries, width, k, seed):
    query, gallery = 3 * normal(queries, width, seed=seed), normal(entries, width, seed=seed + 1)
    torch.testing.assert_close(csls_scores(query, gallery, k), csls_by_definition(query, gallery, k))


@given(SIZES, SIZES, SIZES, st.integers(1, 9), st.integers(0, 99))
def test_csls_with_a_reference_asks_it_how_near_entries_are_to_everything(queries, entries, width, k, seed):
    query, gallery, reference = (3 * normal(rows, width, seed=seed + rows) for rows in (queries, entries, queries + 4))
    found = csls_scores(query, gallery, k, reference)
    torch.testing.assert_close(found, csls_by_definition(query, gallery, k, reference))
    torch.testing.assert_close(csls_scores(query[:1], gallery, k, reference), found[:1])  # no query asks the others


def test_csls_in_pieces_is_the_same(monkeypatch):
    query, gallery = normal(9, 5), normal(7, 5, seed=1)
    whole = csls_scores(query, gallery, 3)
    monkeypatch.setattr(_neighbours, "AT_ONCE", 10)
    torch.testing.assert_close(csls_scores(query, gallery, 3), whole, rtol=0, atol=0)


def test_csls_takes_the_hub_away():
    target, common = torch.arange(100), torch.full((1, 30), 1.3).double()
    entries = normal(100, 30)
    query, gallery = entries + common, torch.cat([entries, common])  # the last entry is near to all
    assert accuracy_from_scores(similarity(query, gallery), target)["top1"] < 0.3
    assert accuracy_from_scores(csls_scores(query, gallery), target)["top1"] > 0.8


def test_nan_spoils_its_own_row_and_column_only_and_never_wins():
    query, gallery = normal(6, 4), normal(5, 4, seed=1)
    query[2], gallery[3] = NAN, NAN
    rows, columns = [0, 1, 3, 4, 5], [0, 1, 2, 4]
    alone = query[rows], gallery[columns]
    scores = csls_scores(query, gallery, 3)
    torch.testing.assert_close(scores[rows][:, columns], csls_scores(*alone, 3))
    assert scores[2].isnan().all()
    assert scores[:, 3].isnan().all()
    torch.testing.assert_close(csls_scores(query, gallery)[rows][:, columns], csls_scores(*alone))  # all, at k = 10
    assert ranks_from_scores(scores, torch.full((6,), 3)).tolist() == [4] * 6
    for found, expected in zip(center(query, gallery), center(*alone), strict=True):
        torch.testing.assert_close(found[~found.isnan().any(dim=1)], expected)
    for calibrate in (standardize, whiten):
        torch.testing.assert_close(calibrate(query)[rows], calibrate(query[rows]))
        torch.testing.assert_close(calibrate(gallery, query), calibrate(gallery, query[rows]), equal_nan=True)
    torch.testing.assert_close(
        orthogonal_alignment(query, gallery)[rows], orthogonal_alignment(query[rows], gallery[columns])
    )


@pytest.mark.parametrize("calibrate", [csls_scores, lambda *sides: similarity(*center(*sides))])
def test_ties_count_against_the_model_after_calibration_too(calibrate):
    target, query = torch.arange(20), normal(20, 33, dtype=torch.float32)
    same = calibrate(query, torch.ones(20, 33))
    twice = calibrate(query, torch.cat([query, query]))
    for scores in (same, twice, sinkhorn_scores(same), sinkhorn_scores(twice)):
        assert accuracy_from_scores(scores, target)["top1"] == 0
    assert n_way_accuracy(same, target, 2) == 0
    assert accuracy_from_scores(twice, target, ks=(2,))["top2"] == 1


# Alignment


def test_a_small_turn_is_turned_back():
    gallery, rotation = normal(400, 8), turn(8, 0.08)
    query = gallery @ rotation
    aligned = orthogonal_alignment(query, gallery, identity_weight=0)
    torch.testing.assert_close(aligned, gallery, atol=1e-6, rtol=0)
    near = orthogonal_alignment(query, gallery)
    assert similarity(near, gallery).diagonal().min() > similarity(query, gallery).diagonal().min()


def test_what_is_fitted_on_reference_trials_is_applied_to_the_queries():
    gallery, rotation = normal(400, 8), turn(8, 0.08)
    other = 7 * normal(5, 8, seed=3)
    aligned = orthogonal_alignment(other @ rotation, gallery, reference=gallery @ rotation, identity_weight=0)
    torch.testing.assert_close(aligned, other, atol=1e-6, rtol=0)


def test_an_alignment_turns_and_does_not_stretch():
    query, gallery = normal(6, 12), normal(30, 12, seed=1)
    aligned = orthogonal_alignment(query, gallery)
    torch.testing.assert_close(aligned @ aligned.T, query @ query.T)
    assert not torch.allclose(aligned, query)
    # The more the identity weighs, the less is turned.
    heavy = orthogonal_alignment(query, gallery, identity_weight=1e9)
    torch.testing.assert_close(heavy, query, atol=1e-6, rtol=0)


def test_where_nothing_can_be_paired_nothing_is_turned():
    query = torch.full((3, 4), NAN)
    assert orthogonal_alignment(query, normal(5, 4)).isnan().all()
    torch.testing.assert_close(orthogonal_alignment(normal(3, 4), normal(5, 4), reference=query), normal(3, 4))


def test_only_each_others_nearest_are_pairs():
    scores = torch.tensor([[0.9, 0.8, 0.1], [0.95, 0.2, 0.3], [0.1, 0.85, NAN], [NAN, NAN, NAN]])
    assert _neighbours.mutual_nearest(scores).tolist() == [[1, 0], [2, 1]]


# Sinkhorn and matching


def test_sinkhorn_by_hand():
    scores = torch.log(torch.tensor([[1.0, 1.0], [1.0, 3.0]]))
    # Scaling keeps the ratio of diagonals 3, and both sums are 1: a b / (1 - a)^2 = 3 with a = b.
    same = math.sqrt(3) / (1 + math.sqrt(3))
    expected = torch.tensor([[same, 1 - same], [1 - same, same]])
    torch.testing.assert_close(sinkhorn_scores(scores, temperature=1, iterations=100).exp(), expected)
    torch.testing.assert_close(
        sinkhorn_scores(2 * scores, temperature=2, iterations=100), sinkhorn_scores(scores, 1, 100)
    )


@given(SIZES, SIZES, st.integers(0, 99), st.sampled_from([0.3, 2.0]))
def test_every_query_gives_one_and_every_entry_receives_as_much(queries, entries, seed, temperature):
    plan = sinkhorn_scores(normal(queries, entries, seed=seed).tanh(), temperature, iterations=200).exp()
    torch.testing.assert_close(plan.sum(dim=1), torch.ones(queries).double())
    torch.testing.assert_close(
        plan.sum(dim=0), torch.full((entries,), queries / entries).double(), atol=1e-2, rtol=1e-2
    )


def test_sinkhorn_survives_low_temperatures_and_nan_never_wins():
    scores = normal(8, 8, dtype=torch.float32)
    scores[1], scores[:, 2], scores[3, 3] = NAN, NAN, -INF
    plan = sinkhorn_scores(scores, temperature=1e-4)
    assert plan.isnan().sum() == 15
    assert plan[3, 3] == -INF
    rows = [0, 2, 3, 4, 5, 6, 7]
    torch.testing.assert_close(plan[rows].nan_to_num(nan=-INF, neginf=-INF).exp().sum(dim=1), torch.ones(7))
    assert ranks_from_scores(plan, torch.full((8,), 2)).tolist() == [7] * 8


@given(st.integers(1, 4), st.integers(0, 2), st.integers(0, 99))
def test_the_assignment_is_the_best_of_all(queries, more, seed):
    scores = normal(queries, queries + more, seed=seed)
    assigned = one_to_one_assignment(scores)
    best = max(
        itertools.permutations(range(queries + more), queries),
        key=lambda rows: sum(float(scores[query, row]) for query, row in enumerate(rows)),
    )
    assert tuple(assigned.tolist()) == best
    assert matching_accuracy(scores, torch.tensor(best)) == 1


def test_matching_finds_what_retrieval_does_not():
    scores = torch.tensor([[0.9, 0.8, 0.0], [0.9, 0.1, 0.0], [0.5, 0.0, 0.4]])
    target = torch.tensor([1, 0, 2])
    assert accuracy_from_scores(scores, target, ks=(1,))["top1"] == pytest.approx(1 / 3)
    assert one_to_one_assignment(scores).tolist() == [1, 0, 2]
    assert matching_accuracy(scores, target) == 1
    assert matching_accuracy(scores, target.roll(1)) == 0
    assert matching_accuracy(scores, torch.nn.functional.one_hot(target, 3).bool()) == 1


def test_a_collapsed_model_is_not_matched_along_the_diagonal():
    for scores in (torch.zeros(50, 50), torch.ones(50, 60), torch.arange(50.0)[:, None].repeat(1, 50)):
        assert (one_to_one_assignment(scores) == torch.arange(50)).float().mean() < 0.2
        assert matching_accuracy(scores, torch.arange(50)) == 0


def test_what_can_never_be_right_is_left_over():
    scores = torch.tensor([[NAN, 0.9, 0.1], [0.2, 0.8, NAN], [NAN, NAN, -INF]])
    assert one_to_one_assignment(scores).tolist() == [1, 0, -1]
    assert matching_accuracy(scores, torch.tensor([1, 0, 0])) == pytest.approx(2 / 3)
    assert one_to_one_assignment(torch.tensor([[0.9, 0.0], [0.8, NAN]])).tolist() == [1, 0]  # 0.8 in all, not 0.9
    assert one_to_one_assignment(torch.full((2, 3), NAN)).tolist() == [-1, -1]


# All of them


TRANSFORMS = [
    lambda query, gallery: center(query, gallery)[0],
    lambda query, gallery: standardize(query, gallery),
    lambda query, gallery: whiten(query, gallery),
    lambda query, gallery: csls_scores(query, gallery),
    lambda query, gallery: orthogonal_alignment(query, gallery),
    lambda query, gallery: sinkhorn_scores(query),
]


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_precision_is_at_least_float32_and_inputs_stay(transform, dtype):
    query, gallery = normal(6, 4).to(dtype).requires_grad_(), normal(9, 4, seed=1).to(dtype)
    before = query.detach().clone(), gallery.clone()
    result = transform(query, gallery)
    assert result.dtype == torch.promote_types(dtype, torch.float32)
    assert not result.requires_grad
    assert torch.equal(query, before[0])
    assert torch.equal(gallery, before[1])


@pytest.mark.parametrize("function", [center, csls_scores, orthogonal_alignment])
def test_sides_that_do_not_fit_are_named(function):
    with pytest.raises(ValueError, match=r"query is \(2, 3\) and gallery \(2, 4\)"):
        function(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"gallery are \(0, 3\)"):
        function(torch.zeros(2, 3), torch.zeros(0, 3))
    with pytest.raises(TypeError, match="query is a list"):
        function([[0.0]], torch.zeros(1, 1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: standardize(torch.zeros(2, 3), torch.zeros(2, 4)), r"values are \(2, 3\) and reference \(2, 4\)"),
        (lambda: whiten(torch.full((2, 3), NAN)), r"values \(2, 3\) have NaN or inf in every row"),
        (lambda: center(normal(2, 3), torch.full((1, 3), INF)), r"gallery \(1, 3\) have NaN or inf in every row"),
        (lambda: whiten(normal(9, 3), shrinkage=1.5), r"shrinkage is 1\.5: expected a number from 0 to 1"),
        (
            lambda: csls_scores(normal(2, 3), normal(2, 3), reference=normal(4, 2)),
            r"reference is \(4, 2\) and gallery",
        ),
        (lambda: center(normal(2, 3), normal(2, 3), normal(4, 2)), r"reference \(4, 2\)"),
        (lambda: csls_scores(normal(2, 3), normal(2, 3), k=0), "k is 0: expected a whole number of 1 or more"),
        (lambda: orthogonal_alignment(normal(2, 3), normal(2, 3), iterations=0), "iterations is 0"),
        (lambda: orthogonal_alignment(normal(2, 3), normal(2, 3), identity_weight=-1), "identity_weight is -1"),
        (lambda: orthogonal_alignment(normal(2, 3), normal(2, 3), normal(2, 4)), r"reference is \(2, 4\) and gallery"),
        (lambda: sinkhorn_scores(normal(2, 3), temperature=0), "temperature is 0: expected a finite number above 0"),
        (lambda: sinkhorn_scores(normal(2, 3), iterations=0), "iterations is 0"),
        (lambda: sinkhorn_scores(torch.full((2, 2), INF)), "scores hold inf"),
        (lambda: one_to_one_assignment(torch.full((2, 2), INF)), "scores hold inf"),
        (lambda: one_to_one_assignment(normal(3, 2)), "3 queries and 2 entries: match one subject at a time"),
        (lambda: matching_accuracy(normal(2, 2), torch.tensor([0, 2])), "row 2 in a gallery of 2"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
