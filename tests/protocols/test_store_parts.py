"""Training on some channels and a shorter window of a store is training on a store that has no more."""

import numpy as np
import pytest
import torch

from neuroclip_hf import TrialStore
from neuroclip_hf.data.store_part import part_of_store
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation import load_ranking, rank_test_split
from neuroclip_hf.protocols.evaluating import evaluate_run
from neuroclip_hf.protocols.run import train_on_store, train_run
from neuroclip_hf.training.settings import change_recipe

PART = {"channels": ["O2", "P7"], "window": [0.1, 0.4]}


def test_only_that_part_is_seen_in_training_and_evaluation(recipe, store, tmp_path):
    chosen = change_recipe(recipe, {**PART, "epochs": 1})
    run = train_run(chosen, store, tmp_path / "run")
    report = evaluate_run(run, store)
    trained = train_on_store(chosen, store)
    assert trained.processor.feature_extractor.trial_shape == (2, 15)
    assert trained.model.config.encoder_config.trial_shape == (2, 15)
    same = rank_test_split(trained.model.eval(), trained.processor, part_of_store(store, *PART.values()))
    torch.testing.assert_close(load_ranking(run).scores, same.scores)
    assert report.store == store.info.fingerprint == report.run["store"]
    assert not [flag for flag in report.flags if "store" in flag]


def test_what_is_left_out_may_be_anything(recipe, store, tmp_path, run_copy):
    chosen = change_recipe(recipe, {**PART, "epochs": 1})
    clean = train_on_store(chosen, store)
    array = np.load(store.path / "sub-01" / "train.npy")
    whole = array.copy()
    try:
        array[:, 1:3], array[..., :5], array[..., 20:] = 3.0, 3.0, 3.0
        np.save(store.path / "sub-01" / "train.npy", array)
        spoilt = train_on_store(chosen, TrialStore(store.path))
    finally:
        np.save(store.path / "sub-01" / "train.npy", whole)
    mine, theirs = clean.model.state_dict(), spoilt.model.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_what_the_store_does_not_hold_is_refused_before_training(recipe, store):
    for name, value in (("channels", ["Cz"]), ("window", [0.0, 0.9])):
        with pytest.raises(InputError, match=f"{name} is"):
            train_on_store(change_recipe(recipe, {name: value}), store)
