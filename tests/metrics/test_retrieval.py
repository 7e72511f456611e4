"""Answers known by hand, models that must not be rewarded, and chance against a simulation."""

import doctest
import math

import pytest
import torch

from neuroclip_hf.metrics import (
    accuracy_from_scores,
    chance_level,
    log_loss_from_scores,
    pairwise_identification,
    retrieval,
    retrieval_accuracy,
    retrieval_scores,
    similarity,
)

NAN = float("nan")


def test_the_example_in_the_docstring():
    assert doctest.testmod(retrieval).attempted > 0
    assert doctest.testmod(retrieval).failed == 0


def test_similarity_is_the_cosine():
    query = torch.tensor([[3.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    gallery = torch.tensor([[0.5, 0.0], [0.0, -2.0]])
    half = math.sqrt(0.5)
    torch.testing.assert_close(similarity(query, gallery), torch.tensor([[1.0, 0.0], [half, -half], [0.0, 0.0]]))


@pytest.mark.parametrize(
    ("query", "gallery", "expected"),
    [
        (torch.float16, torch.bfloat16, torch.float32),
        (torch.float32, torch.float64, torch.float64),
        (torch.int64, torch.int64, torch.float32),
    ],
)
def test_similarity_is_computed_in_float32_or_wider(query, gallery, expected):
    assert similarity(torch.eye(2).to(query), torch.eye(2).to(gallery)).dtype == expected


def test_one_hot_embeddings_are_all_found():
    embeds = torch.eye(7)
    assert retrieval_accuracy(embeds, embeds, torch.arange(7)) == {"top1": 1.0, "top5": 1.0}
    # The neighbour of each is wrong, and ties with the other wrong ones and with the right one.
    assert retrieval_accuracy(embeds, embeds, torch.arange(7).roll(1)) == {"top1": 0.0, "top5": 0.0}


def test_accuracy_by_hand():
    scores = torch.tensor([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.2, 0.3, 0.1]])
    target = torch.tensor([0, 1, 2, 0])  # ranks 1, 2, 3, 2
    assert accuracy_from_scores(scores, target, ks=(1, 2, 3)) == {"top1": 0.25, "top2": 0.75, "top3": 1.0}


def test_a_collapsed_model_finds_nothing():
    embeds = torch.ones(20, 4)
    assert retrieval_accuracy(embeds, embeds, torch.arange(20)) == {"top1": 0.0, "top5": 0.0}
    assert pairwise_identification(similarity(embeds, embeds), torch.arange(20)) == 0.0


def test_a_tie_with_the_last_place_counts_as_missed():
    scores = torch.tensor([[0.9, 0.8, 0.8, 0.1]])
    assert accuracy_from_scores(scores, torch.tensor([1]), ks=(2, 3)) == {"top2": 0.0, "top3": 1.0}


def test_right_entries_do_not_stand_in_each_others_way():
    scores = torch.tensor([[0.5, 0.5, 0.4]])
    assert accuracy_from_scores(scores, torch.tensor([[True, True, False]]), ks=(1,)) == {"top1": 1.0}


def test_mask_and_rows_agree():
    generator = torch.Generator().manual_seed(0)
    scores, target = torch.randn(50, 9, generator=generator), torch.randint(9, (50,), generator=generator)
    mask = torch.nn.functional.one_hot(target, 9).bool()
    assert accuracy_from_scores(scores, target) == accuracy_from_scores(scores, mask)
    assert pairwise_identification(scores, target) == pairwise_identification(scores, mask)
    assert chance_level(target, 9, 3) == pytest.approx(chance_level(mask, 9, 3))


def test_the_best_of_several_right_entries_decides():
    scores = torch.tensor([[0.9, 0.1, 0.8], [0.9, 0.1, 0.8]])
    mask = torch.tensor([[True, True, False], [False, True, True]])
    assert accuracy_from_scores(scores, mask, ks=(1, 2)) == {"top1": 0.5, "top2": 1.0}


@pytest.mark.parametrize(
    ("row", "right", "hit"),
    [
        ([NAN, 0.1, 0.2], [0], 0.0),  # the right one is last
        ([0.9, NAN, 0.2], [0], 0.0),  # a wrong one is first
        ([NAN, NAN, NAN], [0], 0.0),
        ([NAN, 0.9, 0.2], [0, 1], 1.0),  # another right one has a score
        ([-math.inf, 0.1, 0.2], [0], 0.0),
        ([math.inf, 0.1, 0.2], [0], 1.0),
    ],
)
def test_nan_counts_against_the_model(row, right, hit):
    mask = torch.zeros(1, 3, dtype=torch.bool)
    mask[0, right] = True
    assert accuracy_from_scores(torch.tensor([row]), mask, ks=(1,)) == {"top1": hit}


def test_nan_embeddings_spoil_their_own_query_only():
    query = torch.eye(4)
    query[2] = NAN
    assert retrieval_accuracy(query, torch.eye(4), torch.arange(4), ks=(1,)) == {"top1": 0.75}
    assert pairwise_identification(similarity(query, torch.eye(4)), torch.arange(4)) == 0.75


def test_k_beyond_the_gallery_is_always_right_as_guessing_is():
    scores = torch.zeros(3, 4)
    assert accuracy_from_scores(scores, torch.zeros(3, dtype=torch.long), ks=(4, 5)) == {"top4": 1.0, "top5": 1.0}
    assert chance_level(torch.zeros(3, dtype=torch.long), 4, 5) == 1.0


def test_validation_scores_by_hand():
    query, gallery = torch.eye(2), torch.tensor([[1.0, 0.0], [0.0, 3.0], [0.0, 1.0]])
    scores = retrieval_scores(query, gallery, torch.tensor([0, 0]), scale=math.log(2))
    # Softmax weights are 2, 1, 1 for the first query and 1, 2, 2 for the second.
    assert scores == {"loss": pytest.approx((math.log(2) + math.log(5)) / 2), "top1": 0.5}
    mask = torch.tensor([[True, True, False], [False, True, True]])
    both = retrieval_scores(query, gallery, mask, scale=torch.tensor(math.log(2)))
    assert both == {"loss": pytest.approx((math.log(4 / 3) + math.log(5 / 4)) / 2), "top1": 1.0}


def test_validation_loss_of_a_collapsed_model_is_that_of_guessing():
    scores = retrieval_scores(torch.ones(4, 2), torch.ones(8, 2), torch.arange(4), scale=14.0)
    assert scores == {"loss": pytest.approx(math.log(8), rel=1e-6), "top1": 0.0}


def test_log_loss_query_by_query():
    scores = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]], dtype=torch.float64)
    target = torch.tensor([0, 0])
    found = log_loss_from_scores(scores, target, math.log(2))
    assert found.tolist() == pytest.approx([math.log(2), math.log(5)])
    # A sharper softmax rewards the query that is right and punishes the other.
    sharp = log_loss_from_scores(scores, target, 10.0)
    assert sharp[0] < found[0]
    assert sharp[1] > found[1]
    assert log_loss_from_scores(torch.tensor([[0.5, NAN]]), torch.tensor([0]), 1.0).isnan().all()
    assert log_loss_from_scores(torch.tensor([[1, 0]]), torch.tensor([0]), 1).tolist() == pytest.approx(
        [math.log(1 + math.exp(-1))]
    )
    half = log_loss_from_scores(torch.tensor([[0.25, 0.5]], dtype=torch.float16), torch.tensor([0]), 100.0)
    assert half.dtype == torch.float32
    with pytest.raises(ValueError, match="row 3 in a gallery of 3"):
        log_loss_from_scores(scores, torch.tensor([0, 3]), 1.0)


