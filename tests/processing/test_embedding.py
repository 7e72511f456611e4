"""Embeddings of queries and pictures."""

import numpy as np
import pytest
import torch

from neuroclip_hf.data.queries import make_queries
from neuroclip_hf.processing import embedding
from neuroclip_hf.processing.collator import PictureSet


@pytest.fixture
def queries(store):
    return make_queries(store.trials, store.select("test"), 2)


def test_a_query_is_the_mean_of_its_trials(trained, store, queries):
    found = embedding.embed_queries(trained.model, trained.processor, store, queries)
    for row in (0, len(queries) - 1):
        mean = store.read(queries[row].trials).mean(axis=0)
        values = trained.processor(mean[None], channel_names=store.info.channels)["eeg_values"]
        with torch.no_grad():
            assert torch.allclose(found[row], trained.model.get_brain_features(values)[0], atol=1e-6)


def test_channels_of_the_store_are_found_by_name(trained, store, queries):
    class Reordered:
        info = type("Info", (), {"channels": [*store.info.channels[::-1], "extra"]})

        @staticmethod
        def read_means(groups):
            values = store.read_means(groups)
            return np.concatenate([values[:, ::-1], np.full_like(values[:, :1], 9)], axis=1)

    mine = embedding.embed_queries(trained.model, trained.processor, store, queries)
    assert torch.equal(mine, embedding.embed_queries(trained.model, trained.processor, Reordered(), queries))


def test_the_size_of_a_batch_changes_nothing(trained, store, queries, monkeypatch):
    names = list(store.gallery("test")["image_id"])
    pictures = PictureSet(store.open_picture, names, trained.processor)

    def embed():
        return (
            embedding.embed_queries(trained.model, trained.processor, store, queries),
            embedding.embed_pictures(trained.model, pictures),
            embedding.embed_pictures_frozen(trained.model, pictures),
        )

    whole, sizes, real = embed(), [], trained.model.get_brain_features
    monkeypatch.setattr(embedding, "BATCH", 4)
    monkeypatch.setattr(
        trained.model,
        "get_brain_features",
        lambda values, places: (sizes.append(len(values)), real(values, places))[1],
    )
    assert all(torch.allclose(mine, theirs, atol=1e-5) for mine, theirs in zip(whole, embed(), strict=True))
    assert max(sizes) == 4
    assert (whole[1].shape, whole[2].shape) == ((6, 16), (6, 1, 128))


def test_many_trials_are_encoded_a_batch_at_a_time(trained, store, monkeypatch):
    values, subjects = store.read_means([[row] for row in range(10)]), ["sub-02", "sub-01"] * 5
    whole = embedding.encode_trials(trained.model, trained.processor, values, subjects=subjects)
    seen, real = [], trained.model.get_brain_features
    monkeypatch.setattr(
        trained.model, "get_brain_features", lambda values, places: (seen.append(places), real(values, places))[1]
    )
    parts = embedding.encode_trials(trained.model, trained.processor, values, subjects=subjects, batch_size=4)
    assert torch.allclose(parts, whole, atol=1e-6)
    assert [places.tolist() for places in seen] == [[1, 0, 1, 0], [1, 0, 1, 0], [1, 0]]


def test_the_mode_is_put_back():
    model = torch.nn.Dropout()
    with pytest.raises(KeyError), embedding.inference(model):
        assert not model.training
        assert not torch.is_grad_enabled()
        raise KeyError
    assert model.training
    assert torch.is_grad_enabled()
