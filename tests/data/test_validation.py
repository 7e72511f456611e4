"""What chooses the epoch: how much is held out, by what, and that it is never the same recording."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from neuroclip_hf import columns
from neuroclip_hf.data.validation import BY_PROTOCOL, hold_out_validation, last_fifth, shared_targets
from neuroclip_hf.errors import InputError


def held(trials: pd.DataFrame, by: str, seed: int = 0, rows=None):
    rows = np.arange(len(trials)) if rows is None else rows
    train, validation = hold_out_validation(trials, rows, by, seed)
    assert sorted([*train, *validation]) == sorted(rows)
    return train, validation


def test_concepts_hold_out_a_tenth_of_the_concepts_and_at_most_a_hundred(make_trials):
    rows = [("train", f"{concept}/{number}", str(concept), 1) for concept in range(40) for number in range(3)]
    trials = make_trials(rows)
    train, validation = held(trials, "concepts")
    concepts = [set(trials[columns.CONCEPT].iloc[part]) for part in (train, validation)]
    assert len(concepts[1]) == 4
    assert not concepts[0] & concepts[1]
    np.testing.assert_array_equal(validation, held(trials, "concepts")[1])
    assert not np.array_equal(validation, held(trials, "concepts", seed=1)[1])
    many = make_trials([("train", f"{concept}/1", str(concept), 1) for concept in range(1200)])
    assert len(held(many, "concepts")[1]) == 100


def test_pictures_hold_out_a_tenth_of_the_pictures_of_each_concept(make_trials):
    trials = make_trials(
        [("train", f"{name}/{number}", name, 1) for name in ("cat", "dog") for number in range(20)]
        + [("train", "fish/1", "fish", 1)]
    )
    _, validation = held(trials, "pictures")
    assert Counter(trials[columns.CONCEPT].iloc[validation]) == {"cat": 2, "dog": 2}


def test_trials_hold_out_the_last_run_or_the_last_fifth_of_a_single_one(make_trials):
    several = make_trials([("train", "cat/1", "cat", run) for run in (1, 3, 2, 3)])
    np.testing.assert_array_equal(held(several, "trials")[1], [1, 3])
    single = make_trials([("train", "", "cat" if number % 2 else "dog", 1) for number in range(22)])
    np.testing.assert_array_equal(held(single, "trials")[1], [18, 19, 20, 21])  # two of eleven of each concept
    assert sorted(last_fifth(single)) == [18, 19, 20, 21]


def test_only_the_given_rows_are_parted(make_trials):
    trials = make_trials([("test", "cat/1", "cat", 1)] + [("train", "cat/1", "cat", run) for run in (1, 2, 3)])
    train, validation = held(trials, "trials", rows=np.array([1, 2, 3]))
    assert (train.tolist(), validation.tolist()) == ([1, 2], [3])


@pytest.mark.parametrize(
    ("by", "what"),
    [
        ("concepts", "concepts"),
        ("pictures", "pictures of one concept"),
        ("trials", "trials"),
        ("subjects", "subjects"),
    ],
)
def test_too_little_to_hold_anything_out(make_trials, by: str, what: str):
    with pytest.raises(InputError, match=rf"cannot be held out of 1 training trials by {by}: .* too few {what}; prep"):
        held(make_trials([("train", "cat/1", "cat", 1)]), by)


def test_a_recording_that_stands_twice_in_training_cannot_validate_itself(make_trials):
    trials = make_trials([("train", "cat/1", "cat", run) for run in (1, 2)])
    trials["digest"] = "0" * 16
    with pytest.raises(InputError, match=r"as the same recording: run-1.fif .train. and run-2.fif .validation."):
        held(trials, "trials")


def several(make_trials, sessions: dict[str, int]) -> pd.DataFrame:
    """Every subject sees every picture once a session."""
    parts = []
    for place, (subject, count) in enumerate(sessions.items()):
        rows = [("train", f"c{number}/1", f"c{number}", 1) for _ in range(count) for number in range(5)]
        mine = make_trials(rows, subject)
        mine[columns.SESSION] = 1 + np.arange(len(mine)) // 5
        mine[columns.DIGEST] = [f"{place}-{number}" for number in range(len(mine))]
        parts.append(mine)
    return pd.concat(parts, ignore_index=True)


def test_sessions_hold_out_the_last_of_each_subject_and_a_fifth_of_many(make_trials):
    trials = several(make_trials, {"sub-01": 2, "sub-02": 4, "sub-03": 10})
    _, validation = held(trials, "sessions")
    found = trials.iloc[validation].groupby(columns.SUBJECT)[columns.SESSION].unique()
    assert {name: sorted(sessions) for name, sessions in found.items()} == {
        "sub-01": [2],
        "sub-02": [4],
        "sub-03": [9, 10],
    }
    assert len(validation) == 20


def test_a_subject_with_one_session_is_named(make_trials):
    with pytest.raises(InputError, match=r"last session of each subject, and sub-02 has 1: say validation=trials"):
        held(several(make_trials, {"sub-01": 2, "sub-02": 1}), "sessions")


def test_one_subject_is_held_out_and_the_seed_says_which(make_trials):
    trials = several(make_trials, {f"sub-{number}": 1 for number in range(6)})
    found = set()
    for seed in range(20):
        _, validation = held(trials, "subjects", seed)
        assert len(validation) == 5
        found |= set(trials[columns.SUBJECT].iloc[validation])
    assert len(found) > 1


def test_pictures_cannot_be_held_out_where_only_concepts_are_known(make_trials):
    trials = make_trials([("train", "", "cat", 1), ("train", "", "dog", 1)])
    with pytest.raises(InputError, match=r"validation=pictures needs to know which picture .* validation=trials"):
        held(trials, "pictures")


def test_what_is_shared_is_said(make_trials):
    trials = several(make_trials, {"sub-01": 2})
    assert shared_targets(trials, *held(trials, "sessions")) == "pictures"
    assert shared_targets(trials, *held(trials, "concepts")) == "nothing"
    concepts = trials.assign(image_id="")
    assert shared_targets(concepts, *held(concepts, "sessions")) == "concepts"
    more = make_trials([("train", f"cat/{number}", "cat", 1) for number in range(20)])
    assert shared_targets(more, *held(more, "pictures")) == "concepts"


def test_every_choice_is_known_and_every_protocol_has_one(make_trials):
    assert set(BY_PROTOCOL) == set(columns.PROTOCOLS)
    trials = several(make_trials, {"sub-01": 2, "sub-02": 2})
    trials[columns.RUN] = trials[columns.SESSION]
    trials[columns.IMAGE_ID] += (np.arange(len(trials)) % 2).astype(str)
    for by in set(columns.VALIDATIONS) - {columns.AUTO, columns.BY_STORE, columns.BY_NONE}:
        held(trials, by)
    with pytest.raises(InputError, match="validation is 'auto': choose one of concepts, pictures, trials, sessions"):
        held(trials, "auto")


def test_rows_are_places_whatever_the_index_of_the_table(make_trials):
    trials = several(make_trials, {"sub-01": 2, "sub-02": 2})
    moved = trials.set_index(pd.Index([7] * len(trials)))
    for by in ("sessions", "trials", "concepts"):
        np.testing.assert_array_equal(held(moved, by)[1], held(trials, by)[1])