def test_pairwise_by_hand():
    scores = torch.tensor([[0.5, 0.4, 0.5, 0.6], [0.1, 0.9, 0.2, 0.3]])
    # One of three wrong entries below 0.5; three of three below 0.9.
    assert pairwise_identification(scores, torch.tensor([0, 1])) == pytest.approx((1 / 3 + 1) / 2)
    mask = torch.tensor([[True, False, False, True], [True, False, True, False]])
    # Right 0.5 and 0.6 against wrong 0.4 and 0.5: three of four pairs. Right 0.1 and 0.2 against 0.9 and 0.3: none.
    assert pairwise_identification(scores, mask) == pytest.approx((3 / 4 + 0) / 2)


def test_pairwise_of_random_scores_is_a_half():
    scores = torch.randn(400, 50, generator=torch.Generator().manual_seed(0))
    assert pairwise_identification(scores, torch.arange(400) % 50) == pytest.approx(0.5, abs=0.04)
    half = torch.arange(50).repeat(400, 1) % 2 == torch.arange(400)[:, None] % 2
    assert pairwise_identification(scores, half) == pytest.approx(0.5, abs=0.02)  # however many are right


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (torch.tensor([0, 3]), r"row 3 in a gallery of 3: query 1"),
        (torch.tensor([-1, 0]), r"row -1 in a gallery of 3: query 0"),
        (torch.tensor([0.0, 1.0]), r"torch.float32 \(2,\): expected integer rows"),
        (torch.tensor([True, False]), r"torch.bool \(2,\): expected integer rows"),
        (torch.ones(2, 4, dtype=torch.bool), r"\(2, 4\): expected .* mask \(Q, 3\)"),
        (torch.tensor([[True, False, False], [False] * 3]), r"nothing right for query 1"),
    ],
)
def test_targets_that_do_not_fit_are_named(target, message):
    for use in (accuracy_from_scores, pairwise_identification):
        with pytest.raises(ValueError, match=message):
            use(torch.zeros(2, 3), target)
    with pytest.raises(ValueError, match=message):
        chance_level(target, 3, 1)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"query is \(2, 3\) and gallery \(2, 4\)"):
        similarity(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"scores have 2 queries and target is \(3,\)"):
        accuracy_from_scores(torch.zeros(2, 3), torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match=r"scores are \(0, 3\)"):
        accuracy_from_scores(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
    with pytest.raises(ValueError, match="every gallery entry is right for query 0"):
        pairwise_identification(torch.zeros(1, 3), torch.ones(1, 3, dtype=torch.bool))


@pytest.mark.parametrize(
    ("ks", "message"), [(1, "ks is 1"), ("15", "ks is '15'"), (None, "ks is None"), ((), "ks is empty")]
)
def test_ks_are_several(ks, message):
    with pytest.raises(ValueError, match=f"{message}: .*as in ks="):
        retrieval_accuracy(torch.eye(3), torch.eye(3), torch.arange(3), ks=ks)


@pytest.mark.parametrize("k", [0, -1, 1.5])
def test_impossible_ks_are_named(k):
    with pytest.raises(ValueError, match=f"k is {k}"):
        accuracy_from_scores(torch.zeros(1, 3), torch.zeros(1, dtype=torch.long), ks=(k,))
    with pytest.raises(ValueError, match=f"k is {k}"):
        chance_level(torch.zeros(1, dtype=torch.long), 3, k)


def test_half_precision_scores_and_integers_are_ranked():
    target = torch.arange(3)
    for dtype in (torch.float16, torch.bfloat16, torch.int64):
        assert accuracy_from_scores(torch.eye(3).to(dtype), target, ks=(1,)) == {"top1": 1.0}


def test_inputs_are_left_as_they_were():
    scores, target = torch.tensor([[NAN, 0.2]]), torch.tensor([0])
    accuracy_from_scores(scores, target)
    pairwise_identification(scores, target)
    torch.testing.assert_close(scores, torch.tensor([[NAN, 0.2]]), equal_nan=True)
    assert target.tolist() == [0]
