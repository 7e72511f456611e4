"""A picture stands in a figure only where it may; else a tile says which it is."""

import numpy as np
import pytest

from neuroclip_hf.figures.tiles import ShownPictures, tile


def ink(picture):
    """What part of each half is letters."""
    dark = np.asarray(picture.convert("L")) < 160
    return dark[: len(dark) // 2].mean(), dark[len(dark) // 2 :].mean()


def test_a_tile_says_concept_and_id():
    upper, lower = ink(tile("folder/kite_01.jpg", "kite"))
    assert upper > 0.005
    assert lower > 0.005
    assert ink(tile("", "kite")) == (upper, 0)
    assert ink(tile("folder/kite_01.jpg", "")) == (0, lower)
    assert tile("other/kite_01.jpg", "kite") == tile("folder/kite_01.jpg", "kite")
    assert tile("folder/kite_02.jpg", "kite") != tile("folder/kite_01.jpg", "kite")


def test_long_names_stay_inside():
    edges = np.asarray(tile("a_" * 300, "kite " * 100).convert("L"))
    assert edges.shape == (312, 312)
    assert {edges[:, 0].min(), edges[:, -1].min(), edges[0].min(), edges[-1].min()} == {edges.max()}


@pytest.mark.parametrize("shown", [False, True])
def test_a_picture_is_opened_only_where_it_may_be_seen(store, shown):
    image_id = store.gallery("test")["image_id"][0]
    pictures = ShownPictures(store, shown)
    wanted = store.open_picture(image_id) if shown else tile(image_id, "kite")
    assert pictures.are_shown == shown
    assert pictures.open(image_id, "kite") == wanted
    assert ShownPictures(None, shown).open(image_id, "kite") == tile(image_id, "kite")
