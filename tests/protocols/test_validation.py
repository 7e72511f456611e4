"""What chooses the epoch sees queries as evaluation does: their subjects are told, a batch at a time."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch

from neuroclip_hf import columns
from neuroclip_hf.processing import embedding
from neuroclip_hf.processing.collator import PictureSet
from neuroclip_hf.protocols import validation
from neuroclip_hf.protocols.run import train_on_store
from neuroclip_hf.protocols.validation import Validation

ENCODER = {"hidden_size": 8, "num_filters": 2, "kernel_size": 3, "pool_size": 4, "pool_stride": 4, "num_heads": 1}


def validation_of(store, processor, seed=0, table=None):
    gallery = store.gallery(columns.TRAIN)
    pictures = PictureSet(store.open_picture, list(gallery[columns.IMAGE_ID]), processor)
    trials = store.trials if table is None else table
    return Validation(store, trials, store.select(columns.TRAIN), gallery, pictures, processor, seed)


def test_each_query_has_the_token_of_its_subject(store, recipe, monkeypatch):
    settings = replace(recipe.model, encoder="atm_s", encoder_settings=ENCODER)
    trained = train_on_store(replace(recipe, model=settings), store)
    model, seen = trained.model, []
    real = model.get_brain_features
    monkeypatch.setattr(
        model, "get_brain_features", lambda values, places=None: (seen.append(places), real(values, places))[1]
    )
    scores = validation_of(store, trained.processor)(model)
    assert [set(places.tolist()) for places in seen] == [{0, 1}]
    with torch.no_grad():  # the subjects' tokens are told apart, and so are they in what validation says
        model.encoder.subjects.tokens.weight.copy_(torch.randn_like(model.encoder.subjects.tokens.weight))
        told = validation_of(store, trained.processor)(model)
        model.encoder.subjects.tokens.weight[-1] += 100.0  # nobody is unknown
    assert validation_of(store, trained.processor)(model) == told != scores


def test_queries_go_through_the_encoder_in_batches(store, trained, monkeypatch):
    monkeypatch.setattr(validation, "encode_trials", partial(embedding.encode_trials, batch_size=7))
    sizes, real = [], trained.model.get_brain_features
    judge = validation_of(store, trained.processor)
    monkeypatch.setattr(
        trained.model,
        "get_brain_features",
        lambda values, places: (sizes.append(len(values)), real(values, places))[1],
    )
    assert np.isfinite(judge(trained.model)["loss"])
    assert sizes == [7, 7, 7, 7, 7, 5]


def test_large_galleries_are_drawn_from_all_concepts_in_turn(store, trained, monkeypatch):
    whole = validation_of(store, trained.processor)
    assert whole.facts() == {"gallery_size": 20, "possible_pictures": 20, "queries": 40}
    monkeypatch.setattr(validation, "MOST_PICTURES", 12)
    some, again, other = (validation_of(store, trained.processor, seed) for seed in (0, 0, 1))
    assert some.facts() == {"gallery_size": 12, "possible_pictures": 20, "queries": 24}
    names = [[query.image_id for query in one._queries] for one in (some, again, other)]
    assert names[0] == names[1] != names[2]
    shown = pd.DataFrame({"concept": [query.concept for query in some._queries], "picture": names[0]})
    assert sorted(shown.groupby("concept")["picture"].nunique()) == [1] * 8 + [2] * 2
    found = some(trained.model)
    assert 0 <= found["top1"] <= 1
    assert found["loss"] < whole(trained.model)["loss"]  # an easier gallery


def test_where_only_concepts_are_known_each_keeps_a_picture(store, trained, monkeypatch):
    monkeypatch.setattr(validation, "MOST_PICTURES", 12)
    monkeypatch.setattr(type(store), "concepts_only", True)
    table = store.trials.assign(image_id="")
    some = validation_of(store, trained.processor, table=table)
    assert some.facts()["gallery_size"] == 12
    assert {query.concept for query in some._queries} == set(table["concept"].iloc[store.select("train")])


def test_the_run_says_what_was_ranked(trained):
    assert trained.facts["validation"]["gallery_size"] == trained.facts["validation"]["possible_pictures"] == 4
