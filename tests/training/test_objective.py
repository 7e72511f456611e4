"""The loss of a step: the model's own unless a distance between subjects is asked for, with its weight by epoch."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from neuroclip_hf.errors import InputError
from neuroclip_hf.losses import mmd_between_subjects
from neuroclip_hf.training.objective import mmd_weight, training_loss
from neuroclip_hf.training.settings import TrainingSettings

SETTINGS = TrainingSettings(epochs=6, mmd_weight=[0.9, 0.5], mmd_epochs=3)


@pytest.fixture
def output():
    return SimpleNamespace(loss=torch.tensor(2.0, requires_grad=True), brain_embeds=torch.randn(6, 4))


@pytest.fixture
def batch():
    return {"subject_index": torch.tensor([0, 0, 1, 1, 1, 0])}


def test_the_weight_changes_evenly_and_ends():
    assert [mmd_weight(SETTINGS, epoch) for epoch in range(5)] == pytest.approx([0.9, 0.7, 0.5, 0, 0])
    everywhere = replace(SETTINGS, mmd_epochs=None)
    assert [mmd_weight(everywhere, epoch) for epoch in (0, 5)] == pytest.approx([0.9, 0.5])
    assert [mmd_weight(replace(SETTINGS, mmd_epochs=1), epoch) for epoch in (0, 1)] == pytest.approx([0.9, 0])
    assert mmd_weight(replace(SETTINGS, mmd_weight=None, mmd_epochs=None), 0) == 0


def test_a_part_of_the_loss_is_the_distance(output, batch):
    distance = mmd_between_subjects(output.brain_embeds, batch["subject_index"])
    found = training_loss(output, batch, SETTINGS, 1)
    torch.testing.assert_close(found, 0.3 * output.loss + 0.7 * distance)


def test_without_it_the_loss_is_untouched(output, batch):
    plain = replace(SETTINGS, mmd_weight=None, mmd_epochs=None)
    assert training_loss(output, {}, plain, 0) is output.loss
    assert training_loss(output, batch, SETTINGS, 3) is output.loss
    one_subject = {"subject_index": torch.zeros(6, dtype=torch.int64)}
    assert training_loss(output, one_subject, SETTINGS, 0) is output.loss


def test_batches_must_say_whose_recordings_they_hold(output):
    with pytest.raises(InputError, match="it needs batches with subject_index"):
        training_loss(output, {}, SETTINGS, 0)
