"""A training that is killed at any moment and started again ends with the same bits."""

import hashlib
import json
import math
import os
import random
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from neuroclip_hf.data.sampling import Shuffled
from neuroclip_hf.errors import InputError
from neuroclip_hf.training import checkpoints, trainer
from neuroclip_hf.training.checkpoints import read_newest_checkpoint, write_checkpoint
from neuroclip_hf.training.optimisation import Optimisation, trained_state
from neuroclip_hf.training.record import Record
from neuroclip_hf.training.settings import TrainingSettings
from neuroclip_hf.training.trainer import train

SETTINGS = TrainingSettings(epochs=3, batch_size=4, learning_rate=0.05, selection="loss", checkpoint_minutes=0)
STEPS = 9
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is killed in a fork of this one")


class Toy(torch.nn.Module):
    """Batch norm, dropout, and noise from every global generator."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.norm = torch.nn.BatchNorm1d(2)
        self.linear = torch.nn.Linear(2, 1)
        self.drop = torch.nn.Dropout(0.5)
        self.frozen = torch.nn.Parameter(torch.ones(1000), requires_grad=False)

    def forward(self, values, target):
        noise = random.random() + np.random.random()  # noqa: NPY002 - whatever a library draws from
        found = self.linear(self.drop(self.norm(values)))[:, 0] + noise
        return type("Output", (), {"loss": ((found - target) ** 2).mean()})()


class Items(torch.utils.data.Dataset):
    """Numbers that change with the epoch, and with the generator that reads them."""

    epoch = 0

    def __len__(self):
        return 12

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __getitem__(self, item):
        return torch.tensor([float(item), math.sin(item + self.epoch) + random.random()]), item / 12


def collate(items):
    return {"values": torch.stack([item[0] for item in items]), "target": torch.tensor([item[1] for item in items])}


def validate(model):
    """It draws, too; the best epoch is not the last."""
    return {"loss": float(model.linear.weight.detach().sum()) ** 2 + random.random()}


def run(folder, **changes):
    """The bits of a training: weights, history, best epoch."""
    settings = replace(SETTINGS, **changes)
    batches = Shuffled(12, settings.batch_size, settings.seed)
    model = Toy()
    result = train(model, Items(), collate, settings, batches, validate, checkpoints=folder)
    state = {name: value.numpy().tobytes() for name, value in model.state_dict().items()}
    return state, result.history, result.best_epoch


def killed(folder, owner, name, count, after=False, **changes):
    """Train in another process, which dies by SIGKILL before or after the `count`-th call of `owner.name`."""
    child = os.fork()
    if child == 0:
        real, calls = getattr(owner, name), []

        def deadly(*arguments, **options):
            calls.append(0)
            if len(calls) == count and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            made = real(*arguments, **options)
            if len(calls) == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return made

        setattr(owner, name, deadly)
        try:
            run(folder, **changes)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


@pytest.fixture(scope="module")
def undisturbed():
    return run(None)


def test_the_best_epoch_is_not_the_last(undisturbed):
    assert undisturbed[2] < SETTINGS.epochs


@needs_fork
@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_killed_at_any_step_it_ends_with_the_same_bits(undisturbed, tmp_path, step):
    killed(tmp_path, Toy, "forward", step)
    assert read_newest_checkpoint(tmp_path) is None if step == 1 else newest(tmp_path) == step - 1
    assert run(tmp_path) == undisturbed


@needs_fork
@pytest.mark.parametrize(
    ("owner", "name", "count"),
    [
        (checkpoints, "save_file", 4),  # while a checkpoint is written
        (checkpoints, "write_json", 8),
        (checkpoints.shutil, "rmtree", 3),  # while an old one is removed
        (trainer, "refuse_broken", 2),  # while validating
    ],
)
@pytest.mark.parametrize("after", [False, True])
def test_killed_between_steps_too(undisturbed, tmp_path, owner, name, count, after):
    killed(tmp_path, owner, name, count, after)
    assert run(tmp_path) == undisturbed
    assert {path.name for path in tmp_path.iterdir()} == {"step-000000008", "step-000000009"}


@needs_fork
def test_killed_again_and_again(undisturbed, tmp_path):
    for _ in range(4):
        killed(tmp_path, Toy, "forward", 3)
    assert newest(tmp_path) == 8
    assert run(tmp_path) == undisturbed


@needs_fork
def test_rare_checkpoints_and_workers_end_with_the_same_bits(undisturbed, tmp_path, monkeypatch):
    killed(tmp_path, Toy, "forward", 6)
    for settings in ({"checkpoint_minutes": None}, {"checkpoint_minutes": 60.0}):
        assert run(tmp_path, **settings) == undisturbed
        assert newest(tmp_path) == 5  # none was written since


@needs_fork
@pytest.mark.parametrize("changes", [{"mixed_precision": "bf16"}, {"selection": "last"}, {"batch_size": 5}])
def test_other_settings_too(tmp_path, changes):
    killed(tmp_path, Toy, "forward", 5, **changes)
    assert newest(tmp_path) == 4
    assert run(tmp_path, **changes) == run(None, **changes)


def newest(folder):
    return max(int(path.name.removeprefix("step-")) for path in folder.glob("step-*"))


@needs_fork
@pytest.mark.parametrize("file", ["tensors.safetensors", "state.json", "checksums.json"])
@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "empty"])
def test_a_damaged_checkpoint_is_told_of_and_the_one_before_it_used(undisturbed, tmp_path, caplog, file, damage):
    killed(tmp_path, Toy, "forward", 6)
    path = tmp_path / "step-000000005" / file
    content = path.read_bytes()
    changed = content.replace(b"1", b"2") if file != "tensors.safetensors" else content[:-1] + b"\xff"
    assert changed != content
    path.write_bytes({"cut": content[:-7], "changed": changed, "missing": b"", "empty": b""}[damage])
    if damage == "missing":
        path.unlink()
    seen = []
    real = checkpoints._read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "_read", lambda path: (seen.append(path.name), real(path))[1])
        assert run(tmp_path) == undisturbed
    assert seen == ["step-000000005", "step-000000004"]
    assert "step-000000005 is damaged and not used" in caplog.text


def cut_in_its_header(tmp_path):
    """The file ends inside what safetensors says of its tensors."""
    path = tmp_path / "step-000000005" / "tensors.safetensors"
    path.write_bytes(path.read_bytes()[:20])


def cut_and_signed(tmp_path):
    """As many bytes as were on the disk before it was full, with checksums that somebody wrote for these."""
    path = tmp_path / "step-000000005" / "tensors.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    sign(path.parent)


def state_of_another_run(tmp_path):
    """A whole state file, of another training at the same step."""
    run(tmp_path / "other", seed=7)
    shutil.copy(tmp_path / "other" / "step-000000009" / "state.json", tmp_path / "step-000000005" / "state.json")
    shutil.rmtree(tmp_path / "other")


def state_of_no_kind(tmp_path):
    """A whole JSON file that holds no state, with checksums that somebody wrote for it."""
    path = tmp_path / "step-000000005" / "state.json"
    path.write_text("[1]")
    sign(path.parent)


def sign(folder):
    names = ("tensors.safetensors", "state.json")
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    (folder / "checksums.json").write_text(json.dumps(sums))


@needs_fork
@pytest.mark.parametrize("damage", [cut_in_its_header, cut_and_signed, state_of_another_run, state_of_no_kind])
def test_what_no_training_wrote_is_not_gone_on_with(undisturbed, tmp_path, caplog, damage):
    caplog.set_level("INFO", "neuroclip_hf")
    killed(tmp_path, Toy, "forward", 6)
    damage(tmp_path)
    assert run(tmp_path) == undisturbed
    assert "step-000000005 is damaged and not used" in caplog.text
    assert "step 4 of 9" in caplog.text


@needs_fork
@pytest.mark.parametrize(
    ("rename", "after", "left", "goes_on_after"),
    [(12, False, ["tmp"], 3), (12, True, ["old", "tmp"], 2), (13, False, ["old", "tmp"], 2), (13, True, ["old"], 3)],
)
def test_killed_between_two_renames(undisturbed, tmp_path, caplog, rename, after, left, goes_on_after):
    """At the end of an epoch the checkpoint of its last step is moved away, and another moved there.

    Of each checkpoint there are three renames, two of them of its files; these are the eleventh to the thirteenth.
    """
    caplog.set_level("INFO", "neuroclip_hf")
    killed(tmp_path, os, "replace", rename, after)
    assert sorted(path.suffix.removeprefix(".") for path in tmp_path.glob(".step-000000003.*")) == left
    assert newest(tmp_path) == goes_on_after
    assert run(tmp_path) == undisturbed
    assert f"Going on after step {goes_on_after} of 9" in caplog.text
    assert not list(tmp_path.glob(".step-*"))


@pytest.mark.parametrize("part", ["history", "epoch", "scaler"])
def test_a_state_that_lacks_a_part_is_named(tmp_path, part):
    run(tmp_path)
    path = tmp_path / "step-000000009" / "state.json"
    path.write_text(json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != part}))
    sign(path.parent)
    with pytest.raises(InputError, match=f"checkpoint of step 9 lacks {part}"):
        run(tmp_path)


@pytest.mark.parametrize("file", ["tensors.safetensors", "state.json", "checksums.json"])
def test_a_checkpoint_that_cannot_be_read_is_kept(tmp_path, monkeypatch, file, snapshot):
    run(tmp_path)
    before, real = snapshot(tmp_path), Path.open

    def refused(path, *arguments, **options):
        if path.name == file and path.parent.name == "step-000000009":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refused)
        with pytest.raises(InputError, match=r"step-000000009 cannot be read \(Permission denied\)"):
            run(tmp_path)
    assert snapshot(tmp_path) == before


def test_without_a_whole_checkpoint_it_starts_again(undisturbed, tmp_path):
    (tmp_path / "step-000000003").mkdir()
    (tmp_path / "step-000000003" / "state.json").write_text("{")
    assert run(tmp_path) == undisturbed


def test_a_checkpoint_holds_what_is_trained_and_no_pickle(tmp_path):
    run(tmp_path)
    found = read_newest_checkpoint(tmp_path)
    names = {"norm.weight", "norm.bias", "linear.weight", "linear.bias"}
    statistics = {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"}
    parts = {part: set() for part in ("model", "best", "optimizer", "losses")}
    for name in found.tensors:
        part, _, rest = name.partition("/")
        parts[part].add(rest)
    assert parts["model"] == parts["best"] == names | statistics
    assert parts["optimizer"] == {f"{n}.{key}" for n in range(4) for key in ("step", "exp_avg", "exp_avg_sq")}
    assert parts["losses"] == set()  # the epoch is complete
    folder = tmp_path / f"step-{STEPS:09d}"
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}
    assert json.loads((folder / "state.json").read_text())["epoch"] == 3


class Keeper(torch.nn.Module):
    """A frozen tower beside a mean that moves; names do not say which is which."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 1)
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)
        self.vision_model = torch.nn.Linear(2, 2).requires_grad_(False)
        self.vision_model.register_buffer("positions", torch.arange(4.0))


