"""The discrepancy between subjects: its definition by loops, what it says of known clouds, and several processes."""

import itertools
import math

import pytest
import torch

from neuroclip_hf.losses import gather_with_gradient, mmd_between_subjects
from neuroclip_hf.losses.mmd import BANDWIDTHS

SUBJECTS = torch.tensor([5, 0, 5, 2, 0, 5, 2, 9])  # 9 has a single row


def rows(count=8, dtype=torch.float64):
    return torch.randn(count, 4, dtype=dtype, generator=torch.Generator().manual_seed(1))


def by_definition(embeds, subjects):
    """Gretton et al. 2012, equation 3, pair by pair, for every two subjects."""
    unit = [row / row.norm() for row in embeds]
    squared = {(a, b): float((unit[a] - unit[b]).square().sum()) for a in range(len(unit)) for b in range(len(unit))}
    width = sum(value for (a, b), value in squared.items() if a != b) / (len(unit) * (len(unit) - 1))

    def kernel(a, b):
        return sum(math.exp(-squared[a, b] / (part * width)) for part in BANDWIDTHS) / len(BANDWIDTHS)

    def within(members):
        return sum(kernel(a, b) for a, b in itertools.permutations(members, 2)) / (len(members) * (len(members) - 1))

    members = [[place for place, own in enumerate(subjects) if own == subject] for subject in set(subjects)]
    found = [
        within(one) + within(other) - 2 * sum(kernel(a, b) for a in one for b in other) / (len(one) * len(other))
        for one, other in itertools.combinations([each for each in members if len(each) > 1], 2)
    ]
    return sum(found) / len(found)


def test_it_is_the_definition():
    found = mmd_between_subjects(rows(), SUBJECTS)
    assert float(found) == pytest.approx(by_definition(rows(), SUBJECTS.tolist()), rel=1e-10)


def test_equal_clouds_are_near_and_shifted_ones_far():
    cloud = rows(400)
    subject = torch.arange(400) % 2
    near = float(mmd_between_subjects(cloud, subject))
    far = float(mmd_between_subjects(cloud + 3 * subject[:, None], subject))
    assert abs(near) < 0.01
    assert far > 0.3


def test_lengths_do_not_matter():
    lengths = torch.rand(8, 1, dtype=torch.float64) + 0.1
    torch.testing.assert_close(
        mmd_between_subjects(lengths * rows(), SUBJECTS), mmd_between_subjects(rows(), SUBJECTS)
    )


def test_descending_it_brings_subjects_together():
    subject = torch.arange(40) % 2
    embeds = (rows(40) + 2 * subject[:, None]).requires_grad_()
    before = mmd_between_subjects(embeds, subject)
    (gradient,) = torch.autograd.grad(before, embeds)
    after = mmd_between_subjects(embeds - 5 * gradient, subject)
    assert after.item() < before.item()


@pytest.mark.parametrize("subjects", [[], [0], [3, 3, 3], [0, 0, 1], [0, 1, 2, 3]])
def test_without_two_subjects_of_two_rows_there_is_none(subjects):
    assert mmd_between_subjects(rows(len(subjects)), torch.tensor(subjects, dtype=torch.int64)) is None


def test_equal_rows_and_half_precision_are_no_trouble():
    same = torch.eye(3, dtype=torch.bfloat16)[[1, 1, 1, 1]].requires_grad_()
    found = mmd_between_subjects(same, torch.tensor([0, 0, 1, 1]))
    found.backward()
    assert (found.dtype, found.item()) == (torch.float32, 0.0)
    assert same.grad.isfinite().all()


@pytest.mark.parametrize(("shape", "count"), [((4, 3), 5), ((4,), 4)])
def test_shapes_that_do_not_fit(shape, count):
    with pytest.raises(ValueError, match="must be"):
        mmd_between_subjects(torch.ones(shape), torch.zeros(count, dtype=torch.int64))


PARTS = {1: [8], 2: [3, 5], 3: [1, 7, 0], 4: [2, 1, 0, 5]}


def shared_weight(rank, world):
    """The discrepancy of eight rows, and the gradient of a weight that all processes share."""
    embeds, subjects = (tensor.split(PARTS[world])[rank] for tensor in (rows(), SUBJECTS))
    weight = torch.eye(4, dtype=torch.float64).requires_grad_()
    found = mmd_between_subjects(gather_with_gradient(embeds @ weight), gather_with_gradient(subjects))
    found.backward()
    return {"loss": found.detach(), "gradient": weight.grad}


def test_several_processes_equal_one(on_ranks):
    found = on_ranks(shared_weight, (1, 2, 3, 4))
    (alone,) = found[1]
    assert float(alone["gradient"].norm()) > 0
    for world in (2, 3, 4):
        for rank in found[world]:
            torch.testing.assert_close(rank["loss"], alone["loss"], rtol=1e-12, atol=0)
        gradient = sum(rank["gradient"] for rank in found[world]) / world
        torch.testing.assert_close(gradient, alone["gradient"], rtol=1e-10, atol=1e-14)
