"""Which repeats are used: those that the field's own shuffle chooses."""

import numpy as np
from sklearn.utils import shuffle

from neuroclip_hf.data.repeats import REPEATS_PER_SESSION, choose_repeats


def test_they_are_chosen_as_by_one_shuffle_a_picture():
    pictures = np.random.default_rng(0).choice(["b", "a", "c"], 40).tolist()
    expected = [
        shuffle(np.flatnonzero(np.array(pictures) == name), random_state=20200220)[:5] for name in ("a", "b", "c")
    ]
    for found, wanted in zip(choose_repeats(pictures, 5), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_fewer_are_all_taken():
    assert [sorted(found) for found in choose_repeats([7, 3, 7], 2)] == [[1], [0, 2]]
    assert REPEATS_PER_SESSION == {"train": 2, "test": 20}
