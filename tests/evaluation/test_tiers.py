"""Each tier under its own heading, from embeddings alone."""

import pytest
import torch

from neuroclip_hf import columns
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.evaluation import embed_unlabelled, evaluate, rank_test_split, tiers
from neuroclip_hf.evaluation.tiers import tier_rows
from neuroclip_hf.processing.embedding import embed_queries

CALIBRATION = [
    "per-subject standardisation",
    "centring",
    "whitening of the queries",
    "whitening of both sides",
    "CSLS",
]


def vectors(rows, width=8, seed=0):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def by_name(rows):
    return {(row["tier"], row["method"]): row for row in rows}


def test_headings_and_what_each_row_was_fitted_on(ranking_of):
    gallery = vectors(6)
    ranking = ranking_of(torch.cat([gallery, gallery]), gallery, ("sub-01", "sub-02"), trials=3)
    unlabelled = {"sub-01": vectors(20), "sub-02": vectors(30)}
    rows, failed = tier_rows(ranking, "own-session whitening", unlabelled)
    assert [(row["tier"], row["method"]) for row in rows] == [
        ("inductive", "cosine"),
        *(("calibrated", method) for method in CALIBRATION),
        *(("transductive", method) for method in [*CALIBRATION, "orthogonal alignment", "Sinkhorn"]),
        ("matching", "one-to-one assignment"),
    ]
    assert failed == []
    assert {row["tier"]: (row["num_trials"], row["fitted_on"]) for row in rows} == {
        "inductive": (0, "nothing"),
        "calibrated": (50, "unlabelled training-split trials of the tested subject"),
        "transductive": (36, "the test queries themselves"),
        "matching": (36, "the test queries themselves, each picture given to one query of a subject at most"),
    }
    assert {row["whitening"] for row in rows} == {"own-session whitening"}
    for row in rows[:-1]:
        assert row["interval"]["low"] <= row["top1"] <= row["interval"]["high"]
        assert row["interval"]["over"] == "queries within subjects"
    assert (rows[-1]["top5"], rows[-1]["interval"]) == (None, None)


def test_a_subjects_own_offset_is_removed_by_what_was_fitted_on_that_subject(ranking_of):
    gallery = torch.nn.functional.normalize(vectors(12, 16), dim=1)
    offsets = {"sub-01": 50 * vectors(1, 16, 1), "sub-02": 50 * vectors(1, 16, 2)}
    query = torch.cat([gallery + offset for offset in offsets.values()])
    unlabelled = {name: vectors(4000, 16, 3) / 4 + offset for name, offset in offsets.items()}
    rows = by_name(tier_rows(ranking_of(query, gallery, tuple(offsets)), "", unlabelled)[0])
    assert rows["inductive", "cosine"]["top1"] < 0.3
    for tier in ("calibrated", "transductive"):
        assert rows[tier, "centring"]["top1"] == 1.0
        assert rows[tier, "per-subject standardisation"]["top1"] > 0.9
        assert rows[tier, "CSLS"]["top1"] < 0.5  # an offset is nothing that it removes
    crossed = dict(zip(offsets, reversed(unlabelled.values()), strict=True))
    wrong = by_name(tier_rows(ranking_of(query, gallery, tuple(offsets)), "", crossed)[0])
    assert wrong["calibrated", "centring"]["top1"] < 0.3


def test_whitening_undoes_a_mixture_that_the_unlabelled_trials_show(ranking_of):
    gallery = vectors(30, 6)
    mixture = torch.diag(torch.tensor([30.0, 1, 1, 1, 1, 0.1]))
    unlabelled = {"sub-01": vectors(3000, 6, 5) @ mixture}
    rows = by_name(tier_rows(ranking_of(gallery[:8] @ mixture, gallery), "", unlabelled)[0])
    found = {tier: rows[tier, "whitening of the queries"]["top1"] for tier in ("calibrated", "transductive")}
    assert found["calibrated"] > rows["inductive", "cosine"]["top1"] + 0.3
    assert found["calibrated"] > found["transductive"] + 0.3  # eight queries show no covariance


def test_csls_takes_a_picture_that_is_near_to_everything_off(ranking_of):
    # The last picture is the mean direction, and nearer to every query than the right one.
    right = torch.eye(8)[:7] + 0.8
    gallery = torch.cat([torch.eye(8)[:7] + 0.1, torch.ones(1, 8)])
    unlabelled = {"sub-01": torch.ones(40, 8) + 0.3 * vectors(40)}
    ranking = ranking_of(right, gallery)
    rows = by_name(tier_rows(ranking, "", unlabelled)[0])
    assert rows["inductive", "cosine"]["top1"] == 0.0
    assert rows["calibrated", "CSLS"]["top1"] == 1.0


