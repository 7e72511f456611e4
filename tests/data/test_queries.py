"""Queries and what they look for."""

import numpy as np
import pandas as pd
import pytest

from neuroclip_hf import columns
from neuroclip_hf.data.queries import Query, make_queries, target_mask
from neuroclip_hf.errors import InputError

ROWS = [("test", "cat/1", "cat", 1)] * 5 + [("test", "dog/1", "dog", 1)] * 3


def trials_of(queries: list[Query]) -> list[tuple[int, ...]]:
    return [query.trials for query in queries]


def test_all_trials_of_a_target_some_or_one(make_trials):
    trials = make_trials(ROWS)
    rows = np.arange(8)
    assert trials_of(make_queries(trials, rows, None)) == [(0, 1, 2, 3, 4), (5, 6, 7)]
    assert trials_of(make_queries(trials, rows, 2)) == [(0, 1), (2, 3), (5, 6)]
    assert trials_of(make_queries(trials, rows, 1)) == [(row,) for row in range(8)]
    assert make_queries(trials, rows[:5], 4) == [Query((0, 1, 2, 3), "sub-01", "cat/1", "cat")]


def test_subjects_are_not_averaged_together(make_trials):
    trials = pd.concat([make_trials(ROWS[:2]), make_trials(ROWS[:2], "sub-02")], ignore_index=True)
    queries = make_queries(trials, np.arange(4), None)
    assert [(query.subject, query.trials) for query in queries] == [("sub-01", (0, 1)), ("sub-02", (2, 3))]


def test_rows_are_those_of_the_whole_table(make_trials):
    trials = make_trials([("train", "cat/1", "cat", 1)] * 3 + ROWS)
    assert trials_of(make_queries(trials, np.arange(3, 11), 3)) == [(3, 4, 5), (8, 9, 10)]


def test_draws_are_seeded_and_without_repetition(make_trials):
    trials = make_trials([("test", "", "cat", 1)] * 6 + [("test", "", "dog", 1)] * 6)
    queries = make_queries(trials, np.arange(12), 4, draws=50, seed=3)
    assert [query.concept for query in queries] == ["cat"] * 50 + ["dog"] * 50
    assert all(len(set(query.trials)) == 4 for query in queries)
    assert {row for query in queries[:50] for row in query.trials} == set(range(6))
    assert len(set(trials_of(queries))) > 50
    assert queries == make_queries(trials, np.arange(12), 4, draws=50, seed=3)
    assert queries != make_queries(trials, np.arange(12), 4, draws=50, seed=4)


@pytest.mark.parametrize(
    ("average", "rows", "message"),
    [
        (0, 8, "average is 0: a query needs at least one trial"),
        (4, 8, r"1 targets have fewer than the 4 trials.*dog/1 of sub-01 \(3\). Average fewer"),
        (None, 0, "The split is empty, no query can be made: prepare the store with trials for it"),
    ],
)
def test_impossible_queries(make_trials, average, rows: int, message: str):
    with pytest.raises(InputError, match=message):
        make_queries(make_trials(ROWS), np.arange(rows), average)


def test_right_pictures_are_the_one_shown_or_any_of_the_concept():
    gallery = pd.DataFrame(
        [("cat/1", "cat"), ("dog/1", "dog"), ("cat/2", "cat")], columns=[columns.IMAGE_ID, columns.CONCEPT]
    )
    queries = [
        Query((0,), "sub-01", "cat/2", "cat"),
        Query((1,), "sub-01", "", "cat"),
        Query((2,), "sub-01", "", "dog"),
    ]
    assert target_mask(queries, gallery).tolist() == [[False, False, True], [True, False, True], [False, True, False]]
    with pytest.raises(InputError, match="The gallery lacks the picture of 'fish': add it"):
        target_mask([*queries, Query((3,), "sub-01", "", "fish")], gallery)
    with pytest.raises(InputError, match="The gallery lacks the picture of 'cat/3': add it"):
        target_mask([Query((3,), "sub-01", "cat/3", "cat")], gallery)
