"""Recordings to pictures and texts, and back, beside NumPy."""

import numpy as np
import pandas as pd
import pytest
import torch

from neuroclip_hf.data.queries import Query
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation.identification import describe
from neuroclip_hf.evaluation.matching import Answers, rank_answers, rank_recordings
from neuroclip_hf.evaluation.predictions import Predictions

PICTURES = ["a", "b", "c", "d"]
GALLERY = pd.DataFrame({"image_id": PICTURES, "concept": ["one", "one", "two", "three"]})


def unit(values):
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def answers_of(width=6, of_picture=None, names=PICTURES):
    embeds = torch.from_numpy(np.random.default_rng(0).standard_normal((len(names), width)))
    return Answers(list(names), embeds, torch.eye(4, dtype=torch.bool) if of_picture is None else of_picture, "")


def predictions_of(subjects=("s1", "s2"), repeats=3, pictures=PICTURES, width=6):
    rows = [(s, p, r) for s in subjects for p in pictures for r in range(repeats)]
    concepts = dict(zip(GALLERY["image_id"], GALLERY["concept"], strict=True))
    queries = [Query((place,), s, p, concepts[p]) for place, (s, p, _) in enumerate(rows)]
    return Predictions(queries, torch.from_numpy(np.random.default_rng(1).standard_normal((len(rows), width))))


def test_from_the_brain():
    predictions, answers = predictions_of(), answers_of()
    ranking = rank_answers(predictions, answers, GALLERY)
    wanted = unit(predictions.embeds.numpy()) @ unit(answers.embeds.numpy()).T
    np.testing.assert_allclose(ranking.scores.numpy(), wanted, atol=1e-6)
    shown = [PICTURES.index(query.image_id) for query in predictions.queries]
    assert ranking.mask.int().argmax(dim=1).tolist() == shown


def test_to_the_brain_there_are_as_many_candidates():
    predictions, answers = predictions_of(), answers_of()
    ranking, flags = rank_recordings(predictions, answers, GALLERY)
    assert (ranking.image_ids, flags) == (PICTURES, [])
    brain, image = unit(predictions.embeds.numpy()).reshape(2, 4, 3, 6), unit(answers.embeds.numpy())
    wanted = [image @ brain[subject, :, repeat].T for subject in range(2) for repeat in range(3)]
    np.testing.assert_allclose(ranking.scores.numpy(), np.concatenate(wanted), atol=1e-6)
    assert ranking.mask.tolist() == np.tile(np.eye(4, dtype=bool), (6, 1)).tolist()
    assert [query.subject for query in ranking.queries] == ["s1"] * 12 + ["s2"] * 12
    right = [scores.argmax(axis=1) == np.arange(4) for scores in wanted]
    assert describe([ranking])["top1"] == pytest.approx(np.mean(right))


def test_pictures_with_one_text_share_it():
    of_picture = torch.tensor([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.bool)
    answers = answers_of(of_picture=of_picture, names=["x", "y", "z"])
    predictions = predictions_of(["s1"], repeats=1)
    assert rank_answers(predictions, answers, GALLERY).mask.tolist() == of_picture.tolist()
    back, _ = rank_recordings(predictions, answers, GALLERY)
    assert back.mask.tolist() == of_picture.T.tolist()
    assert [query.image_id for query in back.queries] == ["x", "y", "z"]


def test_a_target_that_somebody_lacks_is_no_candidate():
    some = predictions_of(["s2"], pictures=PICTURES[:3])
    every = predictions_of(["s1"])
    both = Predictions(every.queries + some.queries, torch.cat([every.embeds, some.embeds]))
    ranking, flags = rank_recordings(both, answers_of(), GALLERY)
    assert ranking.image_ids == PICTURES[:3]
    assert flags == ["1 targets that not every subject has are left out as candidates."]
    assert {query.image_id for query in ranking.queries} == set(PICTURES[:3])
    alone = Predictions(every.queries[:3], every.embeds[:3])
    with pytest.raises(InputError, match="1 targets in common"):
        rank_recordings(alone, answers_of(), GALLERY)


def test_where_only_concepts_are_known_all_their_pictures_look_for_them():
    queries = [Query((place,), "s1", "", name) for place, name in enumerate(["one", "two", "three"])]
    predictions = Predictions(queries, torch.randn(3, 6, dtype=torch.float64))
    back, _ = rank_recordings(predictions, answers_of(), GALLERY)
    assert back.mask.tolist() == [
        [True, False, False],
        [True, False, False],
        [False, True, False],
        [False, False, True],
    ]
    assert rank_answers(predictions, answers_of(), GALLERY).mask.tolist() == back.mask.T.tolist()
