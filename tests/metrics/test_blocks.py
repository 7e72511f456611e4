"""Permutations of whole blocks."""

from itertools import permutations

import numpy as np
import pytest
import torch

from neuroclip_hf.metrics import (
    accuracy_from_scores,
    pairwise_from_scores,
    pairwise_identification,
    permutation_test,
    permutation_test_of_blocks,
)

PICTURES, REPEATS = 5, 3


def scores_of(seed, pictures=PICTURES, repeats=REPEATS, signal=0.0):
    """Scores of single trials that err alike within a picture, and what was shown."""
    generator = np.random.default_rng(seed)
    of_picture = generator.standard_normal((pictures, pictures)) + signal * np.eye(pictures)
    scores = np.repeat(of_picture, repeats, axis=0) + 0.1 * generator.standard_normal((pictures * repeats, pictures))
    return torch.from_numpy(scores), torch.arange(pictures).repeat_interleave(repeats)


def share_as_good(scores, shown, value):
    """By hand: of all ways to deal pictures out, the part that does as well as the truth."""
    scores, shown = scores.numpy(), shown.numpy()
    found = [
        np.mean([value(row, dealt[picture]) for row, picture in zip(scores, shown, strict=True)])
        for dealt in permutations(range(scores.shape[1]))
    ]
    return np.mean(np.array(found) >= found[0] - 1e-9), found[0]


@pytest.mark.parametrize(
    ("statistic", "value"),
    [
        ("top1", lambda row, right: row.argmax() == right),
        ("pairwise", lambda row, right: np.mean(np.delete(row, right) < row[right])),
    ],
)
def test_it_is_what_all_permutations_of_pictures_give(statistic, value):
    scores, shown = scores_of(1, signal=2.0)
    exact, observed = share_as_good(scores, shown, value)
    found = permutation_test_of_blocks(scores, shown, shown.tolist(), statistic=statistic, permutations=9999)
    assert found.statistic == pytest.approx(observed)
    assert 0.005 < exact < 0.5
    assert found.p == pytest.approx(exact, abs=0.015)


def test_statistics_are_those_of_retrieval():
    scores, shown = scores_of(2)
    for name, wanted in (
        ("top1", accuracy_from_scores(scores, shown)["top1"]),
        ("pairwise", pairwise_identification(scores, shown)),
    ):
        assert permutation_test_of_blocks(scores, shown, shown.tolist(), statistic=name).statistic == wanted


def test_trials_that_err_alike_are_not_taken_for_many_answers():
    def found_in_noise(test):
        return np.mean([test(*scores_of(seed, 20, 20)) <= 0.05 for seed in range(100)])

    together = found_in_noise(lambda s, t: permutation_test_of_blocks(s, t, t.tolist(), permutations=199).p)
    apart = found_in_noise(lambda s, t: permutation_test(s, t, permutations=199).p)
    assert together <= 0.1
    assert apart >= 0.2


def test_subjects_who_err_alike_are_dealt_out_together():
    scores, shown = scores_of(3, signal=1.0)
    one = permutation_test_of_blocks(scores, shown, shown.tolist())
    twins = permutation_test_of_blocks(scores.repeat(2, 1), shown.repeat(2), shown.repeat(2).tolist())
    assert twins.p == one.p


def test_groups_keep_to_themselves():
    scores, shown = torch.eye(4), torch.arange(4)
    apart = permutation_test_of_blocks(scores, shown, range(4), ["a", "a", "b", "b"], permutations=3999)
    assert apart.p == pytest.approx(1 / 4, abs=0.03)  # two ways in each of two groups
    assert permutation_test_of_blocks(scores, shown, range(4), permutations=3999).p == pytest.approx(1 / 24, abs=0.02)


def test_several_right_entries_and_nan():
    mask = torch.tensor([[True, True, False], [False, True, True]])
    scores = torch.tensor([[1.0, 0.0, 0.5], [float("nan"), 1.0, 0.0]])
    found = permutation_test_of_blocks(scores, mask, [0, 1])
    assert found.statistic == 0.5  # NaN among the wrong counts against the model
    nan = permutation_test_of_blocks(scores, torch.tensor([0, 1]), [0, 1], statistic="pairwise")
    assert nan.statistic == pytest.approx((1 + 0.5) / 2)
    with pytest.raises(ValueError, match="several right entries"):
        permutation_test_of_blocks(scores, mask, [0, 1], statistic="pairwise")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": [0, 0]}, "block 0 has queries with different targets"),
        ({"target": torch.tensor([0, 0]), "blocks": [0, 0], "groups": ["a", "b"]}, "different groups"),
        ({"blocks": [0]}, "blocks has 1 entries for 2 queries"),
        ({"statistic": "top7"}, "top1, pairwise"),
        ({"permutations": 0}, "permutations"),
    ],
)
def test_refused(changes, message):
    arguments = {"target": torch.arange(2), "blocks": [0, 1], **changes}
    with pytest.raises(ValueError, match=message):
        permutation_test_of_blocks(torch.eye(2), **arguments)


def test_pairwise_query_by_query():
    scores = torch.tensor([[0.1, 0.5, 0.3, 0.5], [0.9, 0.2, 0.2, 0.1]])
    assert pairwise_from_scores(scores, torch.tensor([1, 1])).tolist() == pytest.approx([2 / 3, 1 / 3])
