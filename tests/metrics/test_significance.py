"""Intervals and tests against brute force, against their own promise on noise, and the same in every run."""

import doctest
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from neuroclip_hf.metrics import (
    _every_target,
    accuracy_from_scores,
    bootstrap_interval,
    compare_paired,
    permutation_test,
    ranks_from_scores,
    significance,
)

NAN = float("nan")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def coins(count, chance=0.5, seed=0):
    return torch.rand(count, generator=generator(seed)) < chance


def subjects(number, each):
    return [f"sub-{subject:02}" for subject in range(1, number + 1) for _ in range(each)]


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(significance).attempted > 0
    assert doctest.testmod(significance).failed == 0


def test_nothing_global_is_drawn_from():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - to see that nobody uses it
    compare_paired(coins(50), coins(50, seed=1), subjects(5, 10))
    permutation_test(torch.eye(6), torch.arange(6))
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002


# Intervals


def test_the_interval_of_hits_is_that_of_a_binomial():
    hits = torch.arange(200) < 60
    low, high = (stats.binom.ppf(level, 200, 0.3) / 200 for level in (0.025, 0.975))
    interval = bootstrap_interval(hits, resamples=20000)
    assert (interval.low, interval.high) == (pytest.approx(low, abs=0.006), pytest.approx(high, abs=0.006))
    assert interval[2:] == (0.3, 0.95, 20000, "queries")


def test_the_interval_of_other_values_is_that_of_drawn_rows():
    values = torch.randn(40, generator=generator(), dtype=torch.float64).exp()
    rows = np.random.default_rng(9).integers(0, 40, (20000, 40))
    low, high = np.quantile(values.numpy()[rows].mean(axis=1), [0.05, 0.95])
    interval = bootstrap_interval(values, level=0.9, resamples=20000)
    assert (interval.low, interval.high) == (pytest.approx(low, abs=0.02), pytest.approx(high, abs=0.02))
    assert interval.estimate == pytest.approx(float(values.mean()))


def test_five_subjects_are_resampled_and_four_are_not():
    five = torch.arange(5).repeat_interleave(40)
    hits = five < 2  # each subject always hits, or never: all that varies is who takes part
    interval = bootstrap_interval(hits, five, resamples=20000)
    low, high = (stats.binom.ppf(level, 5, 0.4) / 5 for level in (0.025, 0.975))
    assert interval[:] == (low, high, 0.4, 0.95, 20000, "subjects and queries")
    four = hits[five < 4]
    assert bootstrap_interval(four, five[five < 4])[:3] == (0.5, 0.5, 0.5)
    assert bootstrap_interval(four, five[five < 4]).over == "queries within subjects"


def test_subjects_and_queries_are_drawn_as_nested_rows_are():
    sizes = [10, 20, 30, 15, 25, 20]
    names = np.repeat(np.arange(6), sizes)
    values = coins(120, 0.4).numpy() * (0.5 + names / 6)
    draw, means = np.random.default_rng(5), []
    for _ in range(8000):
        drawn = [
            draw.choice(values[names == subject], sizes[subject], replace=True) for subject in draw.integers(0, 6, 6)
        ]
        means.append(np.concatenate(drawn).mean())
    low, high = np.quantile(means, [0.025, 0.975])
    interval = bootstrap_interval(torch.from_numpy(values), torch.from_numpy(names), resamples=20000)
    assert (interval.low, interval.high) == (pytest.approx(low, abs=0.015), pytest.approx(high, abs=0.015))
    # Queries alone would vary less.
    within = bootstrap_interval(torch.from_numpy(values), resamples=20000)
    assert interval.high - interval.low > 1.2 * (within.high - within.low)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    covered = 0
    for seed in range(300):
        interval = bootstrap_interval(coins(100, 0.3, seed), resamples=500, seed=seed)
        covered += interval.low <= 0.3 <= interval.high
    assert 0.90 <= covered / 300 <= 0.98


@given(
    st.lists(st.floats(-3, 3), min_size=1, max_size=30),
    st.integers(1, 9),
    st.floats(0.01, 0.99),
    st.integers(1, 40),
    st.integers(0, 99),
)
def test_the_estimate_lies_inside_and_the_rows_order_does_not_matter(values, groups, level, resamples, seed):
    hits, names = torch.tensor(values), torch.arange(len(values)) % groups
    interval = bootstrap_interval(hits, names, level, resamples, seed)
    assert interval.low <= interval.estimate <= interval.high
    assert interval.estimate == pytest.approx(float(hits.double().mean()))
    assert interval == bootstrap_interval(hits, names, level, resamples, seed)
    assert bootstrap_interval(hits.flip(0), names.flip(0), level, resamples, seed)[:2] == pytest.approx(interval[:2])


