"""A run that was killed and started again ends with the same files; what does not fit is refused, and left alone."""

import os
import re
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json, write_json
from neuroclip_hf.models.towers import SMALL_CLIP_FOLDER
from neuroclip_hf.processing.collator import BrainImageCollator
from neuroclip_hf.protocols import run as protocol
from neuroclip_hf.protocols.run import train_run
from neuroclip_hf.sharing.card import write_card
from neuroclip_hf.training import trainer
from neuroclip_hf.training.settings import load_recipe

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is killed in a fork of this one")
STEPS_BEFORE_THE_CONTROL = 9  # four an epoch, and a batch that the trained encoder is looked at with


@pytest.fixture(scope="module")
def small(recipe):
    return changed(recipe, checkpoint_minutes=0)


def changed(recipe, **settings):
    return replace(recipe, training=replace(recipe.training, **settings))


def killed(owner, name, count, *arguments, **options):
    """Train a run in another process, which dies by SIGKILL at the `count`-th call of `owner.name`."""
    child = os.fork()
    if child == 0:
        real, calls = getattr(owner, name), []

        def deadly(*inner, **given):
            calls.append(0)
            if len(calls) == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*inner, **given)

        setattr(owner, name, deadly)
        try:
            train_run(*arguments, **options)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def killed_in_training(step, *arguments, **options):
    """Killed while the batch of a step is made, which happens in the step before it."""
    killed(BrainImageCollator, "__call__", step, *arguments, **options)