def test_matching_gives_each_picture_once(ranking_of):
    # Each query's second choice is right, and its first is another query's surer one.
    query = torch.tensor([[1.0, 0.0], [1.0, 0.8]])
    ranking = ranking_of(query, torch.tensor([[1.0, 0.0], [0.9, 0.44]]))
    ranking.scores.copy_(torch.tensor([[0.9, 0.1], [0.8, 0.7]]))
    rows = by_name(tier_rows(ranking, "")[0])
    assert rows["inductive", "cosine"]["top1"] == 0.5
    assert rows["matching", "one-to-one assignment"]["top1"] == 1.0


def test_more_queries_than_pictures_cannot_be_matched(ranking_of):
    gallery = vectors(3)
    twice = ranking_of(torch.cat([gallery, gallery]), gallery, ("sub-01", "sub-01"))
    assert "matching" not in {row["tier"] for row in tier_rows(twice, "")[0]}
    two = ranking_of(torch.cat([gallery, gallery]), gallery, ("sub-01", "sub-02"))
    assert by_name(tier_rows(two, "")[0])["matching", "one-to-one assignment"]["top1"] == 1.0


def test_without_trials_of_every_subject_nothing_is_calibrated(ranking_of):
    gallery = vectors(5)
    ranking = ranking_of(torch.cat([gallery, gallery]), gallery, ("sub-01", "sub-02"))
    for unlabelled in (None, {}, {"sub-01": vectors(9)}):
        assert "calibrated" not in {row["tier"] for row in tier_rows(ranking, "", unlabelled)[0]}


def test_what_cannot_be_fitted_is_said(ranking_of):
    rows, failed = tier_rows(ranking_of(torch.full((4, 3), torch.nan), vectors(4, 3)), "")
    assert by_name(rows)["inductive", "cosine"]["top1"] == 0.0
    assert ("transductive", "whitening of the queries") not in by_name(rows)
    assert any(sentence.startswith("No transductive row of whitening of the queries: ") for sentence in failed)


def test_a_ranking_without_embeddings_has_the_inductive_row_alone(ranking_of):
    ranking = ranking_of(vectors(4), vectors(4))
    for name in ("query_embeds", "gallery_embeds"):
        object.__setattr__(ranking, name, None)
    assert [row["tier"] for row in tier_rows(ranking, "")[0]] == ["inductive"]


def test_unlabelled_trials_are_single_and_of_the_training_split(trained, store, monkeypatch):
    asked = []
    monkeypatch.setattr(tiers, "embed_queries", lambda *args: asked.extend(args[-1]) or embed_queries(*args))
    found = embed_unlabelled(trained.model, trained.processor, store, ["sub-02", "sub-02"])
    assert list(found) == ["sub-02"]
    assert sorted(query.trials for query in asked) == [(row,) for row in store.select("train", ["sub-02"])]
    assert {(query.image_id, query.concept) for query in asked} == {("", "")}
    monkeypatch.setattr(tiers, "UNLABELLED_TRIALS", 7)
    asked.clear()
    assert len(embed_unlabelled(trained.model, trained.processor, store, ["sub-01"])["sub-01"]) == 7
    assert asked[-1].trials[0] == store.select("train", ["sub-01"])[-1]


def test_labels_change_no_row(trained, store, store_folder):
    """Training labels dealt out anew: all rows stay to the last digit."""
    mixed = TrialStore(store_folder)
    rows = mixed.select("train")
    dealt = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).numpy()]
    for name in (columns.IMAGE_ID, columns.CONCEPT):
        values = mixed.trials[name].to_numpy().copy()
        values[rows] = values[dealt]
        mixed.trials[name] = values
    assert not mixed.trials.equals(store.trials)

    def tiers_of(one):
        ranking = rank_test_split(trained.model, trained.processor, one)
        unlabelled = embed_unlabelled(trained.model, trained.processor, one, ranking.subjects)
        return evaluate(ranking, one, {}, "small-clip", unlabelled=unlabelled).tiers

    found = tiers_of(store)
    assert "calibrated" in {row["tier"] for row in found}
    assert tiers_of(mixed) == found


def test_test_labels_change_no_score(ranking_of):
    ranking = ranking_of(vectors(6), vectors(6, seed=1))
    other = ranking_of(vectors(6), vectors(6, seed=1))
    other.mask.copy_(ranking.mask.roll(1, dims=1))
    for rule in (*tiers._CALIBRATION.values(), *tiers._TRANSDUCTION.values()):
        for reference in (None, {"sub-01": vectors(20, seed=4)}):
            mine, theirs = (tiers._by_subject(one, rule, reference) for one in (ranking, other))
            assert torch.equal(mine, theirs)
            assert not torch.equal(mine, ranking.scores) or rule is tiers._aligned


@pytest.mark.parametrize(
    ("whitening", "words"),
    [
        ("own session", "own-session whitening"),
        ("training subjects", "training-subjects whitening"),
        ("none", "no whitening"),
        ("unknown (done before)", "unknown (done before)"),
    ],
)
def test_words_for_whitening(whitening, words):
    assert tiers.whitening_words(whitening) == words
