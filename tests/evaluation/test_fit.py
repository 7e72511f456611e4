"""What a reader must know stands beside the numbers."""

from dataclasses import replace

import numpy as np
import pytest

from neuroclip_hf import columns
from neuroclip_hf.checkpoints import trained_on
from neuroclip_hf.data.sources.recorded import WHITENING_FITS
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.evaluation import flags_of
from neuroclip_hf.evaluation.fit import whitening_of

NOTHING = {columns.DIGEST: [], "training_concept": [], "validation_concept": []}


@pytest.fixture
def opened(store_folder):
    """A store that a test may change."""
    return TrialStore(store_folder)


@pytest.fixture
def flags(trained, opened):
    """The flags of an evaluation of `trained` on `opened`, as it is then, of a run that trained on all of it."""
    seen = trained_on(opened, opened.select("train"))
    run = {"store": opened.info.fingerprint, "subjects": ["sub-01", "sub-02"], "held_out_subject": None}

    def make(tested=None, seen=seen, protocol="new-concepts", **changes):
        facts = {} if changes.pop("bare", False) else run | changes
        return flags_of(opened, tested, facts, trained.processor, seen, protocol)

    return make


def test_nothing_to_say_of_a_run_on_its_own_store(flags):
    assert flags() == []
    assert flags(["sub-02"]) == []
    assert flags(bare=True) == []


def test_another_store(flags, opened):
    (found,) = flags(store="0123")
    assert found == f"The store ({opened.info.fingerprint}) is not the one that the run was trained on (0123)."


def test_subjects_that_nobody_planned(flags, opened, trained, monkeypatch):
    monkeypatch.setattr(trained.processor.feature_extractor, "subjects", ["sub-01"])
    assert flags(["sub-02"], subjects=["sub-01"], held_out_subject="sub-02", seen=NOTHING) == []
    (found,) = flags(["sub-02"], subjects=["sub-01"], seen=NOTHING)
    assert found == "The checkpoint does not know sub-02: nobody of that name was trained on."
    assert flags(bare=True) == [found]


def test_a_checkpoint_that_does_not_say_what_it_saw(flags):
    (found,) = flags(seen=None)
    assert "does not say what it was trained on" in found


def test_test_concepts_that_training_or_validation_saw(flags, opened):
    concepts = sorted(set(opened.trials[columns.CONCEPT][opened.trials[columns.SPLIT] == "test"]))
    seen = {columns.DIGEST: [], "training_concept": [], "validation_concept": [*concepts[:2], "unheard of"]}
    (found,) = flags(seen=seen, protocol="new-pictures")
    assert found == (
        "The store declares new-concepts, and what holds is new-pictures: training saw none of the test concepts, the "
        f"validation that chose the epoch saw 2 of the 6 test concepts ({concepts[0]}, {concepts[1]})."
    )
    (found,) = flags(seen=seen | {"training_concept": concepts, "validation_concept": []}, protocol="new-pictures")
    assert "training saw 6 of the 6 test concepts" in found
    assert "the validation that chose the epoch saw none" in found


def test_an_epoch_that_was_chosen_on_test_concepts_alone(flags, opened):
    concepts = sorted(set(opened.trials[columns.CONCEPT][opened.trials[columns.SPLIT] == "test"]))
    seen = {columns.DIGEST: [], "training_concept": concepts[1:], "validation_concept": concepts}
    (found,) = flags(seen=seen)
    assert found == (
        f"The validation that chose the epoch saw 1 of the 6 test concepts ({concepts[0]}), which training did not."
    )
    assert flags(seen=seen | {"training_concept": concepts}) == []


def test_a_training_that_lost_its_numbers(flags):
    lost = {"why": "The loss is nan in epoch 4.", "batch": ["a"]}
    (found,) = flags(lost=lost, best_epoch=3, epochs=9)
    assert found == (
        "The training lost its numbers, and this is its last good epoch, 3 of the 9 that were asked for. The loss is "
        "nan in epoch 4."
    )


def test_a_new_subject_that_trained_under_another_name(flags, opened, trained):
    table = opened.trials
    mine, theirs = (
        np.flatnonzero((table[columns.SUBJECT] == name) & (table[columns.SPLIT] == "train"))[:3]
        for name in ("sub-01", "sub-02")
    )
    digests = table[columns.DIGEST].to_numpy().copy()
    only_first = NOTHING | {columns.DIGEST: list(digests[mine])}
    settings = {"subjects": ["sub-01"], "held_out_subject": "sub-02", "seen": only_first}
    assert flags(["sub-02"], **settings) == []
    digests[theirs[:2]] = digests[mine[:2]]
    table[columns.DIGEST] = digests
    (found,) = flags(["sub-02"], **settings)
    assert found == "sub-02 is not new: 2 of its training trials were trained on under another name."


def test_one_recording_as_several_test_trials(flags, opened):
    rows = opened.select("test", ["sub-01"])
    digests = opened.trials[columns.DIGEST].to_numpy().copy()
    digests[rows[:3]] = digests[rows[0]]
    opened.trials[columns.DIGEST] = digests
    (found,) = flags()
    assert found == "2 of 48 test trials are the same recording as another test trial."
    assert flags(["sub-02"]) == []


def test_copies_in_the_gallery_are_counted(flags, opened):
    files = list(opened.gallery("test")[columns.PICTURE_FILE])
    for file in files[1:3]:
        opened.info.checksums[file] = opened.info.checksums[files[0]]
    (found,) = flags(store=opened.info.fingerprint)
    assert found.startswith("2 of the 6 gallery pictures are copies of another under a second name")


@pytest.mark.parametrize(
    ("fit", "words", "flagged"),
    [
        (WHITENING_FITS["session"], "own session", False),
        (WHITENING_FITS["training-subjects"], "training subjects", False),
        (None, "none", False),
        ("release: whitened over test epochs", "release: whitened over test epochs", True),
    ],
)
def test_whitening_that_others_did(flags, opened, fit, words, flagged):
    opened.info = replace(opened.info, whitening_fit=fit)
    assert whitening_of(opened) == words
    found = [flag for flag in flags() if "whiten" in flag]
    assert bool(found) is flagged
    assert all(words in flag for flag in found)
