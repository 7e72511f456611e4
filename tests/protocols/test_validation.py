"""What chooses the epoch sees queries as evaluation does: their subjects are told, a batch at a time."""

from dataclasses import replace

import numpy as np
import torch

from neuroclip_hf import columns
from neuroclip_hf.processing import embedding
from neuroclip_hf.processing.collator import PictureSet
from neuroclip_hf.protocols.run import train_on_store
from neuroclip_hf.protocols.validation import Validation

ENCODER = {"hidden_size": 8, "num_filters": 2, "kernel_size": 3, "pool_size": 4, "pool_stride": 4, "num_heads": 1}


def validation_of(store, processor):
    gallery = store.gallery(columns.TRAIN)
    pictures = PictureSet(store.open_picture, list(gallery[columns.IMAGE_ID]), processor)
    return Validation(store, store.trials, store.select(columns.TRAIN), gallery, pictures, processor)


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
    monkeypatch.setattr(embedding, "BATCH", 7)
    sizes, real = [], trained.model.get_brain_features
    validation = validation_of(store, trained.processor)
    monkeypatch.setattr(
        trained.model,
        "get_brain_features",
        lambda values, places: (sizes.append(len(values)), real(values, places))[1],
    )
    assert np.isfinite(validation(trained.model)["loss"])
    assert sizes == [7, 7, 7, 7, 7, 5]
