"""A reproduction of two subjects that takes seconds."""

from dataclasses import replace

import pytest

from neuroclip_hf.protocols.reproduce.plan import make_plan
from neuroclip_hf.protocols.reproduce.work import Work


@pytest.fixture(scope="session")
def quick(recipe):
    """The tiny recipe, a single epoch of it, in large batches."""
    return replace(recipe, training=replace(recipe.training, epochs=1, batch_size=64))


@pytest.fixture
def make_work(quick, store, tmp_path):
    """Work below a folder of the test."""

    def make(seeds=1, name="out", subjects=None):
        folder = tmp_path / name
        return Work(make_plan(quick, store, "intra", seeds, subjects), folder, folder / "image_features")

    return make