def test_whatever_moves_is_kept_by_whatever_name():
    assert set(trained_state(Keeper())) == {"linear.weight", "linear.bias", "mean"}


def test_the_scaler_of_fp16_goes_on_too(tmp_path):
    model = Toy()
    optimisation = Optimisation(model, SETTINGS, STEPS)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(model.linear.weight.sum())  # it makes its scale when it is first asked
    scaler.update(new_scale=2.0)
    write_checkpoint(tmp_path, Record(step=5).snapshot(model, optimisation, scaler, 0.0))
    other = torch.amp.GradScaler("cpu", init_scale=8.0)
    found = read_newest_checkpoint(tmp_path)
    assert Record.restored(found, model, optimisation, other, torch.device("cpu")).step == 5
    assert other.state_dict() == scaler.state_dict()
    assert other.get_scale() == 2.0


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    run(tmp_path)
    model = Toy()
    model.linear = torch.nn.Linear(2, 3)
    with pytest.raises(InputError, match=r"linear\.bias is \(1,\) there and \(3,\) here"):
        train(model, Items(), collate, SETTINGS, Shuffled(12, 4, 0), validate, checkpoints=tmp_path)


def test_deterministic_algorithms_are_on_while_training_and_only_then(tmp_path):
    seen = []

    def look(model):
        seen.append(torch.are_deterministic_algorithms_enabled())
        return {"loss": 1.0}

    train(Toy(), Items(), collate, SETTINGS, Shuffled(12, 4, 0), look)
    assert seen == [True] * 3
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory
