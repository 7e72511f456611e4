"""Accuracy against averaged repeats: means of recordings, in disjoint queries, each trial read once."""

from collections import Counter

import numpy as np
import pytest
import torch

from neuroclip_hf.evaluation import accuracy_by_repeats, accuracy_of, rank_test_split, repeats
from neuroclip_hf.protocols.run import train_on_store
from neuroclip_hf.training.settings import load_recipe


@pytest.fixture(autouse=True)
def few_numbers(monkeypatch):
    monkeypatch.setattr(repeats, "REPEATS", (1, 2, 8))


def by_hand(trained, store, average):
    ranking = rank_test_split(trained.model, trained.processor, store, average=average)
    found = accuracy_of(ranking)
    return {
        "repeats": average,
        "top1": found["top1"],
        "top5": found["top5"],
        "num_queries": len(ranking.queries),
    }


@pytest.mark.parametrize("at_once", [1, 5, 256])
def test_each_number_is_what_ranking_with_it_gives(trained, store, ranked, monkeypatch, at_once):
    monkeypatch.setattr(repeats, "_MEANS_AT_ONCE", at_once)
    found = accuracy_by_repeats(trained.model, trained.processor, store, ranked)
    assert found == [by_hand(trained, store, average) for average in (1, 2, 4)]
    assert [entry["num_queries"] for entry in found] == [48, 24, 12]


def test_targets_of_several_readings(trained, store, ranked, monkeypatch):
    monkeypatch.setattr(repeats, "REPEATS", (1, 2))  # two repeats are read at a time, of the four there are
    found = accuracy_by_repeats(trained.model, trained.processor, store, ranked)
    assert found == [by_hand(trained, store, average) for average in (1, 2, 4)]


def test_all_repeats_are_made_anew_where_the_ranking_averaged_fewer(trained, store):
    single = rank_test_split(trained.model, trained.processor, store, average=1)
    found = accuracy_by_repeats(trained.model, trained.processor, store, single)
    assert found[-1] == by_hand(trained, store, 4)


def test_only_the_subjects_of_the_ranking(trained, store):
    one = rank_test_split(trained.model, trained.processor, store, subjects=["sub-02"])
    found = accuracy_by_repeats(trained.model, trained.processor, store, one)
    assert [entry["num_queries"] for entry in found] == [24, 12, 6]


def test_every_trial_is_read_once(trained, store, ranked, monkeypatch):
    read = Counter()
    original = store.read

    def count(rows):
        read.update(rows)
        return original(rows)

    monkeypatch.setattr(store, "read", count)
    accuracy_by_repeats(trained.model, trained.processor, store, ranked)
    assert set(read) == set(store.select("test").tolist())
    assert set(read.values()) == {1}


def test_targets_of_unequal_repeats(array_store, tiny_overrides):
    image_id = np.arange(50) % 10
    image_id[-1] = 8  # six trials of the one test picture, four of the other
    store = array_store(image_id=image_id, split=np.where(image_id < 8, "train", "test"))
    trained = train_on_store(load_recipe("demo", tiny_overrides), store)
    ranking = rank_test_split(trained.model, trained.processor, store)
    found = accuracy_by_repeats(trained.model, trained.processor, store, ranking)
    assert [(entry["repeats"], entry["num_queries"]) for entry in found] == [(1, 10), (2, 5), (5.0, 2)]


def test_concepts_have_no_mean_of_all(array_store, tiny_overrides):
    store = array_store()
    trained = train_on_store(load_recipe("demo", tiny_overrides), store)
    store.trials["image_id"] = ""
    object.__setattr__(store.info, "target", "concept")
    ranking = rank_test_split(trained.model, trained.processor, store)
    found = accuracy_by_repeats(trained.model, trained.processor, store, ranking)
    assert [(entry["repeats"], entry["num_queries"]) for entry in found] == [(1, 10), (2, 4)]
    assert found[0]["top1"] == accuracy_of(ranking)["top1"]


def test_a_loaded_ranking_has_nothing_to_go_on(trained, store, ranking_of):
    bare = ranking_of(torch.eye(3), torch.eye(3))
    bare.__dict__["gallery_embeds"] = None
    with pytest.raises(ValueError, match="holds no embeddings"):
        accuracy_by_repeats(trained.model, trained.processor, store, bare)
