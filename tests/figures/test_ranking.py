"""Tables made of rankings, against answers known by hand."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from neuroclip_hf.data.queries import Query
from neuroclip_hf.data.rankings import SavedRanking, read_ranking
from neuroclip_hf.errors import InputError
from neuroclip_hf.figures.families import concept_families, read_families
from neuroclip_hf.figures.ranking import confusion, joined, sorted_scores

CONCEPTS = ["cat", "axe", "dog"]
FAMILIES = {"cat": "animal", "dog": "animal", "axe": "tool"}


def ranking(scores, shown=("cat", "dog", "axe", "axe"), subject="sub-01"):
    queries = [Query((row,), subject, f"{name}.jpg", name) for row, name in enumerate(shown)]
    mask = np.array([[concept == name for concept in CONCEPTS] for name in shown])
    scores, image_ids = np.array(scores, dtype=np.float32), [f"{name}.jpg" for name in CONCEPTS]
    return SavedRanking(scores, mask, queries, image_ids, CONCEPTS, [(0,)] * len(shown))


SCORES = [[0.9, 0.1, 0.2], [0.8, 0.1, 0.2], [0.1, 0.9, 0.2], [0.5, 0.4, 0.3]]


def test_confusion_by_hand():
    found = confusion(ranking(SCORES), FAMILIES)
    assert found.families == ["animal", "tool"]
    assert found.counts.tolist() == [[2, 0], [1, 1]]
    assert found.gallery.tolist() == [2, 1]
    assert found.agreement == 3 / 4
    assert found.chance == pytest.approx(0.5 * 2 / 3 + 0.5 / 3)


def test_ties_and_nan_count_against_the_model():
    nan = float("nan")
    found = ranking([[0.5, 0.5, 0.1], [nan, 0.1, 0.9], [0.2, nan, 0.1], [0.1, 0.9, 0.2]]).found(2)
    assert found[0].tolist() == [1, 0]
    assert found[1].tolist() == [0, 2]
    assert found[2].tolist() == [0, 2]
    assert found[3, 0] == 1


def test_scores_are_averaged_and_sorted_by_family_and_concept():
    found = sorted_scores(ranking(SCORES), FAMILIES)
    assert found.gallery == ["cat", "dog", "axe"]
    assert found.targets == ["cat", "dog", "axe"]
    np.testing.assert_allclose(found.scores, [[0.9, 0.2, 0.1], [0.8, 0.2, 0.1], [0.3, 0.25, 0.65]], rtol=1e-6)
    assert found.queries == 4
    assert sorted_scores(ranking(SCORES)).gallery == ["axe", "cat", "dog"]


def test_rankings_of_one_gallery_are_joined():
    one, other = ranking(SCORES), ranking(SCORES, subject="sub-02")
    elsewhere = replace(one, image_ids=["a", "b", "c"])
    whole, runs = joined([one, other, elsewhere])
    assert (len(whole.queries), whole.scores.shape, runs) == (8, (8, 3), 2)
    assert whole.queries[7].subject == "sub-02"


def test_it_is_read_as_it_was_written(made, tmp_path):
    made.ranking(tmp_path, CONCEPTS, subjects=("sub-01", "sub-02"))
    found = read_ranking(tmp_path)
    assert (found.scores.shape, found.mask.sum()) == ((6, 3), 6)
    assert found.queries[3] == Query((6, 7), "sub-02", "cat/cat.jpg", "cat")
    assert found.repeats == [(0, 1)] * 6
    assert found.concepts == CONCEPTS
    assert read_ranking(tmp_path / "elsewhere") is None


@pytest.mark.parametrize("damage", ["cut", "words", "shape", "json"])
def test_a_damaged_ranking_is_named(made, tmp_path, damage):
    made.ranking(tmp_path, CONCEPTS)
    path = tmp_path / "ranking.safetensors"
    words = {"queries": "[]", "image_ids": "[]", "concepts": "[]"}
    none = np.zeros(0, np.int32)
    tensors = {"scores": np.zeros((3, 3), np.float32), "mask": np.eye(3, dtype=bool), "trials": none, "repeats": none}
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:50])
    elif damage == "words":
        save_file(tensors, path, {"queries": "[]"})
    elif damage == "json":
        save_file(tensors, path, words | {"queries": "["})
    else:
        save_file(tensors, path, words)
    with pytest.raises(InputError, match=r"ranking\.safetensors cannot be read"):
        read_ranking(tmp_path)


def test_a_concept_without_family_is_named():
    with pytest.raises(InputError, match="1 concepts have no family \\(axe"):
        confusion(ranking(SCORES), {"cat": "animal", "dog": "animal"})


def test_families():
    assert concept_families(CONCEPTS) == {"concept": {"axe": "axe", "cat": "cat", "dog": "dog"}}
    drawn = [f"{n:05d}_red_plain_{shape}_with_hat" for n, shape in enumerate(["ball", "box"] * 8)]
    ways = concept_families(drawn)
    assert set(ways) == {"colour", "shape"}
    assert ways["shape"][drawn[1]] == "box"
    assert set(ways["colour"].values()) == {"red"}
    assert concept_families([*drawn, "00001_aardvark"]) == {}
    assert concept_families(CONCEPTS, FAMILIES) == {"family": FAMILIES}
    with pytest.raises(InputError, match="name none for 1 concepts \\(emu"):
        concept_families([*CONCEPTS, "emu"], FAMILIES)


def test_families_from_a_file(tmp_path):
    path = tmp_path / "families.csv"
    path.write_text("concept,family\ncat, animal\naxe,tool\n", encoding="utf-8")
    assert read_families(path) == {"cat": "animal", "axe": "tool"}
    for text in ("a,b\n1,2\n", "concept,family\ncat\n"):
        path.write_text(text)
        with pytest.raises(InputError, match="columns concept and family"):
            read_families(path)
    with pytest.raises(InputError, match=r"none\.csv cannot be read"):
        read_families(tmp_path / "none.csv")