def test_seed_and_level_do_something():
    hits = coins(77)
    assert bootstrap_interval(hits) != bootstrap_interval(hits, seed=1)
    wide, narrow = bootstrap_interval(hits, level=0.99), bootstrap_interval(hits, level=0.5)
    assert wide.low < narrow.low < narrow.high < wide.high
    assert bootstrap_interval(torch.ones(9))[:3] == (1, 1, 1)


# Permutations


def test_p_by_enumeration():
    scores = torch.rand(5, 5, generator=generator(3)) + 0.4 * torch.eye(5)
    target = torch.arange(5)
    found = accuracy_from_scores(scores, target, ks=(1,))["top1"]
    others = [
        accuracy_from_scores(scores, torch.tensor(order), ks=(1,))["top1"]
        for order in itertools.permutations(range(5))
    ]
    exact = np.mean([other >= found for other in others])
    result = permutation_test(scores, target, permutations=20000)
    assert 0.02 < exact < 0.9
    assert result[1:] == (found, 20000)
    assert result.p == pytest.approx(exact, abs=0.01)


def test_a_perfect_model_has_the_smallest_p():
    assert permutation_test(torch.eye(50), torch.arange(50)) == (0.001, 1.0, 999)
    assert permutation_test(torch.eye(50), torch.arange(50), permutations=99).p == 0.01


@pytest.mark.parametrize("scores", [torch.zeros(30, 30), torch.full((30, 30), NAN), torch.eye(30).roll(1, 0)])
def test_a_model_that_finds_nothing_has_p_1(scores):
    assert permutation_test(scores, torch.arange(30)) == (1.0, 0.0, 999)


def test_on_noise_p_is_uniform():
    found = [
        permutation_test(
            torch.randn(200, 4, generator=generator(seed)), torch.arange(200) % 4, permutations=199, seed=seed
        ).p
        for seed in range(200)
    ]
    for share in (0.05, 0.25, 0.5, 0.75):
        low, high = stats.binom.ppf([0.001, 0.999], 200, share)
        # The statistic is a number of hits, and equal ones count: p is a little too large, never too small.
        assert low - 8 <= sum(p <= share for p in found) <= high
    assert min(found) > 0


def test_targets_change_places_within_a_subject_only():
    # Each subject saw one picture, so there is nothing to exchange, and who was who explains all.
    names, target = subjects(4, 10), torch.arange(4).repeat_interleave(10)
    scores = torch.eye(4)[target]
    assert permutation_test(scores, target).p == 0.001
    assert permutation_test(scores, target, groups=names) == (1.0, 1.0, 999)


LEVELS = st.sampled_from([0.0, 0.5, 1.0, NAN, float("inf"), -float("inf")])


@given(st.data())
def test_every_target_is_ranked_as_ranks_are(data):
    queries, entries, k = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 6)), data.draw(st.integers(1, 7))
    scores = torch.tensor([[data.draw(LEVELS) for _ in range(entries)] for _ in range(queries)])
    right = [data.draw(st.sets(st.integers(0, entries - 1), min_size=1)) for _ in range(queries)]
    mask = torch.tensor([[entry in some for entry in range(entries)] for some in right])
    hits, shown = _every_target.hits_of_every_target(scores, mask, k)
    for query in range(queries):
        given_to_all = mask[query].expand(queries, -1)
        expected = (ranks_from_scores(scores, given_to_all) < k).tolist()
        assert hits[:, shown[query]].tolist() == expected


def test_a_mask_and_rows_give_the_same_p_and_so_do_pieces(monkeypatch):
    scores, target = torch.randn(60, 12, generator=generator()), torch.arange(60) % 12
    rows = permutation_test(scores, target, k=2, groups=subjects(6, 10))
    mask = torch.nn.functional.one_hot(target, 12).bool()
    assert permutation_test(scores, mask, k=2, groups=subjects(6, 10)).statistic == rows.statistic
    assert rows.statistic == accuracy_from_scores(scores, target, ks=(2,))["top2"]
    monkeypatch.setattr(significance, "_AT_ONCE", 50)
    monkeypatch.setattr(_every_target, "AT_ONCE", 50)
    assert permutation_test(scores, mask, k=2, groups=subjects(6, 10)).p == pytest.approx(rows.p, abs=0.06)


