"""Two runs on the same queries, and on nothing else."""

from dataclasses import replace

import pytest
import torch

from neuroclip_hf.data.queries import Query
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation import compare_rankings, compare_runs, save_ranking


@pytest.fixture
def two(ranking_of):
    """Twelve queries of two subjects: the first model finds all of them, the second the half."""
    gallery = torch.eye(6)
    good = torch.cat([gallery, gallery])
    poor = good.clone()
    poor[::2] = gallery.roll(1, dims=0).repeat(2, 1)[::2]
    subjects = ("sub-01", "sub-02")
    return ranking_of(good, gallery, subjects), ranking_of(poor, gallery, subjects)


def test_the_difference_is_paired(two):
    found = compare_rankings(*two)
    assert (found["num_queries"], found["gallery_size"], found["subjects"]) == (12, 6, ["sub-01", "sub-02"])
    top1 = found["top1"]
    assert (top1["first"], top1["second"], top1["difference"]) == (1.0, 0.5, 0.5)
    assert 0 < top1["low"] < 0.5 < top1["high"] < 1
    assert top1["p"] < 0.1
    assert top1["over"] == "queries within subjects"
    same = compare_rankings(two[0], two[0])["top1"]
    assert (same["difference"], same["low"], same["high"], same["p"]) == (0, 0, 0, 1)


def test_galleries_in_another_order_are_the_same(two):
    first, second = two
    order = [3, 1, 0, 5, 4, 2]
    turned = replace(
        second,
        image_ids=[second.image_ids[place] for place in order],
        scores=second.scores[:, order],
        mask=second.mask[:, order],
    )
    assert compare_rankings(first, turned) == compare_rankings(first, second)


def changed_query(ranking, **changes):
    queries = list(ranking.queries)
    queries[7] = replace(queries[7], **changes)
    return replace(ranking, queries=queries)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda one: replace(one, image_ids=[*one.image_ids[:-1], "picture x"]),
            "rank different galleries: 2 of their pictures .'picture 5' ",
        ),
        (lambda one: replace(one, queries=one.queries[1:]), "were asked 12 and 11 queries"),
        (lambda one: changed_query(one, subject="sub-03"), "of different subjects, sub-01, sub-02 and of sub-01, sub"),
        (lambda one: changed_query(one, subject="sub-01"), "query 7 is picture 1 of sub-02 in the one, .* of sub-01"),
        (lambda one: changed_query(one, image_id="picture 2"), "query 7 is picture 1 .* picture 2 of sub-02"),
        (
            lambda one: replace(one, repeats=[(5, 6), *one.repeats[1:]]),
            "query 0, picture 0 of sub-01, is the mean of other trials",
        ),
        (
            lambda one: replace(one, mask=one.mask.roll(1, dims=0)),
            "query 0, picture 0 .* is right with other pictures",
        ),
    ],
)
def test_other_queries_are_refused(two, change, message):
    with pytest.raises(InputError, match=f"RUN_A and RUN_B {message}|RUN_A and RUN_B .*{message}"):
        compare_rankings(two[0], change(two[1]), ("RUN_A", "RUN_B"))


def test_where_only_the_concept_is_known_it_is_compared(two):
    def unnamed(one):
        return replace(one, queries=[Query(q.trials, q.subject, "", q.concept) for q in one.queries])

    assert compare_rankings(*map(unnamed, two)) == compare_rankings(*two)
    with pytest.raises(InputError, match="query 7 is picture 1"):
        compare_rankings(unnamed(two[0]), changed_query(unnamed(two[1]), concept="house"))


@pytest.mark.parametrize(("scale", "flags"), [(10.5, 0), (20.0, 1), (None, 0)])
def test_scales_that_differ_are_said_beside_the_log_loss(two, tmp_path, scale, flags):
    for name, ranking, mine in zip(("a", "b"), two, (10.0, scale), strict=True):
        (tmp_path / name).mkdir()
        save_ranking(replace(ranking, scale=mine), tmp_path / name)
    found = compare_runs(tmp_path / "a", tmp_path / "b")
    assert ("log_loss" in found) == (scale is not None)
    assert len(found["flags"]) == flags
    if flags:
        assert "their scales differ, 10.0 and 20.0" in found["flags"][0]
