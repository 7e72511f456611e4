"""Chance by hand, against a simulation, and the same however many queries are asked."""

import math

import pytest
import torch

from neuroclip_hf.metrics import accuracy_from_scores, chance_level, chance_log_loss, log_loss_from_scores


def test_chance_by_hand():
    assert chance_level(torch.tensor([3, 0]), 200, 1) == pytest.approx(1 / 200)
    assert chance_level(torch.tensor([3, 0]), 200, 5) == pytest.approx(5 / 200)
    mask = torch.tensor([[True, True, False, False]])
    assert chance_level(mask, 4, 1) == pytest.approx(1 / 2)
    assert chance_level(mask, 4, 2) == pytest.approx(1 - 1 / 6)
    assert chance_level(mask, 4, 3) == 1.0
    assert chance_level(torch.ones(1, 5000, dtype=torch.bool), 5000, 7) == 1.0


def test_chance_is_what_a_random_ranking_gets():
    generator = torch.Generator().manual_seed(1)
    mask = torch.rand(40, 12, generator=generator) < 0.2
    mask[:, 0] = True
    draws = [accuracy_from_scores(torch.rand(40, 12, generator=generator), mask, ks=(1, 3, 5)) for _ in range(600)]
    for k in (1, 3, 5):
        simulated = sum(draw[f"top{k}"] for draw in draws) / len(draws)
        assert chance_level(mask, 12, k) == pytest.approx(simulated, abs=0.01)


def test_a_blind_log_loss_is_that_of_equal_scores():
    mask = torch.tensor([[True, True, False, False], [False, False, True, False]])
    assert chance_log_loss(mask, 4) == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert chance_log_loss(mask, 4) == pytest.approx(float(log_loss_from_scores(torch.zeros(2, 4), mask, 9.0).mean()))
    with pytest.raises(ValueError, match="row 4 in a gallery of 4"):
        chance_log_loss(torch.tensor([4]), 4)


@pytest.mark.parametrize("gallery_size", [6, 50, 200])
def test_chance_is_the_same_to_the_bit_however_many_queries_are_asked(gallery_size):
    # Runs of one reproduction must agree on it, and subjects may have been asked different numbers of queries.
    targets = [torch.arange(number) % gallery_size for number in range(1, 400)]
    assert len({chance_level(target, gallery_size, 1) for target in targets}) == 1
    assert len({chance_log_loss(target, gallery_size) for target in targets}) == 1
