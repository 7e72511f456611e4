"""Who trains and who is tested, and that nobody stands on both sides."""

import numpy as np
import pytest

from neuroclip_hf import columns
from neuroclip_hf.data.subjects import SubjectSplit, subject_split, subject_splits
from neuroclip_hf.errors import InputError

LOSO = columns.LEAVE_ONE_SUBJECT_OUT


@pytest.fixture
def make_store(array_store):
    """A store of several subjects with training and test trials each."""

    def make(names=("sub-01", "sub-02", "sub-03"), name="several", **changes):
        image_id = np.tile(np.arange(10), 2 * len(names))
        brain = np.random.default_rng(0).standard_normal((len(image_id), 3, 20)) * 1e-5
        arrays = {
            "brain": brain,
            "image_id": image_id,
            "subject": np.repeat(names, 20),
            "split": np.where(image_id < 8, "train", "test"),
        }
        return array_store(name, **{**arrays, **changes})

    return make


def test_pooled_subjects_train_and_are_tested(make_store):
    store = make_store()
    everybody = ("sub-01", "sub-02", "sub-03")
    assert subject_split(store, "pooled") == SubjectSplit("pooled", everybody, everybody)
    assert subject_split(store, "pooled", ["3", "1"]).train == ("sub-03", "sub-01")
    assert subject_splits(store, "pooled")[0].name == "pooled"


def test_intra_subject_is_one_subject(make_store):
    store = make_store()
    assert subject_split(store, "intra-subject", ["2"]) == SubjectSplit("intra-subject", ("sub-02",), ("sub-02",))
    found = subject_splits(store, "intra-subject")
    assert [split.name for split in found] == ["sub-01", "sub-02", "sub-03"]
    assert all(split.train == split.test == (split.name,) for split in found)
    assert [split.name for split in subject_splits(store, "intra-subject", ["2"])] == ["sub-02"]
    with pytest.raises(InputError, match=r"trains on one subject, and here are sub-01, sub-02, .* subjects=sub-01,"):
        subject_split(store, "intra-subject")


def test_leave_one_subject_out_tests_who_never_trained(make_store):
    store = make_store()
    split = subject_split(store, LOSO, held_out_subject="2")
    assert (split.train, split.test, split.name) == (("sub-01", "sub-03"), ("sub-02",), "sub-02")
    assert split.held_out_subject == "sub-02"
    assert subject_split(store, LOSO, ["3"], "2").train == ("sub-03",)
    found = subject_splits(store, LOSO)
    assert [one.name for one in found] == ["sub-01", "sub-02", "sub-03"]
    assert all(set(one.train) | set(one.test) == set(store.subjects) for one in found)
    assert all(not set(one.train) & set(one.test) for one in found)
    assert [one.train for one in subject_splits(store, LOSO, ["1", "2"])] == [("sub-02",), ("sub-01",)]


@pytest.mark.parametrize("kind", columns.SUBJECT_SPLITS)
def test_settings_of_a_split_make_it_again(make_store, kind):
    store = make_store()
    for split in subject_splits(store, kind):
        settings = split.settings()
        assert split == subject_split(store, settings["split"], settings["subjects"], settings["held_out_subject"])


@pytest.mark.parametrize(
    ("kind", "subjects", "held_out", "message"),
    [
        ("inter", None, None, "split is 'inter': choose one of pooled, intra-subject, leave-one-subject-out"),
        (LOSO, None, None, "needs held_out_subject: one of sub-01, sub-02, sub-03"),
        (LOSO, None, "9", "no subject 9; it holds sub-01, sub-02, sub-03"),
        (LOSO, ["1", "sub-02"], "2", r"held_out_subject sub-02 is among subjects \(sub-01, sub-02\), who train"),
        ("pooled", None, "2", "split=pooled holds no subject out: say split=leave-one-subject-out"),
        ("intra-subject", ["1"], "2", "split=intra-subject holds no subject out"),
        ("pooled", ["7"], None, "no subject 7"),
    ],
)
def test_what_cannot_be_is_refused(make_store, kind, subjects, held_out, message):
    with pytest.raises(InputError, match=message):
        subject_split(make_store(), kind, subjects, held_out)


def test_one_subject_cannot_be_left_out(make_store):
    with pytest.raises(InputError, match=r"needs a second subject, who trains; .* say split=intra-subject"):
        subject_split(make_store(("sub-01",)), LOSO, held_out_subject="1")
    with pytest.raises(InputError, match="needs a second subject"):
        subject_splits(make_store(name="again"), LOSO, ["1"])


@pytest.mark.parametrize(("one", "other"), [("sub-01", "sub-1"), ("Sub-01", "sub-01"), ("S1", "s01"), ("1", "sub_01")])
def test_one_name_in_two_spellings_is_refused(make_store, one, other):
    store = make_store((one, other, "sub-03"))
    with pytest.raises(InputError, match="two spellings of one subject"):
        subject_split(store, LOSO, held_out_subject=other)
    assert subject_split(store, LOSO, ["sub-03"], other).train == ("sub-03",)


def test_names_that_differ_are_no_spellings(make_store):
    store = make_store(("sub-01", "sub-10", "pilot-1"))
    assert [split.name for split in subject_splits(store, LOSO)] == ["sub-01", "sub-10", "pilot-1"]


@pytest.mark.parametrize("place", [0, 9])
def test_a_recording_under_two_names_is_refused(make_store, place):
    """One trial of the held-out subject, of training or of test, among the training trials of another."""
    brain = np.random.default_rng(0).standard_normal((60, 3, 20)) * 1e-5
    image_id = np.tile(np.arange(10), 6)
    split = np.where(image_id < 8, "train", "test")
    split[place] = split[20 + place] = "train" if place == 0 else "test"
    brain[20 + place] = brain[place]
    store = make_store(brain=brain, split=split)
    with pytest.raises(InputError, match=r"1 trials of those who train are recordings of sub-02, who is held out: "):
        subject_split(store, LOSO, held_out_subject="sub-02")
    assert subject_split(store, LOSO, ["sub-03"], "sub-02").train == ("sub-03",)
    assert subject_split(store, LOSO, held_out_subject="sub-03").test == ("sub-03",)


def test_who_has_no_test_trials_is_not_held_out(make_store):
    image_id = np.tile(np.arange(10), 6)
    image_id[40:] %= 8  # training pictures alone
    store = make_store(image_id=image_id, split=np.where(image_id < 8, "train", "test"))
    with pytest.raises(InputError, match="no test trials of sub-03: hold out another subject"):
        subject_split(store, LOSO, held_out_subject="sub-03")
