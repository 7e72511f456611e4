"""The softened contrastive loss: values known by hand, and CLIP's loss as its special case."""

import math

import pytest
import torch
from torch.nn import functional
from transformers.models.clip.modeling_clip import image_text_contrastive_loss

from neuroclip_hf.losses import contrastive_logits, softened_contrastive_loss, softened_targets

SOFTENED = {"softening": 0.2, "softening_temperature": 0.05}
HARD = SOFTENED | {"softening": 0.0}


def test_without_softening_it_is_clips_loss():
    brain, image = torch.randn(7, 5), torch.randn(7, 5)
    ours = softened_contrastive_loss(brain, image, 14.0, image_id=torch.randperm(7), **HARD)
    theirs = image_text_contrastive_loss(
        14.0 * functional.normalize(image, dim=-1) @ functional.normalize(brain, dim=-1).T
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_value_of_orthogonal_pairs():
    eye = torch.eye(2)
    loss = softened_contrastive_loss(3 * eye, 5 * eye, scale=2.0, **HARD)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2.0)), abs=1e-6)


def test_softening_by_hand():
    # Frozen pictures are orthogonal: at temperature 0.5 their softmax is (e^2, 1) / (e^2 + 1).
    eye = torch.eye(2, dtype=torch.float64)
    near = math.exp(2) / (math.exp(2) + 1)
    right = 0.7 + 0.3 * near
    log_right, log_wrong = -math.log(1 + math.exp(-2)), -math.log(1 + math.exp(2))
    expected = -(right * log_right + (1 - right) * log_wrong)
    loss = softened_contrastive_loss(
        eye, eye, 2.0, frozen_image_embeds=4 * eye, softening=0.3, softening_temperature=0.5
    )
    assert loss.item() == pytest.approx(expected, abs=1e-12)


def test_rows_of_one_picture_share_the_target():
    targets = softened_targets(torch.tensor([4, 9, 4]), None, 0.0, 1.0, torch.float64)
    expected = torch.tensor([[0.5, 0, 0.5], [0, 1, 0], [0.5, 0, 0.5]], dtype=torch.float64)
    assert torch.equal(targets, expected)


def test_targets_sum_to_one_and_carry_no_gradient():
    frozen = torch.randn(6, 3, requires_grad=True)
    targets = softened_targets(torch.tensor([0, 0, 1, 2, 2, 2]), frozen, 0.4, 0.05)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(6))
    assert not targets.requires_grad


def test_both_directions_count():
    # Both recordings point at picture 0: from the brain half is right, from the pictures it is undecided.
    brain, image = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.eye(2)
    loss = softened_contrastive_loss(brain, image, scale=1.0, **HARD)
    from_brain = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(1))) / 2
    assert loss.item() == pytest.approx((from_brain + math.log(2)) / 2, abs=1e-6)


def test_half_precision_is_computed_in_float32():
    brain, image, frozen = torch.randn(3, 8, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = softened_contrastive_loss(brain, image, 100.0, frozen_image_embeds=frozen, **SOFTENED)
    assert inside.dtype == torch.float32
    exact = softened_contrastive_loss(
        brain.double(), image.double(), 100.0, frozen_image_embeds=frozen.double(), **SOFTENED
    )
    torch.testing.assert_close(inside.double(), exact, rtol=1e-5, atol=1e-5)
    assert contrastive_logits(brain.bfloat16(), image.bfloat16(), 1.0).dtype == torch.float32


def test_gradients_by_finite_differences():
    brain = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    image = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    frozen, ids = torch.randn(4, 6, dtype=torch.float64), torch.tensor([0, 1, 1, 2])
    assert torch.autograd.gradcheck(
        lambda b, i, s: softened_contrastive_loss(b, i, s, ids, frozen, **SOFTENED), (brain, image, scale)
    )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"softening": 1.5}, "softening is 1.5"),
        ({"softening_temperature": 0.0}, "softening_temperature is 0.0"),
        ({"softening": 0.2}, "frozen_image_embeds is missing"),
        ({"frozen_image_embeds": torch.ones(2, 4)}, r"frozen_image_embeds is of shape \(2, 4\)"),
    ],
)
def test_impossible_settings_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        softened_contrastive_loss(torch.ones(3, 2), torch.ones(3, 2), 1.0, **SOFTENED | arguments)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"\(3, 2\).*\(4, 2\)"):
        softened_contrastive_loss(torch.ones(3, 2), torch.ones(4, 2), 1.0, **SOFTENED)
