"""Rankings made by hand and by a model."""

import pytest
import torch

from neuroclip_hf.data.queries import Query
from neuroclip_hf.evaluation import Ranking, rank_test_split
from neuroclip_hf.metrics.retrieval import similarity


@pytest.fixture
def ranking_of():
    """A ranking from embeddings; query q of each subject sees picture q."""

    def make(query, gallery, subjects=("sub-01",), trials=2):
        pictures = len(gallery)
        names = [f"picture {place}" for place in range(pictures)]
        queries = [
            Query(tuple(range(trials)), subject, name, name)
            for subject in subjects
            for name in names[: len(query) // len(subjects)]
        ]
        mask = torch.tensor([[query.image_id == name for name in names] for query in queries])
        repeats = [tuple(range(trials))] * len(queries)
        return Ranking(queries, names, similarity(query, gallery), mask, names, repeats, query, gallery)

    return make


@pytest.fixture(scope="session")
def ranked(trained, store):
    """The test split of `store`, ranked by `trained`."""
    return rank_test_split(trained.model, trained.processor, store)
