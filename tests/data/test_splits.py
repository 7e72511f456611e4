"""Protocols: what splits may share, what is held out, and the shuffled control."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from neuroclip_hf import columns
from neuroclip_hf.data.splits import check_splits, shuffle_targets
from neuroclip_hf.errors import InputError

TRAIN = [("train", "cat/1", "cat", 1), ("train", "dog/1", "dog", 1)]


def pictures_of(trials: pd.DataFrame) -> pd.DataFrame:
    """One picture table row a picture, in the galleries of the splits that show it."""
    rows = []
    for (image_id, concept), mine in trials.groupby([columns.IMAGE_ID, columns.CONCEPT]):
        seen = {columns.GALLERY_OF[split] for split in mine[columns.SPLIT]}
        rows.append((image_id or f"{concept}/0", concept, "both" if len(seen) == 2 else seen.pop()))
    return pd.DataFrame(rows, columns=[columns.IMAGE_ID, columns.CONCEPT, columns.GALLERY])


def check(trials: pd.DataFrame, protocol: str) -> None:
    check_splits(trials, pictures_of(trials), protocol)


@pytest.mark.parametrize("split", ["validation", "test", "imagery"])
@pytest.mark.parametrize(
    ("shared", "allowed"),
    [
        (("fish/1", "fish"), {"new-concepts", "new-pictures", "new-trials"}),
        (("cat/2", "cat"), {"new-pictures", "new-trials"}),
        (("cat/1", "cat"), {"new-trials"}),
    ],
)
def test_a_protocol_shares_what_it_names_and_nothing_else(make_trials, split, shared, allowed):
    trials = make_trials([*TRAIN, (split, *shared, 2)])
    for protocol in columns.PROTOCOLS:
        if protocol in allowed:
            check(trials, protocol)
        else:
            with pytest.raises(
                InputError, match=rf"1 (picture|concept)s stand in train and {split}, which protocol {protocol}"
            ):
                check(trials, protocol)


def test_the_message_names_what_is_shared_and_the_protocol_that_allows_it(make_trials):
    with pytest.raises(InputError, match=r"forbids \(cat/1\): part the pictures, or say --protocol new-trials if"):
        check(make_trials([*TRAIN, ("test", "cat/1", "cat", 2)]), "new-pictures")
    with pytest.raises(InputError, match=r"forbids \(cat\): part the concepts, or say --protocol new-pictures if"):
        check(make_trials([*TRAIN, ("test", "cat/2", "cat", 2)]), "new-concepts")


def test_imagery_is_of_the_tested_and_of_nothing_that_validates(make_trials):
    tested = [*TRAIN, ("test", "fish/1", "fish", 2), ("imagery", "fish/1", "fish", 3)]
    for protocol in columns.PROTOCOLS:
        check(make_trials(tested), protocol)
    validated = make_trials([*TRAIN, ("validation", "fish/1", "fish", 2), ("imagery", "fish/1", "fish", 3)])
    with pytest.raises(InputError, match="1 pictures stand in validation and imagery, which protocol new-concepts"):
        check(validated, "new-concepts")


def test_imagery_needs_its_pictures_in_the_test_gallery(make_trials):
    trials = make_trials([*TRAIN, ("imagery", "fish/1", "fish", 3)])
    pictures = pictures_of(trials).assign(**{columns.GALLERY: "train"})
    with pytest.raises(InputError, match="No test picture for 'fish/1': every imagery trial needs its picture"):
        check_splits(trials, pictures, "new-concepts")


def test_an_imagined_trial_is_no_tested_one(make_trials):
    trials = make_trials([*TRAIN, ("test", "fish/1", "fish", 2), ("imagery", "fish/1", "fish", 3)])
    trials.loc[3, columns.DIGEST] = trials[columns.DIGEST][2]
    with pytest.raises(InputError, match="1 trials stand in two splits, as the same recording"):
        check(trials, "new-concepts")


def test_validation_and_test_may_not_share_either(make_trials):
    trials = make_trials([*TRAIN, ("validation", "fish/1", "fish", 2), ("test", "fish/2", "fish", 3)])
    with pytest.raises(InputError, match="1 concepts stand in validation and test"):
        check(trials, "new-concepts")
    check(trials, "new-pictures")


@pytest.mark.parametrize("protocol", columns.PROTOCOLS)
def test_a_shared_trial_is_always_refused_by_name_and_by_content(make_trials, protocol: str):
    trials = make_trials([*TRAIN, ("test", "fish/1", "fish", 2)])
    same = trials.copy()
    same.loc[2, "digest"] = same.loc[0, "digest"]
    with pytest.raises(
        InputError,
        match=r"1 trials stand in two splits, as the same recording: run-1.fif \(train\) and run-2.fif \(test\)\.",
    ):
        check(same, protocol)
    same = trials.copy()
    for name in (columns.FILE, columns.RUN, columns.SAMPLE):
        same.loc[2, name] = same.loc[0, name]
    with pytest.raises(InputError, match="1 trials stand in two splits, as the same trial"):
        check(same, protocol)
    same.loc[2, columns.RUN] = 2  # two recordings in two folders may have one name
    check(same, protocol)


def test_an_empty_training_split_and_an_unknown_protocol_are_refused(make_trials):
    with pytest.raises(InputError, match="The training split is empty: no trial was left for it"):
        check(make_trials([("test", "cat/1", "cat", 1)]), "new-concepts")
    with pytest.raises(
        InputError, match="protocol 'new-subjects' is unknown: choose one of new-concepts, new-pictures"
    ):
        check(make_trials(TRAIN), "new-subjects")


def test_every_trial_needs_its_picture_in_the_gallery_of_its_split(make_trials):
    trials = make_trials([*TRAIN, ("validation", "fish/1", "fish", 2), ("test", "bird/1", "bird", 3)])
    pictures = pictures_of(trials)
    with pytest.raises(InputError, match=r"1 pictures that trials name are not in the picture table: 'bird/1'"):
        check_splits(trials, pictures[pictures[columns.CONCEPT] != "bird"], "new-concepts")
    for concept, gallery, message in (("fish", "test", "No train picture for 'fish/1'"), ("bird", "train", "No test")):
        moved = pictures.copy()
        moved.loc[moved[columns.CONCEPT] == concept, columns.GALLERY] = gallery
        with pytest.raises(InputError, match=message):
            check_splits(trials, moved, "new-concepts")


def test_where_only_concepts_are_known_no_picture_is_in_both_galleries(make_trials):
    trials = make_trials([("train", "", "cat", 1), ("test", "", "cat", 2)])
    pictures = pd.DataFrame(
        [("cat/1", "cat", "train"), ("cat/2", "cat", "test")],
        columns=[columns.IMAGE_ID, columns.CONCEPT, columns.GALLERY],
    )
    check_splits(trials, pictures, "new-trials")
    with pytest.raises(InputError, match="Training and test see the same pictures of 'cat'"):
        check_splits(trials, pictures.assign(gallery="both"), "new-trials")
    with pytest.raises(InputError, match="No test picture for 'cat'"):
        check_splits(trials, pictures[:1], "new-trials")


def test_shuffled_pictures_move_as_blocks_and_only_where_asked(make_trials):
    rows = [("train", f"c{number}/1", f"c{number}", 1) for number in range(30) for _ in range(3)]
    trials = make_trials([*rows, ("test", "x/1", "x", 2)])
    shuffled = shuffle_targets(trials, np.arange(90), seed=0)
    dealt = shuffled.iloc[:90].groupby(trials[columns.IMAGE_ID][:90])[columns.IMAGE_ID].unique()
    assert all(len(names) == 1 for names in dealt)
    assert sorted(name[0] for name in dealt) == sorted(set(trials[columns.IMAGE_ID][:90]))
    assert (shuffled[columns.IMAGE_ID][:90].str.split("/").str[0] == shuffled[columns.CONCEPT][:90]).all()
    assert (shuffled[columns.IMAGE_ID][:90] == trials[columns.IMAGE_ID][:90]).mean() < 0.2
    assert shuffled[columns.IMAGE_ID][90] == "x/1"
    assert trials[columns.IMAGE_ID][0] == "c0/1"
    pd.testing.assert_frame_equal(shuffled, shuffle_targets(trials, np.arange(90), seed=0))
    assert not shuffled.equals(shuffle_targets(trials, np.arange(90), seed=1))


def test_shuffled_concepts_say_nothing_of_the_truth(make_trials):
    trials = make_trials([("train", "", "cat" if number < 40 else "dog", 1) for number in range(60)])
    shuffled = shuffle_targets(trials, np.arange(60), seed=0)
    assert Counter(shuffled[columns.CONCEPT]) == {"cat": 40, "dog": 20}
    for concept in ("cat", "dog"):
        dealt = shuffled[columns.CONCEPT][trials[columns.CONCEPT] == concept]
        assert (dealt == "cat").mean() == pytest.approx(2 / 3, abs=0.06)
