"""What transformers' Trainer is given as metrics: galleries of ids, and a collapsed model that finds nothing."""

from types import SimpleNamespace

import numpy as np
import pytest

from neuroclip_hf.metrics import retrieval_metrics


def prediction(brain, image, ids=None, more=()):
    return SimpleNamespace(predictions=(np.asarray(brain), np.asarray(image), *more), label_ids=ids)


def test_every_row_with_an_id_of_its_own_is_a_picture():
    brain = np.eye(8)[[0, 1, 2, 3, 4, 5, 7, 6]]
    scores = retrieval_metrics(prediction(brain, np.eye(8), ids=np.arange(8), more=(np.zeros(3),)))
    assert scores == {"top1": 0.75, "top5": 0.75, "chance": 0.125, "chance_top5": 0.625, "gallery_size": 8}


def test_a_picture_that_is_shown_several_times_stands_in_the_gallery_once():
    rows = np.eye(3)[[2, 0, 2, 1]].astype(np.float32)
    scores = retrieval_metrics(prediction(rows, rows, ids=np.array([70, 30, 70, 50])))
    assert (scores["top1"], scores["gallery_size"], scores["chance"]) == (1.0, 3, pytest.approx(1 / 3))


def test_a_model_that_maps_all_onto_one_point_finds_nothing():
    assert retrieval_metrics(prediction(np.ones((4, 2)), np.ones((4, 2)), ids=np.arange(4)))["top1"] == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (SimpleNamespace(predictions=np.ones((3, 2)), label_ids=None), "is a ndarray: it must hold brain_embeds"),
        (prediction(np.ones((3, 2)), np.ones((2, 2))), r"\(3, 2\) and \(2, 2\)"),
        (prediction(np.ones((3, 3, 2)), np.ones((3, 3, 2))), "both must be"),
        (prediction(np.ones((3, 2)), np.ones((3, 2))), r"label_ids is missing for 3 rows: pass label_names=\['image"),
        (prediction(np.ones((3, 2)), np.ones((3, 2)), ids=np.zeros(0)), r"label_ids is missing for 3 rows"),
        (prediction(np.ones((3, 2)), np.ones((3, 2)), ids=np.arange(2)), r"label_ids is \(2,\) for 3 rows"),
    ],
)
def test_what_is_no_pair_of_embeddings(given, message):
    with pytest.raises(ValueError, match=message):
        retrieval_metrics(given)
