"""Seeds and controls hang on each query alone."""

import pytest
import torch

from neuroclip_hf.data.queries import Query
from neuroclip_hf.errors import InputError
from neuroclip_hf.generation.controls import nearest_places, seed_of, shuffled_places


def queries(subjects=("sub-01", "sub-02"), concepts=("kite", "boat", "lamp")):
    return [
        Query((number,), subject, f"{concept}_{number}", concept)
        for subject in subjects
        for concept in concepts
        for number in range(2)
    ]


def test_a_seed_says_who_saw_what_and_nothing_of_the_trials():
    one = Query((1, 2), "sub-01", "kite_1", "kite")
    assert seed_of(one, 0) == seed_of(Query((7,), "sub-01", "kite_1", "kite"), 0)
    others = [Query((1,), "sub-02", "kite_1", "kite"), Query((1,), "sub-01", "kite_2", "kite")]
    assert len({seed_of(one, 0), seed_of(one, 1), *(seed_of(other, 0) for other in others)}) == 4
    assert all(0 <= seed_of(query, 3) < 2**63 for query in queries())


def test_trials_of_which_only_the_concept_is_known_have_seeds_of_their_own():
    assert seed_of(Query((1,), "sub-01", "", "kite"), 0) != seed_of(Query((2,), "sub-01", "", "kite"), 0)


def test_the_shuffled_brain_is_the_same_subject_seeing_another_concept():
    asked = queries()
    places = shuffled_places(asked, 0)
    for query, place in zip(asked, places, strict=True):
        assert asked[place].subject == query.subject
        assert asked[place].concept != query.concept
    assert places == shuffled_places(asked, 0)
    assert places != shuffled_places(asked, 1)
    assert len(set(places)) > 3


def test_with_one_concept_another_picture_is_taken_and_with_one_target_none():
    one_concept = queries(("sub-01",), ("kite",))
    assert shuffled_places(one_concept, 0) == [1, 0]
    with pytest.raises(InputError, match="sub-01 was tested on kite_0 alone"):
        shuffled_places(one_concept[:1], 0)


def test_the_nearest_training_picture_is_found_by_direction():
    pictures = torch.tensor([[1.0, 0.0], [0.0, 9.0], [-1.0, 0.0]])
    assert nearest_places(torch.tensor([[5.0, 1.0], [0.1, 0.2]]), pictures) == [0, 1]
