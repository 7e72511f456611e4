"""Every recipe says where its values are from, and trains on simulated recordings with the tower that ships."""

import math
import re

import numpy as np
import pytest
import torch

from neuroclip_hf.checkpoints import load_run
from neuroclip_hf.columns import SMALL_CLIP
from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.sources.things_eeg2 import prepare_things_eeg2
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.protocols.run import save_run, train_on_store
from neuroclip_hf.training import trainer
from neuroclip_hf.training.settings import RECIPES, load_recipe, recipe_names

METHODS = {
    *("neuroclip-intra", "neuroclip-inter", "neuroclip-shallow", "nice", "atm-s", "ubp", "neurobridge"),
    *("eegproject-lora", "shallow-alignment", "samga-like"),
}
OWN = {"demo", "concepts"}
SOLVED = {"brainclip-ridge", "brainclip-kernel-ridge", "brainclip-banded-ridge"}  # in closed form
PATTERNS = {"brainclip", "brainclip-mlp", "brainclip-linear", *SOLVED}
# The layers that a recipe reads are those of a tower with 12 or 32; small-clip has 4. As many are read here.
LAYERS = {"neuroclip-shallow": [2], "shallow-alignment": [2], "samga-like": [1, 2, 3]}


@pytest.fixture(scope="module")
def store(simulated, tmp_path_factory):
    """Trials of 100 samples, which the field's kernels fit into."""
    folder = tmp_path_factory.mktemp("recipes") / "store"
    epochs = EpochSettings(window=(0.0, 1.0), baseline=(-0.2, 0.0), sampling_rate=100.0)
    prepare_things_eeg2(simulated, folder, channels=("P7", "O1", "Oz", "O2"), epochs=epochs)
    return TrialStore(folder)


@pytest.fixture
def trained_on(store, array_store):
    """The store that a recipe is for: of trials, or of patterns."""

    def choose(name):
        if name not in PATTERNS:
            return store
        brain = np.random.default_rng(0).standard_normal((50, 9))
        regions = {"rois": np.array(["V1", "V2"]), "roi_masks": np.arange(9) // 5 == np.arange(2)[:, None]}
        return array_store(brain=brain, channel_names=None, sampling_rate=None, unit=None, **regions)

    return choose


def offline(name, **overrides):
    layers = {"vision_feature_layers": LAYERS[name]} if name in LAYERS else {}
    return load_recipe(name, {"tower": SMALL_CLIP, "seed": 3, **layers, **overrides})


def test_the_list_is_complete():
    assert set(recipe_names()) == METHODS | OWN | PATTERNS
    assert {name for name in recipe_names() if load_recipe(name).model.kind == "brainclip"} == PATTERNS
    read = {name for name in recipe_names() if load_recipe(name).model.vision_feature_layers is not None}
    assert read == set(LAYERS)


@pytest.mark.parametrize("name", recipe_names())
def test_it_fills_one_screen_and_every_value_has_its_source(name):
    lines = (RECIPES / f"{name}.yaml").read_text().splitlines()
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 125
    assert load_recipe(name).name == name
    values = [line for line in lines if re.match(r"\s*(- )?\w+: *[^ #]", line)]
    assert len(values) > 10
    if not any("Every value is ours" in line for line in lines):
        assert [line for line in values if "#" not in line] == []


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_names_a_real_tower_and_how_to_do_without(name):
    assert "/" in load_recipe(name).model.tower
    head = (RECIPES / f"{name}.yaml").read_text().partition("\nmodel:")[0]
    assert re.search(r"Offline:[\s#]+tower=small-clip", head)
    assert ("vision_feature_layers=2" in head) == (name in LAYERS)


@pytest.mark.parametrize("name", recipe_names())
def test_it_trains_two_steps_offline_and_comes_back(name, trained_on, tmp_path):
    recipe = offline(name, epochs=1, batch_size=4 if name in PATTERNS else 20, items="targets")
    trained = train_on_store(recipe, trained_on(name))
    # 16 pictures of two subjects, or 6 of one, without those of validation; two batches
    assert trained.facts["sampling"]["trials_an_epoch"] == (6 if name in PATTERNS else 32)
    assert trained.facts["trainable_parameters"] > 0
    (epoch,) = trained.result.history
    assert math.isfinite(epoch["loss"])
    save_run(trained, recipe, tmp_path / "run")
    loaded = load_run(tmp_path / "run")[0].state_dict()
    assert all(torch.equal(loaded[key].cpu(), value) for key, value in trained.model.state_dict().items())


def test_layers_are_recomputed_where_a_recipe_says_so(store):
    for name in ("eegproject-lora", "neuroclip-intra"):
        recipe = offline(name, epochs=1)
        layers = train_on_store(recipe, store).model.vision_model.encoder.layers
        assert {layer.gradient_checkpointing for layer in layers} == {recipe.training.gradient_checkpointing}
    assert load_recipe("eegproject-lora").training.gradient_checkpointing


class StopError(Exception):
    """A training is stopped."""


@pytest.mark.parametrize("name", ["neurobridge", "eegproject-lora", "samga-like", *sorted(PATTERNS - SOLVED)])
def test_a_training_that_was_stopped_ends_with_the_same_bits(name, trained_on, tmp_path, monkeypatch):
    store = trained_on(name)
    recipe = offline(name, epochs=2, batch_size=12, checkpoint_minutes=0)
    plain = train_on_store(recipe, store).model.state_dict()
    calls, real = [], trainer.write_checkpoint

    def write(*arguments):
        real(*arguments)
        calls.append(0)
        if len(calls) == 4:
            raise StopError

    monkeypatch.setattr(trainer, "write_checkpoint", write)
    with pytest.raises(StopError):
        train_on_store(recipe, store, checkpoints=tmp_path / "checkpoints")
    resumed = train_on_store(recipe, store, checkpoints=tmp_path / "checkpoints").model.state_dict()
    assert all(torch.equal(resumed[key], value) for key, value in plain.items())
