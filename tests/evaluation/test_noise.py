"""On pure noise nothing is found: of 20 seeds at least 17 have p > .05."""

from dataclasses import replace

import pytest
import torch

from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.simulation.things_eeg2 import simulate_things_eeg2
from neuroclip_hf.data.sources.things_eeg2 import prepare_things_eeg2
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.evaluation import evaluate
from neuroclip_hf.protocols.evaluating import evaluate_run
from neuroclip_hf.protocols.run import train_run
from neuroclip_hf.training.settings import load_recipe

SEEDS = range(20)
"""Fixed before anything was computed."""
FEWEST_WITHOUT_EFFECT = 17


def test_random_embeddings(store, ranking_of):
    def report(seed, signal):
        generator = torch.Generator().manual_seed(seed)
        gallery = torch.randn(60, 16, generator=generator)
        query = torch.randn(120, 16, generator=generator) + signal * gallery.repeat(2, 1)
        ranking = ranking_of(query, gallery, ("sub-01", "sub-02"))
        return evaluate(replace(ranking, query_embeds=None), store, {}, "random")  # the inductive row is enough

    assert sum(report(seed, 0.0).permutation["p"] > 0.05 for seed in SEEDS) >= FEWEST_WITHOUT_EFFECT
    assert all(report(seed, 0.5).permutation["p"] < 0.05 for seed in SEEDS)  # the test would find an effect


def p_of_simulation(folder, seed, overrides, snr):
    """Recordings -> store -> brief training -> report, as a user makes them."""
    simulate_things_eeg2(
        folder / "recordings",
        subjects=(1,),
        concepts=10,
        test_concepts=60,
        images_per_concept=2,
        train_repeats=2,
        test_repeats=2,
        sessions=1,
        snr=snr,
        image_size=16,
        sampling_rate=100,
        channels=("P7", "O1", "Oz", "O2"),
        seed=seed,
    )
    epochs = EpochSettings(window=(0.0, 0.6), baseline=(-0.2, 0.0), sampling_rate=50.0)
    prepare_things_eeg2(folder / "recordings", folder / "store", channels=("all",), epochs=epochs)
    store = TrialStore(folder / "store")
    run = train_run(load_recipe("demo", {**overrides, "seed": seed}), store, folder / "run")
    return evaluate_run(run, store).permutation["p"]


@pytest.mark.slow
def test_recordings_without_signal(tmp_path, tiny_overrides):
    found = [p_of_simulation(tmp_path / str(seed), seed, tiny_overrides, snr=0.0) for seed in SEEDS]
    assert sum(p > 0.05 for p in found) >= FEWEST_WITHOUT_EFFECT, found
