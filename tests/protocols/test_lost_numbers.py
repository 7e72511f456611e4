"""A training whose numbers are lost leaves its last good epoch as a run that loads and says what it is."""

import math
from dataclasses import replace

import pytest

from neuroclip_hf.checkpoints import read_facts
from neuroclip_hf.protocols.evaluating import evaluate_run
from neuroclip_hf.protocols.run import LostTrainingError, train_on_store, train_run
from neuroclip_hf.training import objective, trainer

STEPS = 4
"""Of an epoch of the tiny recipe on `store`."""


class LosesNumbers:
    """A training loss that is not finite from some step on."""

    def __init__(self, monkeypatch, step):
        self.count, self.step, self.real = 0, step, objective.training_loss
        monkeypatch.setattr(trainer, "training_loss", self)

    def __call__(self, *args):
        self.count += 1
        return self.real(*args) * (math.nan if self.count >= self.step else 1.0)


def test_the_last_good_epoch_is_kept_as_a_run(recipe, store, tmp_path, monkeypatch):
    longer = replace(recipe, training=replace(recipe.training, epochs=4))
    LosesNumbers(monkeypatch, 2 * STEPS + 2)
    place = tmp_path / "run-last-good"
    with pytest.raises(FloatingPointError, match=r"epoch 3, step 2, whose batch of 16 held .*sub-0") as caught:
        train_run(longer, store, tmp_path / "run")
    assert str(caught.value).endswith(f"Epoch 2, the last good one, is kept as a run: {place}.")
    assert not (tmp_path / "run").exists()
    facts = read_facts(place)
    assert (facts["best_epoch"], facts["epochs"], facts["selection"]) == (2, 4, "last")
    assert len(facts["lost"]["batch"]) == 16
    assert facts["lost"]["why"].startswith("The loss is nan in epoch 3, step 2")
    report = evaluate_run(place, store)
    assert [flag for flag in report.flags if "lost its numbers" in flag]
    again = LosesNumbers(monkeypatch, 2)  # it goes on where all was good
    with pytest.raises(FloatingPointError, match="epoch 3, step 2"):
        train_run(longer, store, tmp_path / "run")
    assert again.count == 2


@pytest.mark.parametrize("minutes", [10.0, 0.0])
def test_where_no_epoch_was_good_nothing_is_kept(recipe, store, tmp_path, monkeypatch, caplog, minutes):
    LosesNumbers(monkeypatch, 3)
    often = replace(recipe, training=replace(recipe.training, checkpoint_minutes=minutes))
    with pytest.raises(FloatingPointError, match="No epoch had ended before, so that nothing is kept"):
        train_run(often, store, tmp_path / "run")
    assert "keeps what was trained" not in caplog.text
    assert not list(tmp_path.iterdir())


def test_where_no_epoch_of_the_control_was_good_the_training_before_it_is_kept(
    recipe, store, tmp_path, monkeypatch, caplog
):
    often = replace(recipe, training=replace(recipe.training, epochs=1, checkpoint_minutes=0.0))
    LosesNumbers(monkeypatch, STEPS + 2)
    with pytest.raises(FloatingPointError, match=r"No epoch of the control had ended.* nothing of it is kept"):
        train_run(often, store, tmp_path / "run", control=True)
    assert ".run.unfinished keeps what was trained" in caplog.text
    again = LosesNumbers(monkeypatch, 1000)
    train_run(often, store, tmp_path / "run", control=True)
    assert again.count == STEPS  # of the control alone


def test_in_memory_the_error_has_the_model_of_the_last_good_epoch(recipe, store, monkeypatch):
    LosesNumbers(monkeypatch, STEPS + 2)
    two = replace(recipe, training=replace(recipe.training, epochs=2))
    with pytest.raises(LostTrainingError, match="epoch 2, step 2") as caught:
        train_on_store(two, store)
    trained = caught.value.trained
    assert (trained.result.best_epoch, trained.facts["best_epoch"]) == (1, 1)
    assert len(caught.value.batch) == 16
    assert all(value.isfinite().all() for value in trained.model.parameters())
