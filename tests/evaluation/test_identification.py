"""Measures of several runs together, beside NumPy."""

import numpy as np
import pytest
import torch

from neuroclip_hf.data.queries import Query
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation import Ranking
from neuroclip_hf.evaluation.identification import MEASURES, describe

PICTURES = [f"picture {place}" for place in range(8)]


def ranking_of(seed, subjects=("a",), repeats=3, signal=1.0, names=PICTURES):
    """Every subject sees every picture so often."""
    generator = np.random.default_rng(seed)
    rows = [
        (subject, place, number) for subject in subjects for place in range(len(names)) for number in range(repeats)
    ]
    queries = [Query((number,), subject, names[place], "concept") for subject, place, number in rows]
    shown = torch.tensor([place for _, place, _ in rows])
    scores = torch.from_numpy(generator.standard_normal((len(rows), len(names))))
    mask = torch.arange(len(names)) == shown[:, None]
    return Ranking(queries, list(names), scores + signal * mask, mask)


def by_hand(ranking):
    """(queries,) of each measure."""
    scores, mask = ranking.scores.numpy(), ranking.mask.numpy()
    right = scores[mask][:, None]
    ahead = (scores > right).sum(axis=1)
    return {"top1": ahead == 0, "top5": ahead < 5, "pairwise": 1 - ahead / 7, "mean_rank": ahead + 1}


def test_measures_are_means_over_subjects():
    unequal = [ranking_of(1, ["a"], repeats=5), ranking_of(2, ["b"], repeats=1)]
    found, hand = describe(unequal), [by_hand(one) for one in unequal]
    for name in MEASURES:
        means = [np.mean(one[name]) for one in hand]
        assert [found["subjects"][who][name] for who in "ab"] == pytest.approx(means)
        assert found[name] == pytest.approx(np.mean(means))
        assert found["intervals"][name]["low"] <= found[name] <= found["intervals"][name]["high"]
    assert [one["num_queries"] for one in found["subjects"].values()] == [40, 8]
    assert found["num_queries"] == 48


def test_seeds_of_a_subject_are_no_more_queries():
    seeds = [ranking_of(1), ranking_of(2)]
    found = describe(seeds)
    assert found["num_queries"] == found["subjects"]["a"]["num_queries"] == 24
    assert found["top1"] == pytest.approx(np.mean([by_hand(one)["top1"].mean() for one in seeds]))
    once, twice = (describe([ranking_of(1)] * count)["intervals"]["top1"] for count in (1, 2))
    assert once == twice


def test_trials_of_a_picture_are_resampled_together():
    once, often = ranking_of(1, repeats=1), ranking_of(1, repeats=1)
    copies = Ranking(
        [Query((number,), "a", query.image_id, "") for query in often.queries for number in range(20)],
        often.image_ids,
        often.scores.repeat_interleave(20, dim=0),
        often.mask.repeat_interleave(20, dim=0),
    )
    one, many = (describe([each])["intervals"]["pairwise"] for each in (once, copies))
    assert (one["low"], one["high"]) == pytest.approx((many["low"], many["high"]))
    assert one["over"] == "pictures"


def test_subjects_are_resampled_where_there_are_five():
    four, five = (describe([ranking_of(1, "abcde"[:count])])["intervals"]["top1"]["over"] for count in (4, 5))
    assert (four, five) == ("pictures within subjects", "subjects and pictures")


def test_chance_is_that_of_a_random_ranking():
    mask = torch.tensor([[True, True, False, False, False, False], [True, False, False, False, False, False]])
    queries = [Query((0,), "a", "x", ""), Query((1,), "a", "y", "")]
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((20_000, 6)))
    many = Ranking(
        [Query((number,), "a", f"{number % 2}", "") for number in range(20_000)],
        list("abcdef"),
        noise,
        mask.repeat(10_000, 1),
    )
    found = describe([Ranking(queries, list("abcdef"), noise[:2], mask)])
    drawn = describe([many])
    for name in MEASURES:
        assert found["chance"][name] == pytest.approx(drawn[name], abs=0.03)
    assert found["permutation"]["pairwise"] is None


def test_n_way_and_permutations():
    found = describe([ranking_of(1), ranking_of(2, ["b"])])
    assert list(found["n_way"]) == ["2", "4", "5", "6", "8"]
    assert found["n_way"]["8"]["top1"] == pytest.approx(found["top1"])
    assert found["n_way"]["2"]["top1"] == pytest.approx(found["pairwise"])
    noise = describe([ranking_of(5, signal=0.0)])
    assert found["permutation"]["top1"]["p"] < 0.01 < 0.05 < noise["permutation"]["top1"]["p"]
    assert found["permutation"]["pairwise"]["p"] < 0.01 < 0.05 < noise["permutation"]["pairwise"]["p"]


def test_controls_stand_beside():
    control = ranking_of(3, signal=0.0)
    found = describe([ranking_of(1)], [control])
    assert found["control"]["top1"] == pytest.approx(by_hand(control)["top1"].mean())
    assert describe([ranking_of(1)])["control"] is None


def test_refused():
    with pytest.raises(InputError, match="different candidates"):
        describe([ranking_of(1), ranking_of(1, names=PICTURES[::-1])])
    alone = Ranking([Query((0,), "a", "x", "")], ["x"], torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool))
    with pytest.raises(InputError, match=r"one candidate only \(x\)"):
        describe([alone])
