"""MixCo and cross-entropy with any targets, against numbers known by hand."""

import pytest
import torch

from neuroclip_hf.losses import Mixing, cross_entropy_both_ways, draw_mixing, gather_places, softened_targets


def test_rows_are_mixed_as_a_new_tensor():
    mixing = Mixing(torch.tensor([1, 0, 2]), torch.tensor([0.25, 1.0, 0.5]))
    rows = torch.tensor([[1.0, 2.0], [5.0, 6.0], [7.0, 8.0]])
    before = rows.clone()
    assert torch.equal(mixing.mix(rows), torch.tensor([[4.0, 5.0], [5.0, 6.0], [7.0, 8.0]]))
    assert torch.equal(rows, before)
    assert mixing.mix(rows[:, None, :].double()).shape == (3, 1, 2)


def test_every_row_has_a_partner_and_a_share():
    torch.manual_seed(0)
    mixing = draw_mixing(500, 0.2, None, torch.device("cpu"))
    assert sorted(mixing.partner.tolist()) == list(range(500))
    assert 0 <= float(mixing.share.min()) < 0.05
    assert 0.95 < float(mixing.share.max()) <= 1
    assert 0.4 < float(mixing.share.mean()) < 0.6
    assert draw_mixing(500, 100.0, None, torch.device("cpu")).share.std() < 0.1 < mixing.share.std()


def test_recordings_of_two_subjects_are_not_mixed():
    torch.manual_seed(0)
    subjects = torch.arange(40) % 2
    mixing = draw_mixing(40, 1.0, subjects, torch.device("cpu"))
    others = subjects != subjects[mixing.partner]
    assert 0 < int(others.sum()) < 40
    assert torch.equal(mixing.share[others], torch.ones(int(others.sum())))
    assert (mixing.share[~others] < 1).all()


def test_with_one_answer_a_row_it_is_the_usual_loss():
    logits = torch.randn(4, 4, dtype=torch.float64)
    rows = torch.arange(4)
    usual = torch.nn.functional.cross_entropy
    expected = (usual(logits, rows) + usual(logits.T, rows)) / 2
    torch.testing.assert_close(cross_entropy_both_ways(logits, torch.eye(4, dtype=torch.float64)), expected)


def test_rows_of_one_class_share_the_mass():
    targets = softened_targets(torch.tensor([3, 3, 7]), None, 0.0, 1.0, torch.float64)
    logits = torch.tensor([[2.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 0.0, 3.0]], dtype=torch.float64)
    log, back = logits.log_softmax(dim=1), logits.T.log_softmax(dim=1)
    mean = lambda each: -((each[0, 0] + each[0, 1]) / 2 + (each[1, 0] + each[1, 1]) / 2 + each[2, 2]) / 3  # noqa: E731
    torch.testing.assert_close(cross_entropy_both_ways(logits, targets), (mean(log) + mean(back)) / 2)


def test_mixed_targets_count_in_both_directions():
    # Row 0 is half of row 1; row 1 is itself. Picture 0 belongs to half a row, picture 1 to one and a half.
    targets = Mixing(torch.tensor([1, 0]), torch.tensor([0.5, 1.0])).mix(torch.eye(2))
    logits = torch.tensor([[1.0, 3.0], [0.0, 2.0]])
    log, back = logits.log_softmax(dim=1), logits.T.log_softmax(dim=1)
    forth = -(0.5 * log[0, 0] + 0.5 * log[0, 1] + log[1, 1]) / 2
    other = -(back[0, 0] + (back[1, 0] * 0.5 + back[1, 1]) / 1.5) / 2
    torch.testing.assert_close(cross_entropy_both_ways(logits, targets), (forth + other) / 2)


def test_a_target_that_nobody_has_costs_nothing():
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert cross_entropy_both_ways(torch.randn(2, 2), targets).isfinite()


def places(rank, world):
    own = {1: torch.tensor([2, 0, 1]), 2: [torch.tensor([1, 0]), torch.tensor([0])][rank % 2]}[world]
    return gather_places(own)


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this torch has no gloo")
def test_places_are_those_of_all_rows(on_ranks):
    found = on_ranks(places, (1, 2))
    assert found[1][0].tolist() == [2, 0, 1]
    assert [each.tolist() for each in found[2]] == [[1, 0, 2]] * 2
