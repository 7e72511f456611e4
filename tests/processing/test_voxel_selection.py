"""Voxels are chosen by how they answer in the training trials, and by nothing else."""

import numpy as np
import pytest
from scipy.stats import f_oneway

from neuroclip_hf import columns
from neuroclip_hf.errors import InputError
from neuroclip_hf.processing import voxel_selection
from neuroclip_hf.processing.voxel_selection import select_voxels, voxel_scores

CHOICES = {"channel_names": None, "sampling_rate": None, "unit": "sd"}


@pytest.fixture
def planted(array_store):
    """A store of twelve voxels, of which 2, 5 and 11 answer to the concept, voxel 5 most; the arrays behind it."""
    generator = np.random.default_rng(0)
    answers = generator.standard_normal((10, 12)) * np.array([0, 0, 2, 0, 0, 4, 0, 0, 0, 0, 0, 1.5])
    brain = generator.standard_normal((50, 12)) + answers[np.arange(50) % 10]
    return array_store(brain=brain, **CHOICES), brain


def test_those_that_answer_are_chosen_in_the_order_of_the_store(planted):
    store, _ = planted
    rows = store.select("train")
    names = store.info.channels
    assert select_voxels(store, store.trials, rows, 3) == [names[2], names[5], names[11]]
    assert select_voxels(store, store.trials, rows, 1) == [names[5]]
    assert select_voxels(store, store.trials, rows, 12) == names


@pytest.mark.parametrize("numbers", [1, 12 * 7, 1 << 20])
def test_the_score_is_the_f_of_scipy_however_much_is_read_at_once(planted, monkeypatch, numbers):
    store, _ = planted
    monkeypatch.setattr(voxel_selection, "BLOCK_NUMBERS", numbers)
    rows = store.select("train")
    table = store.trials.iloc[rows]
    groups = table.assign(target=table[columns.CONCEPT])
    values = store.read(rows).astype(np.float64)
    expected = f_oneway(*(values[(table[columns.CONCEPT] == name).to_numpy()] for name in set(groups["target"])))
    np.testing.assert_allclose(voxel_scores(store, groups, rows), expected.statistic, rtol=1e-9)


def test_test_and_validation_trials_have_no_say(planted, array_store):
    store, brain = planted
    rows = store.select("train")[:24]  # the others validate
    chosen = select_voxels(store, store.trials, rows, 3)
    changed = brain.copy()
    others = np.setdiff1d(np.arange(50), store.trials[columns.SAMPLE].to_numpy()[rows])
    changed[others, 7] += 50 * (others % 10)  # would be the best of all
    again = array_store("other", brain=changed, **CHOICES)
    assert select_voxels(again, again.trials, rows, 3) == chosen
    unseen = np.setdiff1d(np.arange(50), rows)
    assert select_voxels(again, again.trials, unseen, 1) == [again.info.channels[7]]


def test_labels_are_those_of_the_given_table(planted):
    store, _ = planted
    rows = store.select("train")
    shuffled = store.trials.copy()
    shuffled[columns.CONCEPT] = np.random.default_rng(1).permutation(shuffled[columns.CONCEPT])
    assert select_voxels(store, shuffled, rows, 3) != select_voxels(store, store.trials, rows, 3)


def test_subjects_are_analysed_each_for_itself(array_store):
    generator = np.random.default_rng(2)
    subject = np.array(["sub-01", "sub-02"])[np.arange(50) // 25]
    brain = generator.standard_normal((50, 6))
    brain[:, 4] += 100 * (subject == "sub-02")  # a difference between people, not between pictures
    brain[:, 1] += 3 * (np.arange(50) % 10)
    store = array_store(brain=brain, subject=subject, **CHOICES)
    assert select_voxels(store, store.trials, store.select("train"), 1) == [store.info.channels[1]]
    table = store.trials.iloc[store.select("train")]
    scores = voxel_scores(store, table.assign(target=table[columns.CONCEPT]), store.select("train"))
    assert scores[4] < 5


def test_pictures_stand_in_where_there_is_one_concept_and_constant_voxels_come_last(planted, array_store):
    _, brain = planted
    brain = brain.copy()
    brain[np.arange(50) % 10 < 8, 0] = 1.0
    brain[0, 0] = 1.01  # changes, in a trial that does not train below
    store = array_store("again", brain=brain, concept=np.array(["thing"] * 10), protocol="new-pictures", **CHOICES)
    rows = store.select("train")[1:]
    assert select_voxels(store, store.trials, rows, 1) == [store.info.channels[5]]
    table = store.trials.iloc[rows]
    assert voxel_scores(store, table.assign(target=table[columns.IMAGE_ID]), rows)[0] == -np.inf


def test_what_cannot_be_chosen_from_is_refused(planted, store):
    patterns, _ = planted
    rows = patterns.select("train")
    with pytest.raises(InputError, match="voxels is 13, and there are 12 to choose from"):
        select_voxels(patterns, patterns.trials, rows, 13)
    with pytest.raises(InputError, match=r"voxels is 2, but .* holds eeg with samples in time"):
        select_voxels(store, store.trials, store.select("train"), 2)
    once = rows[[list(patterns.trials[columns.IMAGE_ID].iloc[rows]).index(name) for name in ("00000", "00001")]]
    with pytest.raises(InputError, match=r"of the 2 training trials none shows one again.*voxels=null"):
        select_voxels(patterns, patterns.trials, once, 2)
