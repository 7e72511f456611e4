"""Recordings in, a checkpoint out: a planted signal is found, shuffled pairs find none, a reload changes no bit."""

import json
import os

import numpy as np
import pytest

from neuroclip_hf import TrialStore
from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.simulation.things_eeg2 import simulate_things_eeg2
from neuroclip_hf.data.sources.things_eeg2 import prepare_things_eeg2
from neuroclip_hf.evaluation import accuracy_of, rank_test_split
from neuroclip_hf.protocols.evaluating import evaluate_run
from neuroclip_hf.protocols.run import save_run, train_on_store
from neuroclip_hf.training.settings import load_recipe

SETTINGS = {
    "encoder_settings.hidden_size": 64,
    "projection_dim": 32,
    "epochs": 5,
    "batch_size": 32,
    "learning_rate": 4e-3,
}


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    """A store with a strong signal, what was trained on it, and on shuffled pairs of it."""
    folder = tmp_path_factory.mktemp("road")
    simulate_things_eeg2(
        folder / "recordings",
        concepts=60,
        test_concepts=30,
        images_per_concept=4,
        train_repeats=2,
        test_repeats=8,
        sessions=2,
        snr=3.0,
        image_size=32,
        sampling_rate=100,
        channels=("P7", "P3", "Pz", "P4", "P8", "PO7", "POz", "PO8", "O1", "Oz", "O2"),
    )
    epochs = EpochSettings(window=(0.0, 0.8), baseline=(-0.2, 0.0), sampling_rate=100.0)
    prepare_things_eeg2(folder / "recordings", folder / "store", channels=("all",), epochs=epochs)
    store, recipe = TrialStore(folder / "store"), load_recipe("demo", SETTINGS)
    return store, recipe, train_on_store(recipe, store), train_on_store(recipe, store, shuffled=True)


@pytest.fixture(scope="module")
def run(road, tmp_path_factory):
    _, recipe, trained, control = road
    folder = tmp_path_factory.mktemp("run")
    save_run(trained, recipe, folder)
    save_run(control, recipe, folder / "control")
    return folder


def top1(trained, store) -> float:
    return accuracy_of(rank_test_split(trained.model, trained.processor, store))["top1"]


def test_a_planted_signal_is_found_and_shuffled_pairs_find_none(road):
    store, _, trained, control = road
    chance = 1 / 30
    assert top1(trained, store) >= 4 * chance
    assert top1(control, store) <= 3 * chance


FRESH = """
import sys
import numpy as np
from neuroclip_hf import NeuroCLIPModel, NeuroCLIPProcessor, TrialStore
from neuroclip_hf.cli.main import main
from neuroclip_hf.evaluation import rank_test_split
run, store, scores = sys.argv[1:]
model, processor = (one.from_pretrained(run) for one in (NeuroCLIPModel, NeuroCLIPProcessor))
np.save(scores, rank_test_split(model, processor, TrialStore(store)).scores.numpy())
sys.exit(main(["evaluate", run, "--data", store, "--json"]))
"""


def test_a_fresh_process_finds_the_same_to_the_bit(road, run, forks, tmp_path):
    store, _, trained, control = road
    done = forks.run(FRESH, run, store.path, tmp_path / "scores.npy", environment=os.environ, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    mine = rank_test_split(trained.model, trained.processor, store).scores.numpy()
    assert np.array_equal(np.load(tmp_path / "scores.npy"), mine)
    fresh = json.loads(done.stdout)
    assert fresh == evaluate_run(run, store, overwrite=True).to_dict()
    assert fresh["top1"] == top1(trained, store)
    assert fresh["control_top1"] == top1(control, store)