def content(folder):
    """Every file below a run with its bytes, and run.json without times."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: {**read_json(path), "seconds": 0} if path.name == "run.json" else path.read_bytes()
        for name, path in files.items()
        if path.name != "recipe.yaml"  # when checkpoints are written may differ
    }


@pytest.fixture(scope="module")
def undisturbed(recipe, store, tmp_path_factory):
    return content(train_run(recipe, store, tmp_path_factory.mktemp("undisturbed") / "run", control=True))


@needs_fork
@pytest.mark.parametrize("step", [1, 3, 6])
def test_a_brainclip_that_was_killed_ends_with_the_same_files(array_store, tmp_path, step):
    brain = np.random.default_rng(0).standard_normal((50, 9))
    store = array_store(brain=brain, channel_names=None, sampling_rate=None, unit=None)
    small = {"encoder_settings.width": 8, "encoder_settings.latent_size": 4, "epochs": 2, "batch_size": 12}
    settings = load_recipe("brainclip", {**small, "checkpoint_minutes": 0})  # noise, dropout and mixed trials
    train_run(settings, store, tmp_path / "whole")
    killed_in_training(step, settings, store, tmp_path / "run")
    assert content(train_run(settings, store, tmp_path / "run")) == content(tmp_path / "whole")


@needs_fork
@pytest.mark.parametrize("step", [1, 3, 9, 10, 12, 16])
def test_killed_in_the_training_or_its_control_it_ends_with_the_same_files(undisturbed, small, store, tmp_path, step):
    out = tmp_path / "run"
    killed_in_training(step, small, store, out, control=True)
    assert [path.name for path in tmp_path.iterdir()] == [".run.unfinished"]
    assert (tmp_path / ".run.unfinished" / "output").is_dir() is (step > STEPS_BEFORE_THE_CONTROL)
    assert content(train_run(small, store, out, control=True)) == undisturbed
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@needs_fork
@pytest.mark.parametrize(("name", "count"), [("save_run", 1), ("save_run", 2), ("write_json", 2), ("write_json", 4)])
def test_killed_while_it_is_saved(undisturbed, small, store, tmp_path, name, count, monkeypatch):
    out, trained = tmp_path / "run", []
    killed(protocol, name, count, small, store, out, control=True)
    real = protocol.train_on_store
    monkeypatch.setattr(protocol, "train_on_store", lambda *a, **k: (trained.append(k["shuffled"]), real(*a, **k))[1])
    assert content(train_run(small, store, out, control=True)) == undisturbed
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert trained == ([True] if (count in (2, 4) and name == "save_run") or count == 4 else [False, True])


@needs_fork
def test_other_settings_or_recordings_are_refused_and_named(small, store, array_store, tmp_path, snapshot):
    out = tmp_path / "run"
    killed_in_training(3, small, store, out)
    before = snapshot(tmp_path / ".run.unfinished")
    other = replace(changed(small, learning_rate=1.0, seed=3), data=replace(small.data, noise=0.2))
    for recipe, trials, words in (
        (other, store, ["data.noise was 0.1 and is 0.2", "training.learning_rate was", "is 1.0; training.seed was 0"]),
        (small, array_store(), [f"store was '{store.info.fingerprint}' and is"]),
    ):
        with pytest.raises(InputError, match="other settings") as refusal:
            train_run(recipe, trials, out)
        assert all(word in str(refusal.value) for word in (*words, ".run.unfinished", "--overwrite"))
        assert snapshot(tmp_path / ".run.unfinished") == before
    with pytest.raises(InputError, match="control was False and is True"):
        train_run(small, store, out, control=True)


@needs_fork
def test_overwrite_starts_afresh_and_then_goes_on(small, store, tmp_path, caplog):
    caplog.set_level("INFO", "neuroclip_hf")
    out = tmp_path / "run"
    killed_in_training(4, small, store, out)
    killed_in_training(3, small, store, out, overwrite=True)  # begun afresh, hence in the second step
    train_run(small, store, out, overwrite=True)
    assert "Going on after step 1 of 8." in caplog.text
    assert out.is_dir()


@needs_fork
def test_overwrite_takes_other_settings(small, store, tmp_path):
    out = tmp_path / "run"
    killed_in_training(3, small, store, out)
    train_run(changed(small, epochs=1), store, out, overwrite=True)
    assert read_json(out / "run.json")["epochs"] == 1


@pytest.fixture
def tower(tmp_path):
    """The tower that ships, in a folder of its own."""
    return shutil.copytree(SMALL_CLIP_FOLDER, tmp_path / "towers" / "mine")


def on_tower(recipe, tower):
    return replace(recipe, model=replace(recipe.model, tower=str(tower)))


def change_weights(tower):
    weights = load_file(tower / "model.safetensors")
    name = next(name for name in weights if name.endswith("post_layernorm.weight"))
    save_file({**weights, name: weights[name] + 1}, tower / "model.safetensors", metadata={"format": "pt"})


def change_pictures(tower):
    path = tower / "processor_config.json"
    write_json(path, {"image_processor": {**read_json(path)["image_processor"], "image_mean": [0.0, 0.0, 0.0]}})


@needs_fork
@pytest.mark.parametrize(
    ("change", "message"),
    [(change_weights, "tower.fingerprint was '"), (change_pictures, "tower.image_processor.image_mean was")],
)
def test_a_tower_that_changed_in_its_folder_is_noticed(small, store, tower, tmp_path, change, message):
    chosen, out = on_tower(small, tower), tmp_path / "run"
    killed_in_training(3, chosen, store, out)
    change(tower)
    with pytest.raises(InputError, match=re.escape(message)):
        train_run(chosen, store, out)
    train_run(chosen, store, out, overwrite=True)
    assert read_json(out / "config.json")["tower"] == "mine"


@needs_fork
def test_a_run_on_a_tower_from_a_folder_goes_on_and_does_not_say_where_it_lay(small, store, tower, tmp_path, caplog):
    caplog.set_level("INFO", "neuroclip_hf")
    out, before = tmp_path / "run", store.path.parent
    killed_in_training(3, on_tower(small, tower), store, out)
    moved = shutil.move(tower, tmp_path / "mine")
    train_run(on_tower(small, moved), store, out, control=False, finish=write_card)
    assert "Going on after step 1 of 8." in caplog.text
    files = [path for path in out.rglob("*") if path.is_file()]
    assert {"recipe.yaml", "README.md", "processor_config.json"} <= {path.name for path in files}
    for path in files:
        for secret in (tmp_path, before, moved, tower):
            assert str(secret).encode() not in path.read_bytes(), path.name
    assert load_recipe(out / "recipe.yaml").model.tower == "mine"
    train_run(on_tower(small, moved), store, out, overwrite=True)


@needs_fork
def test_before_a_checkpoint_any_settings_may_follow(small, store, tmp_path):
    killed_in_training(1, small, store, tmp_path / "run")
    train_run(changed(small, epochs=1), store, tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def fails_at(step, error, monkeypatch):
    real, calls = BrainImageCollator.__call__, []

    def call(self, items):
        calls.append(0)
        if len(calls) == step:
            raise error
        return real(self, items)

    monkeypatch.setattr(BrainImageCollator, "__call__", call)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, InputError])
def test_an_error_keeps_the_checkpoints_and_says_so(small, store, tmp_path, monkeypatch, caplog, error):
    fails_at(3, error, monkeypatch)
    with pytest.raises(error):
        train_run(small, store, tmp_path / "run")
    assert f"{tmp_path / '.run.unfinished'} keeps what was trained: the same command goes on after it." in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == [".run.unfinished"]
    train_run(small, store, tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_lost_numbers_keep_the_last_epoch_that_ended_well(recipe, store, tmp_path, monkeypatch):
    rare = changed(recipe, checkpoint_minutes=1000)
    fails_at(7, FloatingPointError, monkeypatch)  # in the second epoch
    with pytest.raises(FloatingPointError):
        train_run(rare, store, tmp_path / "run")
    kept = tmp_path / ".run.unfinished" / "checkpoints" / "training"
    assert [path.name for path in kept.iterdir()] == ["step-000000004"]
    train_run(rare, store, tmp_path / "run")
    train_run(rare, store, tmp_path / "undisturbed")
    assert content(tmp_path / "run") == content(tmp_path / "undisturbed")


def test_strange_files_and_other_processes_are_left_alone(small, store, tmp_path):
    folder = tmp_path / ".run.unfinished"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"\.run\.unfinished holds mine\.txt, which no training leaves there"):
        train_run(small, store, tmp_path / "run")
    (folder / "mine.txt").unlink()
    fcntl = pytest.importorskip("fcntl")
    with (folder / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="run is being made by another process: wait for it"):
            train_run(small, store, tmp_path / "run")


@pytest.fixture
def finished(recipe, store, tmp_path):
    """A finished run."""
    return train_run(recipe, store, tmp_path / "run")


def test_a_finished_run_is_not_trained_again(finished, recipe, store, snapshot, monkeypatch, caplog):
    caplog.set_level("INFO", "neuroclip_hf")
    before = snapshot(finished.parent)
    monkeypatch.setattr(protocol, "train_on_store", lambda *_, **__: pytest.fail("it was trained"))
    for same in (recipe, changed(recipe, checkpoint_minutes=3.0, num_workers=1)):
        caplog.clear()
        assert train_run(same, store, finished) == finished
        assert f"{finished} is finished: it was trained with the same settings on the same store" in caplog.text
        assert snapshot(finished.parent) == before


def test_another_run_is_not_taken_for_the_one_asked_for(finished, recipe, store, array_store, snapshot):
    before = snapshot(finished)
    random = replace(recipe, model=replace(recipe.model, tower="random"))
    for asked, trials, control, message in (
        (changed(recipe, epochs=3), store, False, "training.epochs was 2 and is 3"),
        (random, store, False, "model.tower was 'small-clip' and is 'random'"),
        (recipe, array_store(), False, f"store was '{store.info.fingerprint}' and is"),
        (recipe, store, True, "control was False and is True"),
    ):
        with pytest.raises(InputError, match=f"run already exists: pass --overwrite .* asked for: .*{message}"):
            train_run(asked, trials, finished, control=control)
    (finished / "recipe.yaml").write_text("epochs: [")
    with pytest.raises(InputError, match=r"run already exists: pass --overwrite .*recipe\.yaml cannot be read"):
        train_run(recipe, store, finished)
    assert {**snapshot(finished), "recipe.yaml": before["recipe.yaml"]} == before


def test_a_finished_run_on_another_tower_of_the_same_name(recipe, store, tower, tmp_path):
    out = train_run(on_tower(recipe, tower), store, tmp_path / "run")
    assert train_run(on_tower(recipe, tower), store, out) == out
    change_weights(tower)
    with pytest.raises(InputError, match=r"tower\.fingerprint was '"):
        train_run(on_tower(recipe, tower), store, out)


def test_a_run_that_was_stopped_says_how_long_all_attempts_took(small, store, tmp_path, monkeypatch):
    fails_at(5, RuntimeError("stopped"), monkeypatch)
    monkeypatch.setattr(trainer, "time", Clock())
    with pytest.raises(RuntimeError, match="stopped"):
        train_run(small, store, tmp_path / "run")
    kept = max((tmp_path / ".run.unfinished" / "checkpoints" / "training").iterdir())
    first = read_json(kept / "state.json")["seconds"]
    assert first > 0
    monkeypatch.setattr(trainer, "time", clock := Clock())
    train_run(small, store, tmp_path / "run")
    assert read_json(tmp_path / "run" / "run.json")["seconds"] == first + clock.now - 1


class Clock:
    """A second goes by whenever somebody looks at it."""

    now = 0.0

    def perf_counter(self):
        self.now += 1
        return self.now


@pytest.mark.parametrize("left", [-1, 0.5, 0, None])
def test_a_finished_run_whose_weights_were_cut_is_noticed(finished, recipe, store, left):
    weights = finished / "model.safetensors"
    if left is None:
        weights.unlink()
    else:
        os.truncate(weights, weights.stat().st_size - 1 if left < 0 else int(weights.stat().st_size * left))
    with pytest.raises(InputError, match=r"run already exists: pass --overwrite .*model\.safetensors is damaged"):
        train_run(recipe, store, finished)
