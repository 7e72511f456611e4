"""The loop: it repeats itself to the bit, keeps the best epoch, and stops when numbers are lost."""

import math
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator

from neuroclip_hf.adapters.neuro_prompt.model import NeuroPromptModel
from neuroclip_hf.data.sampling import Shuffled
from neuroclip_hf.errors import InputError
from neuroclip_hf.training import optimisation
from neuroclip_hf.training.checkpoints import read_newest_checkpoint
from neuroclip_hf.training.result import LostNumbersError
from neuroclip_hf.training.sections import LEAST, MOST
from neuroclip_hf.training.settings import TrainingSettings
from neuroclip_hf.training.trainer import train as train_in_batches

SETTINGS = TrainingSettings(epochs=3, batch_size=4, learning_rate=0.1, weight_decay=0.0, selection="last")


def train(model, items, collator, settings, validate=None):
    batches = Shuffled(len(items), settings.batch_size, settings.seed)
    return train_in_batches(model, items, collator, settings, batches, validate)


class Toy(torch.nn.Module):
    """A linear map behind batch norm and dropout, pulled towards the targets."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.norm = torch.nn.BatchNorm1d(2)
        self.linear = torch.nn.Linear(2, 1)
        self.drop = torch.nn.Dropout(0.5)
        self.frozen = torch.nn.Parameter(torch.ones(1), requires_grad=False)
        self.seen = []

    def forward(self, values, target):
        self.seen.append(target.tolist())
        found = self.linear(self.drop(self.norm(values)))[:, 0]
        return type("Output", (), {"loss": ((found - target) ** 2).mean()})()


class Items(torch.utils.data.Dataset):
    """Numbers that change with the epoch."""

    def __init__(self, length=12):
        self.length, self.epoch = length, 0

    def __len__(self):
        return self.length

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __getitem__(self, item):
        return torch.tensor([float(item), math.sin(item + self.epoch)]), float(item)


def collate(items):
    return {"values": torch.stack([item[0] for item in items]), "target": torch.tensor([item[1] for item in items])}


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def trained(**changes):
    model = Toy()
    result = train(model, Items(), collate, replace(SETTINGS, **changes))
    return model, result


def test_equal_seeds_give_equal_bits_and_others_do_not():
    first, _ = trained()
    torch.rand(7)  # what was drawn before does not matter
    assert equal(weights(first), weights(trained()[0]))
    assert not equal(weights(first), weights(trained(seed=1)[0]))


@pytest.mark.parametrize("value", [LEAST, MOST])
def test_adamw_can_work_with_the_least_and_the_largest_rate_and_decay(value):
    settings = replace(SETTINGS, learning_rate=value, weight_decay=value, betas=[1 - 2**-53, 1 - 2**-53])
    model = Toy()
    before = weights(model)
    step = optimisation.Optimisation(model, settings, 1)
    step.set_rates(0)
    model.linear.weight.grad = torch.ones(1, 2)
    step.optimizer.step()
    assert torch.equal(model.linear.weight, before["linear.weight"]) == (value == LEAST)


def test_workers_change_nothing():
    assert equal(weights(trained()[0]), weights(trained(num_workers=2)[0]))


def test_every_item_once_an_epoch_in_a_new_order():
    model, result = trained()
    epochs = [[item for batch in model.seen[start : start + 3] for item in batch] for start in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert [entry["epoch"] for entry in result.history] == [1, 2, 3]
    assert (result.best_epoch, result.trainable_parameters) == (3, 2 * 2 + 3)


def test_only_what_is_trainable_moves():
    before, (model, _) = weights(Toy()), trained()
    assert torch.equal(model.frozen, before["frozen"])
    assert not torch.equal(model.linear.weight, before["linear.weight"])


@pytest.mark.parametrize(("selection", "scores", "best"), [("loss", (2, 1, 3), 2), ("top1", (0.5, 0.2, 0.5), 1)])
def test_the_best_epoch_is_left_in_the_model_batch_norm_included(selection, scores, best):
    model, kept = Toy(), []

    def validate(model):
        kept.append(weights(model))
        score = scores[len(kept) - 1]
        return {"loss": score, "top1": score}

    result = train(model, Items(), collate, replace(SETTINGS, selection=selection), validate)
    assert result.best_epoch == best
    assert equal(weights(model), kept[best - 1])
    assert [entry["validation_loss"] for entry in result.history] == list(scores)


def test_a_last_batch_of_one_is_left_out():
    model = Toy()
    train(model, Items(9), collate, SETTINGS)  # batch norm would refuse it
    assert {len(batch) for batch in model.seen} == {4}
    model = Toy()
    train(model, Items(10), collate, SETTINGS)
    assert {len(batch) for batch in model.seen} == {4, 2}


def test_a_batch_larger_than_the_data_is_all_of_them():
    model = Toy()
    train(model, Items(5), collate, replace(SETTINGS, batch_size=64))
    assert {len(batch) for batch in model.seen} == {5}


class Recorded(Shuffled):
    """An order that remembers which epochs it was asked for."""

    def __init__(self):
        super().__init__(12, 4, 0)
        self.epochs = []

    def epoch(self, epoch):
        self.epochs.append(epoch)
        return super().epoch(epoch)


def test_batches_and_items_are_those_of_the_epoch():
    order, items = Recorded(), Items()
    train_in_batches(Toy(), items, collate, SETTINGS, order)
    assert (order.epochs, items.epoch) == ([0, 1, 2], 2)


def test_a_loss_that_is_not_finite_stops_it():
    class Broken(Toy):
        def forward(self, values, target):
            return type("Output", (), {"loss": super().forward(values, target).loss * math.nan})()

    with pytest.raises(FloatingPointError, match=r"epoch 1, step 1.*learning_rate"):
        train(Broken(), Items(), collate, SETTINGS)
    named = Items()
    named.describe = "cat number {}".format
    with pytest.raises(FloatingPointError, match=r"held cat number \d+, cat number \d+"):
        train(Broken(), named, collate, SETTINGS)


def test_the_last_good_epoch_is_what_a_lost_training_leaves(tmp_path):
    """Numbers are lost in the second step of the third epoch, after checkpoints of its first."""
    kept = Toy()
    settings = replace(SETTINGS, schedule="constant", warmup=0.0, checkpoint_minutes=0)
    train(kept, Items(), collate, replace(settings, epochs=2))
    model, items, batches = Toy(), Items(), Shuffled(12, 4, 0)
    items.describe = "trial {}".format
    steps = len(batches)

    def broken(values, target, real=model.forward):
        output = real(values, target)
        if len(model.seen) == 2 * steps + 2:
            output.loss = output.loss * math.nan
        return output

    model.forward = broken
    with pytest.raises(LostNumbersError, match="epoch 3, step 2") as caught:
        train_in_batches(model, items, collate, replace(settings, epochs=9), batches, checkpoints=tmp_path)
    assert equal(weights(model), weights(kept))
    assert len(caught.value.batch) == 4
    good = caught.value.good
    assert (good.best_epoch, [entry["epoch"] for entry in good.history]) == (2, [1, 2])
    assert read_newest_checkpoint(tmp_path).step == 2 * steps  # that of the third epoch's first step is gone


def test_before_the_first_epoch_has_ended_no_checkpoint_stays(tmp_path):
    """Nothing says that weights of a first epoch which ends so were good."""
    model = Toy()

    def broken(values, target, real=model.forward):
        output = real(values, target)
        output.loss = output.loss * (math.nan if len(model.seen) == 3 else 1)
        return output

    model.forward = broken
    settings = replace(SETTINGS, checkpoint_minutes=0)
    with pytest.raises(LostNumbersError) as caught:
        train_in_batches(model, Items(), collate, settings, Shuffled(12, 4, 0), checkpoints=tmp_path)
    assert caught.value.good is None
    assert read_newest_checkpoint(tmp_path) is None


def test_weights_and_validation_that_are_not_finite_stop_it():
    with pytest.raises(FloatingPointError, match="epoch 1, loss"):
        train(Toy(), Items(), collate, replace(SETTINGS, selection="loss"), lambda _: {"loss": math.nan})

    def spoil(model):
        model.linear.bias.data.fill_(math.inf)
        return {"loss": 1.0}

    with pytest.raises(FloatingPointError, match=r"linear\.bias"):
        train(Toy(), Items(), collate, replace(SETTINGS, epochs=1), spoil)


def test_weights_that_are_lost_behind_a_finite_loss_name_the_last_batch():
    model, items = Toy(), Items()
    items.describe = "trial {}".format

    def real_then_spoiled(values, target, real=model.forward):
        output = real(values, target)
        if len(model.seen) == 3:  # the last of the epoch: its loss is finite, its gradient is not
            output.loss = output.loss + (0 * model.linear.bias).sqrt().sum()
        return output

    model.forward = real_then_spoiled
    with pytest.raises(LostNumbersError, match=r"After epoch 1, .* is not finite.* last batch .*held trial") as caught:
        train(model, items, collate, SETTINGS)
    assert caught.value.batch == [f"trial {item:.0f}" for item in model.seen[-1]]


def test_selection_needs_validation():
    with pytest.raises(InputError, match="selection=loss needs validation"):
        train(Toy(), Items(), collate, replace(SETTINGS, selection="loss"))


def test_nothing_trainable():
    with pytest.raises(InputError, match="No parameter"):
        train(Toy().requires_grad_(False), Items(), collate, SETTINGS)


def test_one_process_trains_in_one_precision_after_the_other():
    full, half = trained()[0], trained(mixed_precision="bf16")[0]
    assert half.linear.weight.dtype == torch.float32
    assert not equal(weights(full), weights(half))
    assert equal(weights(full), weights(trained()[0]))


@pytest.mark.parametrize("prefix", [NeuroPromptModel.prefix, "other_"])
def test_matrices_decay_and_prompts_have_their_own_rate(monkeypatch, prefix):
    monkeypatch.setattr(NeuroPromptModel, "prefix", prefix)
    model = torch.nn.ParameterDict(
        {"linear": torch.ones(2, 2), "bias": torch.ones(2), f"{prefix}tokens": torch.ones(1, 2, 2)}
    )
    settings = TrainingSettings(learning_rate=1e-3, weight_decay=0.1, prompt_learning_rate=1e-2)
    groups = {
        (group["lr"], group["weight_decay"]): len(group["params"])
        for group in optimisation._parameter_groups(model, settings)
    }
    assert groups == {(1e-3, 0.1): 1, (1e-3, 0.0): 1, (1e-2, 0.0): 1}


def test_adapters_of_the_tower_have_a_rate_and_a_decay_of_their_own():
    model = torch.nn.ModuleDict({"vision_model": torch.nn.Linear(2, 2), "encoder": torch.nn.Linear(2, 2)})
    settings = TrainingSettings(learning_rate=1e-3, weight_decay=0.1, tower_learning_rate=1e-4, tower_weight_decay=0.0)
    groups = optimisation._parameter_groups(model, settings)
    rates = {id(each): (group["lr"], group["weight_decay"]) for group in groups for each in group["params"]}
    found = {name: rates[id(each)] for name, each in model.named_parameters()}
    tower = {"vision_model.weight": (1e-4, 0.0), "vision_model.bias": (1e-4, 0.0)}
    assert found == {**tower, "encoder.weight": (1e-3, 0.1), "encoder.bias": (1e-3, 0.0)}
    groups = optimisation._parameter_groups(
        model, replace(settings, tower_learning_rate=None, tower_weight_decay=None)
    )
    assert sorted((group["lr"], group["weight_decay"]) for group in groups) == [(1e-3, 0.0), (1e-3, 0.1)]


@pytest.fixture
def rates(monkeypatch):
    """Rates of the steps of a training of nine steps, three an epoch, in parts of the learning rate."""

    def of(**changes):
        used, real = [], torch.optim.AdamW.step

        def step(self, *rest):
            used.append(self.param_groups[0]["lr"] / 0.1)
            return real(self, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(torch.optim.AdamW, "step", step)
            trained(**changes)
        return used

    return of


def test_the_rate_rises_then_falls(rates):
    used = rates(warmup=0.2)
    assert used[:3] == pytest.approx([0.5, 1.0, 1.0])
    assert used[2:] == pytest.approx([0.5 * (1 + math.cos(math.pi * step / 7)) for step in range(7)])


def test_the_rate_stays_or_is_halved_after_an_epoch(rates):
    assert rates(warmup=0.0, schedule="constant") == pytest.approx([1.0] * 9)
    assert rates(warmup=0.2, schedule="constant") == pytest.approx([0.5] + [1.0] * 8)
    assert rates(warmup=0.0, schedule="constant", halve_after=2) == pytest.approx([1.0] * 6 + [0.5] * 3)
    whole = rates(warmup=0.0)
    assert rates(warmup=0.0, halve_after=1) == pytest.approx(whole[:3] + [rate / 2 for rate in whole[3:]])


def test_betas_and_clipping_change_the_training():
    plain = weights(trained()[0])
    assert not equal(plain, weights(trained(betas=[0.5, 0.999])[0]))
    assert equal(plain, weights(trained(betas=[0.9, 0.999])[0]))
    assert not equal(plain, weights(trained(max_grad_norm=None)[0]))
    assert equal(weights(trained(max_grad_norm=1e9)[0]), weights(trained(max_grad_norm=None)[0]))


def test_accumulated_gradients_are_refused(monkeypatch):
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    with pytest.raises(InputError, match=r"gradients of 4 batches.*picture_chunk_size"):
        trained()


def test_fp16_is_refused_on_cpus():
    if torch.cuda.is_available():
        pytest.skip("Accelerate takes the GPU here")
    with pytest.raises(InputError, match=r"mixed_precision is fp16: it needs a GPU"):
        trained(mixed_precision="fp16")


def test_a_batch_has_a_row_for_every_process(monkeypatch):
    monkeypatch.setattr(Accelerator, "num_processes", 5)
    with pytest.raises(InputError, match="batch_size is 4: it is over all processes together, of which there are 5"):
        trained()
