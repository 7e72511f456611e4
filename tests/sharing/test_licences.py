"""Known licences are told, unknown ones are said to be unknown."""

import pytest

from neuroclip_hf.data.download.sources import things_eeg2_sources
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.terms import PUBLISHED
from neuroclip_hf.sharing.licences import TOWER_LICENCES, tower_licence, training_data
from neuroclip_hf.training.settings import load_recipe, recipe_names


def test_towers_of_all_recipes_are_known():
    towers = {load_recipe(name).model.tower for name in recipe_names()}
    assert towers - set(TOWER_LICENCES) == set()


@pytest.mark.parametrize(
    ("tower", "words"),
    [
        ("small-clip", "Apache-2.0"),
        ("openai/clip-vit-base-patch32", "MIT, that of its authors' code"),
        ("somebody/openai", "not known to neuroclip_hf"),
        ("random", "none: its weights are random"),
    ],
)
def test_a_tower_is_looked_up_by_its_whole_name(tower, words):
    assert words in tower_licence(tower)


def test_the_card_says_of_a_dataset_what_the_download_says():
    said = " ".join(training_data("things-eeg2", "recorded"))
    for source in things_eeg2_sources((1,)):
        assert source.terms.partition(" By downloading")[0] in said


@pytest.mark.parametrize("source", ["god", "bravl"])
def test_a_dataset_whose_licence_nobody_told_us_is_said_to_have_an_unknown_one(source):
    said = " ".join(training_data(source, "recorded"))
    assert "licence of its recordings is not known" in said
    assert PUBLISHED[source].page in said


@pytest.mark.parametrize("source", ["recordings", "arrays", None])
def test_own_recordings_have_an_unknown_licence(source):
    assert "it is unknown" in " ".join(training_data(source, "recorded"))


def test_simulated_data_are_no_dataset_of_others():
    said = " ".join(training_data("things-eeg2", "simulated"))
    assert "simulator in the layout of THINGS-EEG2" in said
    assert "CC BY" not in said


def test_stores_call_published_datasets_by_these_names(store, god_store):
    assert {store.info.source, TrialStore(god_store).info.source} == {"things-eeg2", "god"} <= set(PUBLISHED)