# Two models


def test_the_paired_interval_is_that_of_the_differences():
    first, second, names = coins(100, 0.6), coins(100, 0.4, seed=1), subjects(5, 20)
    compared = compare_paired(first, second, names)
    interval = bootstrap_interval(first.double() - second.double(), names)
    assert (compared.low, compared.high, compared.difference) == interval[:3]
    assert compared[4:] == (0.95, 2000, "subjects and queries")
    assert compare_paired(second, first, names).difference == -compared.difference


def test_p_of_sign_flips_by_enumeration():
    differences = torch.tensor([1.0, 1.0, -1.0, 0.5, 0.0, 1.0, 0.5, 1.0])
    flips = np.array(list(itertools.product([-1, 1], repeat=8)))
    sums = np.abs(flips @ differences.numpy())
    exact = np.mean(sums >= float(differences.sum()))
    compared = compare_paired(differences, torch.zeros(8), resamples=20000)
    assert compared.p == pytest.approx(exact, abs=0.01)
    assert compare_paired(-differences, torch.zeros(8), resamples=20000).p == compared.p


def test_pairing_sees_what_the_two_intervals_apart_do_not():
    worse = coins(200, 0.5)
    better = worse | (torch.arange(200) % 10 == 0)
    compared = compare_paired(better, worse)
    assert compared.low > 0
    assert compared.p < 0.01
    assert bootstrap_interval(better).low < bootstrap_interval(worse).high


def test_equal_models_do_not_differ():
    hits = coins(50)
    assert compare_paired(hits, hits)[:4] == (0, 0, 0, 1)


def test_sums_that_are_equal_on_paper_count_as_equal():
    tenths = torch.tensor([0.1, 0.1, 0.1, -0.1], dtype=torch.float64)  # 10 of 16 sign patterns sum to 0.2 or 0.4
    assert compare_paired(tenths, torch.zeros(4), resamples=20000).p == pytest.approx(10 / 16, abs=0.02)


def test_on_noise_models_seldom_differ():
    found = [compare_paired(coins(80, 0.5, seed), coins(80, 0.5, seed + 1000), resamples=199).p for seed in range(200)]
    low, high = stats.binom.ppf([0.001, 0.999], 200, 0.05)
    assert low - 4 <= sum(p <= 0.05 for p in found) <= high


# Bad input


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hits": torch.zeros(0)}, r"hits are \(0,\)"),
        ({"hits": torch.zeros(2, 2)}, r"hits are \(2, 2\)"),
        ({"hits": torch.tensor([1.0, NAN])}, "hits hold nan for query 1: a missed query counts 0"),
        ({"groups": ["a", "b"]}, "groups has 2 entries for 3 queries"),
        ({"groups": "abc"}, "groups has 3 entries for 3 queries: expected the subject of each query"),
        ({"groups": ["a", None, "b"]}, "groups has None for query 1"),
        ({"groups": torch.tensor([0.0, 1.0, NAN])}, "groups has nan for query 2"),
        ({"level": 95}, "level is 95: expected a share between 0 and 1"),
        ({"level": 1.0}, r"level is 1\.0"),
        ({"resamples": 0}, "resamples is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 0.5}, r"seed is 0\.5"),
    ],
)
def test_what_no_interval_can_be_made_of_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(**{"hits": torch.ones(3), **settings})


def test_other_bad_input_is_named():
    with pytest.raises(ValueError, match="hits_a has 3 queries and hits_b 2"):
        compare_paired(torch.ones(3), torch.ones(2))
    with pytest.raises(ValueError, match="hits_b hold inf for query 0"):
        compare_paired(torch.ones(1), torch.full((1,), math.inf))
    for setting in ("permutations", "k"):
        with pytest.raises(ValueError, match=f"{setting} is 0"):
            permutation_test(torch.eye(3), torch.arange(3), **{setting: 0})
    with pytest.raises(ValueError, match="groups has 1 entries for 3 queries"):
        permutation_test(torch.eye(3), torch.arange(3), groups=["a"])
    with pytest.raises(TypeError, match="scores is a list"):
        permutation_test([[1.0]], torch.arange(1))
