"""Ranks and hits against counting by hand, n-way accuracy against every gallery that could be drawn."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroclip_hf.metrics import accuracy_from_scores, hits_from_scores, n_way_accuracy, ranks_from_scores

NAN, INF = float("nan"), float("inf")
LEVELS = st.sampled_from([0.0, 0.25, 0.5, 1.0, NAN, INF, -INF])  # few, so that there are ties


@st.composite
def rankings(draw, most_entries=6):
    """Scores and a mask with a right and a wrong entry for each query."""
    queries, entries = draw(st.integers(1, 4)), draw(st.integers(2, most_entries))
    scores = [[draw(LEVELS) for _ in range(entries)] for _ in range(queries)]
    right = [draw(st.sets(st.integers(0, entries - 1), min_size=1, max_size=entries - 1)) for _ in range(queries)]
    mask = [[entry in some for entry in range(entries)] for some in right]
    return torch.tensor(scores), torch.tensor(mask)


def stands_before(wrong, best):
    return math.isnan(wrong) or wrong >= best


def best_of(row, right):
    known = [score for score, good in zip(row, right, strict=True) if good and not math.isnan(score)]
    return max(known, default=-INF)


def rank_by_counting(row, right):
    best = best_of(row, right)
    return sum(stands_before(score, best) for score, good in zip(row, right, strict=True) if not good)


def n_way_by_enumeration(scores, mask, n, k):
    found = []
    for row, right in zip(scores.tolist(), mask.tolist(), strict=True):
        best = best_of(row, right)
        wrong = [score for score, good in zip(row, right, strict=True) if not good]
        galleries = list(itertools.combinations(wrong, n - 1))
        found.append(sum(sum(stands_before(one, best) for one in drawn) < k for drawn in galleries) / len(galleries))
    return sum(found) / len(found)


def test_ranks_by_hand():
    scores = torch.tensor([[0.9, 0.5, 0.1], [0.5, 0.5, 0.5], [NAN, 0.2, 0.1], [0.3, NAN, 0.1]])
    ranks = ranks_from_scores(scores, torch.tensor([0, 1, 0, 0]))
    assert ranks.tolist() == [0, 2, 2, 1]
    assert (ranks.dtype, ranks.device.type) == (torch.int64, "cpu")
    hits = hits_from_scores(scores, torch.tensor([0, 1, 0, 0]), ks=(1, 2))
    assert {name: hit.tolist() for name, hit in hits.items()} == {
        "top1": [True, False, False, False],
        "top2": [True, False, False, True],
    }


@given(rankings())
def test_ranks_are_what_counting_gives(ranking):
    scores, mask = ranking
    expected = [rank_by_counting(*pair) for pair in zip(scores.tolist(), mask.tolist(), strict=True)]
    assert ranks_from_scores(scores, mask).tolist() == expected
    hits = hits_from_scores(scores, mask, ks=(1, 2, 5))
    assert {name: hit.double().mean().item() for name, hit in hits.items()} == pytest.approx(
        accuracy_from_scores(scores, mask, ks=(1, 2, 5))
    )


def test_n_way_by_hand():
    scores = torch.tensor([[0.5, 0.9, 0.1, 0.2]])  # one of three wrong entries stands before the right one
    right = torch.tensor([0])
    assert n_way_accuracy(scores, right, n=2) == pytest.approx(2 / 3)
    assert n_way_accuracy(scores, right, n=3) == pytest.approx(1 / 3)  # of three pairs of wrong ones, one is harmless
    assert n_way_accuracy(scores, right, n=4) == 0
    assert n_way_accuracy(scores, right, n=3, k=2) == n_way_accuracy(scores, right, n=2, k=5) == 1


@settings(max_examples=200)
@given(rankings(), st.integers(2, 6), st.integers(1, 4))
def test_n_way_is_the_mean_over_all_galleries(ranking, n, k):
    scores, mask = ranking
    most = int((~mask).sum(dim=1).min()) + 1
    n = min(n, most)
    assert n_way_accuracy(scores, mask, n, k) == pytest.approx(n_way_by_enumeration(scores, mask, n, k), abs=1e-12)


@given(st.integers(2, 30), st.integers(0, 10**6))
def test_with_every_wrong_entry_drawn_it_is_the_plain_accuracy(entries, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 5, (7, entries), generator=generator).double()
    target = torch.randint(0, entries, (7,), generator=generator)
    plain = accuracy_from_scores(scores, target, ks=(1, 5))
    assert n_way_accuracy(scores, target, entries) == plain["top1"]
    assert n_way_accuracy(scores, target, entries, k=5) == plain["top5"]


def test_n_way_of_guessing_and_of_a_collapsed_model():
    scores = torch.randn(2000, 50, generator=torch.Generator().manual_seed(0))
    for n in (2, 10, 50):
        assert n_way_accuracy(scores, torch.arange(2000) % 50, n) == pytest.approx(1 / n, abs=0.02)
    assert n_way_accuracy(torch.zeros(3, 50), torch.arange(3), 2) == 0
    assert n_way_accuracy(torch.full((3, 50), NAN), torch.arange(3), 2) == 0


def test_n_way_in_a_large_gallery_is_exact():
    scores = torch.zeros(1, 16540)
    scores[0, 1:101] = 2.0  # a hundred stand before the right one
    scores[0, 0] = 1.0
    # log of the product of (W - b - i) / (W - i) over the n - 1 draws
    expected = math.exp(math.fsum(math.log1p(-100 / (16539 - drawn)) for drawn in range(199)))
    assert n_way_accuracy(scores, torch.tensor([0]), 200) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n", [1, 0, 2.5, NAN, "two"])
def test_impossible_n_are_named(n):
    with pytest.raises(ValueError, match=f"n is {n!r}: expected a whole number of 2 or more"):
        n_way_accuracy(torch.zeros(1, 3), torch.tensor([0]), n)


def test_a_gallery_with_too_few_wrong_entries_is_named():
    mask = torch.tensor([[True, False, False, False], [True, True, False, False]])
    with pytest.raises(
        ValueError, match="n is 4, and the gallery holds 2 wrong entries for query 1: n may be 3 at most"
    ):
        n_way_accuracy(torch.zeros(2, 4), mask, 4)


@pytest.mark.parametrize("measure", [ranks_from_scores, hits_from_scores, accuracy_from_scores])
def test_what_is_no_tensor_is_named(measure):
    with pytest.raises(TypeError, match=r"scores is a list: expected a torch\.Tensor"):
        measure([[0.1, 0.2]], torch.tensor([0]))
    with pytest.raises(TypeError, match=r"target is a list"):
        measure(torch.zeros(1, 2), [0])
