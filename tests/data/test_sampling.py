"""Batches: nothing twice, nothing lost but what is said, equal shares, and an order of seed and epoch alone."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from neuroclip_hf import columns
from neuroclip_hf.data.sampling import (
    CLASS_SHARE,
    ClassBalanced,
    ItemKeys,
    Shuffled,
    SubjectsByPictures,
    choose_sampling,
    make_batches,
)
from neuroclip_hf.errors import InputError

SIZES = st.integers(2, 40)
SEEDS = st.integers(0, 5)


@st.composite
def trials(draw):
    """Subjects and pictures of 2 to 60 items, some pictures missing for some subjects, some seen several times."""
    count = draw(st.integers(2, 60))
    subjects = draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    pictures = draw(st.lists(st.integers(0, 7), min_size=count, max_size=count))
    return np.array(subjects), np.array(pictures)


def every(make, epochs=2):
    """The epochs of an order, after what all orders have in common was looked at."""
    batches, again = make(), make()
    found = [batches.epoch(epoch) for epoch in range(epochs)]
    assert [again.epoch(epoch) for epoch in reversed(range(epochs))] == found[::-1]  # whatever was asked for before
    for epoch in found:
        items = [item for batch in epoch for item in batch]
        assert len(items) == len(set(items))
        assert len(epoch) == len(batches)
        assert {len(batch) for batch in epoch[:-1]} <= {batches.batch_size}
        assert all(1 < len(batch) <= batches.batch_size for batch in epoch)
        assert len(items) >= batches.used - 1  # a last batch of one
    return batches, found


@given(st.integers(2, 100), SIZES, SEEDS)
def test_shuffled_loses_at_most_a_last_one(items, batch_size, seed):
    batches, epochs = every(lambda: Shuffled(items, batch_size, seed))
    for epoch in epochs:
        rest = items % batches.batch_size == 1
        assert sum(map(len, epoch)) == items - rest


@given(trials(), SIZES, SEEDS)
def test_subjects_by_pictures_loses_at_most_a_last_one(drawn, batch_size, seed):
    batches, epochs = every(lambda: SubjectsByPictures(*drawn, batch_size, seed))
    for epoch in epochs:
        assert sum(map(len, epoch)) >= len(drawn[0]) - 1
    assert batches.batch_size <= batch_size
    assert batches.batch_size % batches.subjects_a_batch == 0


@given(st.integers(2, 5), st.integers(1, 12), st.integers(1, 3), st.integers(16, 60), SEEDS)
def test_every_subject_of_a_batch_sees_the_same_pictures(subjects, pictures, repeats, batch_size, seed):
    number = np.arange(subjects * pictures * repeats)
    subject, picture = number % subjects, number // subjects % pictures
    assume(subjects <= int(np.sqrt(min(batch_size, len(number)))))  # else parted into groups, perhaps of two sizes
    batches, epochs = every(lambda: SubjectsByPictures(subject, picture, batch_size, seed))
    assert batches.subjects_a_batch == subjects
    for batch in (batch for epoch in epochs for batch in epoch):
        seen = [sorted(picture[[item for item in batch if subject[item] == one]].tolist()) for one in range(subjects)]
        assert all(mine == seen[0] for mine in seen)
        assert len(seen[0]) == len(batch) / subjects


def test_a_batch_has_a_picture_twice_only_where_rounds_meet():
    subject, picture = np.repeat([0, 1, 2], 80), np.tile(np.repeat(np.arange(20), 4), 3)
    for batch in SubjectsByPictures(subject, picture, 30, 0).epoch(0):
        assert len(set(picture[batch])) == 10


def test_what_some_lack_parts_no_picture_of_the_others():
    subject, picture = np.repeat([0, 1, 2], 40), np.tile(np.arange(40), 3)
    keep = np.ones(120, dtype=bool)
    keep[[3, 50, 51, 90]] = False
    subject, picture = subject[keep], picture[keep]
    batches = SubjectsByPictures(subject, picture, 12, 0)
    whole = 0
    for batch in batches.epoch(0):
        whole += set(Counter(picture[batch].tolist()).values()) == {3}
    assert whole == 36 // 4  # 36 pictures that all have, 4 a batch


def test_more_subjects_than_the_root_of_a_batch_take_turns():
    subject, picture = np.repeat(np.arange(12), 30), np.tile(np.arange(30), 12)
    batches = SubjectsByPictures(subject, picture, 16, 0)
    assert batches.describe() == {
        "by": "subjects-by-pictures",
        "batch_size": 16,
        "trials_an_epoch": 360,
        "subjects_a_batch": 4,
        "pictures_a_batch": 4,
    }
    epochs = [batches.epoch(epoch) for epoch in range(6)]
    together = {frozenset(subject[batch].tolist()) for epoch in epochs for batch in epoch}
    assert len({group for group in together if len(group) == 4}) > 3  # parted anew each epoch


@given(st.lists(st.integers(1, 30), min_size=2, max_size=5), st.integers(5, 40), SEEDS)
def test_class_balanced_shares_are_equal(counts, batch_size, seed):
    concept = np.repeat(np.arange(len(counts)), counts)
    batches, epochs = every(lambda: ClassBalanced(concept, batch_size, seed))
    assert batches.used == min(counts) * len(counts)
    for batch in (batch for epoch in epochs for batch in epoch):
        shares = np.bincount(concept[batch], minlength=len(counts))
        assert shares.max() - shares.min() <= 1


def test_class_balanced_leaves_other_trials_out_each_epoch():
    concept = np.repeat([0, 1], [30, 40])
    batches = ClassBalanced(concept, 16, 0)
    left = [set(range(70)) - {item for batch in batches.epoch(epoch) for item in batch} for epoch in range(80)]
    assert {len(mine) for mine in left} == {10}
    assert set.union(*left) == set(range(30, 70))
    assert set.intersection(*left) == set()
    assert batches.describe()["trials_an_epoch"] == 60


def test_items_of_a_batch_are_mixed_so_that_slices_are_alike():
    subject, picture = np.repeat(np.arange(4), 400), np.tile(np.arange(400), 4)
    for batches in (SubjectsByPictures(subject, picture, 64, 0), ClassBalanced(picture % 2, 64, 0)):
        half = [batch[:32] for batch in batches.epoch(0)]
        assert {frozenset(subject[mine].tolist()) for mine in half} == {frozenset(range(4))}
        assert len({int((picture[mine] % 2).sum()) for mine in half}) > 3


def keys(subjects, targets, concepts_only=False):
    subjects, targets = np.asarray(list(subjects)), np.asarray(list(targets))
    return ItemKeys(subjects, targets) if concepts_only else ItemKeys(subjects, np.repeat("x", len(targets)), targets)


def test_auto_balances_few_concepts_that_are_not_too_unequal():
    def chosen(counts, batch_size):
        concepts = np.repeat(np.arange(len(counts)).astype(str), counts)
        return choose_sampling(keys(["s"] * len(concepts), concepts, True), batch_size)

    assert CLASS_SHARE == 8
    assert chosen([50, 60], 16) == "class-balanced"
    assert chosen([50, 60], 15) == "shuffled"
    assert chosen([50, 60, 70], 24) == "class-balanced"
    assert chosen([50, 100], 64) == "class-balanced"
    assert chosen([50, 101], 64) == "shuffled"
    assert chosen([7, 8], 64) == "shuffled"  # a batch holds no more than there is


def test_auto_joins_subjects_who_saw_the_same_pictures():
    pictures = np.arange(40).astype(str)
    assert choose_sampling(keys(["a"] * 40, pictures), 16) == "shuffled"
    assert choose_sampling(keys(["a", "b"] * 20, np.repeat(pictures[:20], 2)), 16) == "subjects-by-pictures"
    assert choose_sampling(keys(["a", "b"] * 20, pictures), 16) == "shuffled"
    for shared, chosen in ((10, "shuffled"), (11, "subjects-by-pictures")):  # of 40 trials
        some = np.concatenate([np.repeat(pictures[:shared], 2), pictures[shared : 40 - shared]])
        assert choose_sampling(keys(["a", "b"] * 20, some), 16) == chosen
    assert choose_sampling(keys(["a", "b"] * 20, np.tile(["cat", "dog"], 20), True), 64) == "class-balanced"


@pytest.mark.parametrize("name", [name for name in columns.SAMPLINGS if name != columns.AUTO])
def test_every_name_makes_its_batches(name):
    made = make_batches(name, ItemKeys(np.array(["a", "b"] * 20), np.arange(40) % 4, np.arange(40) // 2), 8, 3)
    assert (made.name, made.describe()["by"], made.seed, made.batch_size) == (name, name, 3, 8)


@pytest.mark.parametrize(
    ("name", "subjects", "targets", "concepts_only", "message"),
    [
        ("random", "ab", "xy", False, "sampling is 'random': choose one of auto, shuffled, subjects-by"),
        ("subjects-by-pictures", "aa", "xy", False, "needs several subjects: say sampling=shuffled"),
        ("subjects-by-pictures", "ab", "xx", True, "needs trials that know their picture: say sampling=shuffled"),
        ("class-balanced", "a" * 9, "uvwxyzabc", True, "there are 9, and batch_size is 8; say sampling=shuffled"),
        ("class-balanced", "a", "x", True, "There are 1 training items"),
        ("shuffled", "a", "x", False, "There are 1 training items: a contrastive loss needs at least two"),
    ],
)
def test_what_cannot_be_is_refused(name, subjects, targets, concepts_only, message):
    with pytest.raises(InputError, match=message):
        make_batches(name, keys(subjects, targets, concepts_only), 8, 0)
