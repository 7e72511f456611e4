"""Checkpoint and test split to a report: one schema, exact chance, and stores that do not fit refused."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from neuroclip_hf.data.queries import Query
from neuroclip_hf.data.sources.recorded import WHITENING_FITS
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation import (
    Ranking,
    accuracy_of,
    compare_rankings,
    evaluate,
    fitting_part,
    rank_test_split,
    read_report,
    subjects_to_test,
    write_report,
)
from neuroclip_hf.evaluation import ranking as ranks
from neuroclip_hf.protocols.run import train_on_store
from neuroclip_hf.training.settings import load_recipe

PROMISED = {
    "top1": float,
    "top5": float,
    "chance": float,
    "gallery_size": int,
    "num_queries": int,
    "control_top1": (float, type(None)),
    "pairwise": float,
    "data": str,
    "tower": str,
    "seed": int,
    "protocol": str,
    "split": (str, type(None)),
    "tested_subjects": (str, type(None)),
    "gallery": str,
    "averaged_repeats": (int, float),
    "n_way": dict,
    "repeats": list,
    "intervals": dict,
    "permutation": dict,
    "tiers": list,
    "whitening_fit": str,
    "flags": list,
}
RUN = {"seed": 3, "selection": "loss", "store": "other", "split": "pooled", "subjects": ["sub-01"]}


def ranking(scores, targets, subjects=None) -> Ranking:
    scores = torch.tensor(scores, dtype=torch.float32)
    mask = torch.zeros(scores.shape, dtype=torch.bool)
    mask[torch.arange(len(targets)), torch.tensor(targets)] = True
    names = subjects or ["sub-01"] * len(targets)
    queries = [
        Query((row, row + 1), name, str(target), "x")
        for row, (name, target) in enumerate(zip(names, targets, strict=True))
    ]
    return Ranking(queries, [str(row) for row in range(scores.shape[1])], scores, mask)


def test_the_schema_that_is_promised(store):
    report = evaluate(ranking(np.eye(6).tolist(), range(6)), store, RUN, "random").to_dict()
    for name, kind in PROMISED.items():
        assert isinstance(report[name], kind), name
    assert (report["top1"], report["top5"], report["pairwise"]) == (1.0, 1.0, 1.0)
    assert report["chance"] == pytest.approx(1 / 6)
    assert report["chance_top5"] == pytest.approx(5 / 6)
    assert (report["gallery_size"], report["num_queries"], report["averaged_repeats"]) == (6, 6, 2)
    assert (report["data"], report["protocol"], report["seed"]) == ("simulated", "new-concepts", 3)
    assert report["control_top1"] is None
    assert report["run"]["same_store"] is False
    json.dumps(report, allow_nan=False)


def test_intervals_permutations_and_n_ways(store):
    generator = torch.Generator().manual_seed(0)
    scores = 3 * torch.eye(60).repeat(2, 1) + torch.randn(120, 60, generator=generator)
    subjects = ["sub-01"] * 60 + ["sub-02"] * 60
    report = evaluate(ranking(scores.tolist(), [*range(60)] * 2, subjects), store, RUN, "random")
    for name, value in (("top1", report.top1), ("top5", report.top5)):
        interval = report.intervals[name]
        assert interval["low"] < value < interval["high"]
        assert interval["over"] == "queries within subjects"
    over = "pictures, all queries of a picture together"
    assert report.permutation == {"p": 0.001, "statistic": report.top1, "permutations": 999, "over": over}
    assert list(report.n_way) == ["2", "4", "5", "6", "10", "20", "50", "60"]
    assert [list(found) for found in report.n_way.values()] == [["top1"]] * 3 + [["top1", "top5"]] * 5
    assert report.n_way["2"]["top1"] == pytest.approx(report.pairwise)
    values = [found["top1"] for found in report.n_way.values()]
    assert values == sorted(values, reverse=True)
    assert values[-2] > values[-1] == pytest.approx(report.top1)
    assert [row["tier"] for row in report.tiers] == ["inductive"]
    assert (report.tiers[0]["top1"], report.tiers[0]["interval"]) == (report.top1, report.intervals["top1"])


def test_ways_are_no_more_than_every_query_has_wrong_pictures_for(store):
    found = ranking(np.eye(6).tolist(), range(6))
    found.mask[0, 1:4] = True
    assert list(evaluate(found, store, RUN, "random").n_way) == ["2", "3"]
    found.mask[0, 3] = False
    assert list(evaluate(found, store, RUN, "random").n_way) == ["2", "4"]


def test_trials_of_one_picture_are_permuted_together(store):
    """Half of six pictures are always found, which one permutation in thirteen finds too."""
    found = [0, 1, 2, 4, 5, 3]
    scores = torch.eye(6)[found]
    once = evaluate(ranking(scores.tolist(), range(6)), store, RUN, "random").permutation
    often = ranking(scores.repeat(20, 1).tolist(), [*range(6)] * 20)
    trials = evaluate(often, store, RUN, "random").permutation
    assert trials["p"] == pytest.approx(once["p"], abs=0.03) == pytest.approx(56 / 720, abs=0.03)
    assert (once["over"], trials["over"]) == ("queries", "pictures, all queries of a picture together")


def test_trials_of_which_only_the_concept_is_known_stand_alone(store):
    found = ranking(torch.eye(2).repeat(20, 1).tolist(), [0, 1] * 20)
    alone = replace(found, queries=[replace(query, image_id="") for query in found.queries])
    permutation = evaluate(alone, store, RUN, "random").permutation
    assert (permutation["p"], permutation["over"]) == (0.001, "queries")


def test_targets_are_exchanged_within_subjects_who_saw_different_pictures(store):
    """Each subject saw one picture, which another subject's is no match for."""
    found = ranking(torch.eye(4).tolist(), range(4), [f"sub-0{number}" for number in range(4)])
    permutation = evaluate(found, store, RUN, "random").permutation
    assert (permutation["p"], permutation["over"]) == (1.0, "queries, within subjects")


def test_five_subjects_are_resampled_too(store):
    names = [f"sub-{number}" for number in range(5) for _ in range(4)]
    report = evaluate(ranking(np.eye(4).tolist() * 5, [*range(4)] * 5, names), store, RUN, "random")
    assert report.intervals["top1"]["over"] == "subjects and queries"


def test_queries_of_one_picture_are_resampled_together(store, ranking_of):
    query = torch.cat([torch.eye(6)[:3], torch.zeros(3, 6)]).repeat(20, 1)
    several = ranking_of(query, torch.eye(6), ("sub-01",) * 20)
    once = ranking_of(query[:6], torch.eye(6))
    mine, theirs = (evaluate(one, store, RUN, "random").intervals["top1"] for one in (several, once))
    assert mine == {**theirs, "over": "pictures"}
    assert theirs["over"] == "queries"
    compared = compare_rankings(several, replace(several, scores=several.scores.roll(1, dims=1)))["top1"]
    assert compared["over"] == "pictures"
    assert compared["difference"] == 0.5
    assert compared["p"] > 0.05  # three pictures against none, each asked for twenty times
    concepts = [replace(query, image_id="") for query in several.queries]
    unnamed = evaluate(replace(several, queries=concepts), store, RUN, "random").intervals["top1"]
    assert unnamed["over"] == "queries"
    assert unnamed["high"] - unnamed["low"] < (mine["high"] - mine["low"]) / 2


def otherwise_whitened(store, fit):
    other = copy.copy(store)
    other.info = replace(store.info, whitening_fit=fit)
    return other


def test_a_second_row_for_another_whitening(store, ranking_of):
    mine, theirs = ranking_of(torch.eye(6), torch.eye(6)), ranking_of(torch.eye(6).roll(1, 0), torch.eye(6))
    other = otherwise_whitened(store, WHITENING_FITS["training-subjects"])
    report = evaluate(mine, store, RUN, "random", also=(theirs, other, [{"repeats": 1, "top1": 0.5}]), flags=["look"])
    first, second = report.tiers[:2]
    assert (first["tier"], first["whitening"], first["top1"]) == ("inductive", "own-session whitening", 1.0)
    assert (second["tier"], second["whitening"], second["top1"]) == ("inductive", "training-subjects whitening", 0.0)
    assert report.top1 == 1.0
    assert (report.whitening_fit, report.flags) == ("own session", ["look"])
    with pytest.raises(InputError, match=r"were whitened alike \(own session\): .* another --whitening"):
        evaluate(mine, store, RUN, "random", also=(theirs, store, []))
    shorter = ranking_of(torch.eye(6)[:3], torch.eye(6))
    with pytest.raises(
        InputError, match="were asked 6 and 3 queries: name a store of the same recordings with --also"
    ):
        evaluate(mine, store, RUN, "random", also=(shorter, other, []))


def test_a_collapsed_model_has_nothing_right(store):
    report = evaluate(ranking(np.ones((6, 6)).tolist(), range(6)), store, RUN, "random")
    assert (report.top1, report.top5, report.pairwise) == (0.0, 0.0, 0.0)


def test_control_and_subjects_stand_apart(store):
    scores = [[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]]
    both = ["sub-01", "sub-01", "sub-02", "sub-02"]
    control = ranking([[0, 1, 0]] * 4, [0, 0, 0, 1])
    report = evaluate(ranking(scores, [0, 0, 0, 1], both), store, RUN, "random", control)
    assert report.top1 == 0.75
    assert {name: row["top1"] for name, row in report.subjects.items()} == {"sub-01": 1.0, "sub-02": 0.5}
    assert {row["num_queries"] for row in report.subjects.values()} == {2}
    assert report.control_top1 == 0.25


@pytest.mark.parametrize(
    ("trained", "expected"), [(["a", "b", "c"], "trained"), (["a"], "mixed"), (["c"], "new"), (None, None)]
)
def test_the_report_says_whether_the_model_knew_its_subjects(store, trained, expected):
    run = {} if trained is None else {**RUN, "subjects": trained}
    report = evaluate(ranking(np.eye(6).tolist(), range(6), ["a", "b"] * 3), store, run, "random")
    assert report.tested_subjects == expected
    assert report.split == (None if trained is None else "pooled")


def run_of(opened, **changes):
    return {"subjects": ["sub-01"], "held_out_subject": None, "store": opened.info.fingerprint} | changes


def test_the_subjects_of_the_split_are_tested(store):
    assert subjects_to_test({}, store) is None
    assert subjects_to_test({}, store, ["1", "2"]) == ["sub-01", "sub-02"]
    assert subjects_to_test(run_of(store), store) == ["sub-01"]
    assert subjects_to_test(run_of(store), store, ["2"]) == ["sub-02"]
    assert subjects_to_test(run_of(store, held_out_subject="sub-02"), store) == ["sub-02"]
    assert subjects_to_test(run_of(store, held_out_subject="sub-02"), store, ["1"]) == ["sub-01"]


def test_trained_and_new_subjects_are_not_mixed(store):
    for run in (run_of(store), run_of(store, held_out_subject="sub-02")):
        with pytest.raises(InputError, match=r"was trained on sub-01 and not on sub-02: .* with --subjects"):
            subjects_to_test(run, store, ["1", "2"])
    elsewhere = run_of(store, subjects=["sub-07"], held_out_subject="sub-09", store="other")
    assert subjects_to_test(elsewhere, store) is None  # all of them new
    with pytest.raises(InputError, match="holds none of sub-09, whom the run is to be tested on"):
        subjects_to_test({**elsewhere, "store": store.info.fingerprint}, store)


def test_ranking_the_test_split(trained, store):
    found = rank_test_split(trained.model, trained.processor, store)
    assert found.scores.shape == found.mask.shape == (12, 6)  # two subjects, all repeats of six pictures averaged
    assert found.mask.sum(dim=1).tolist() == [1] * 12
    assert {len(query.trials) for query in found.queries} == {4}
    assert set(found.image_ids) == set(store.gallery("test")["image_id"])
    test = set(store.select("test").tolist())
    assert all(set(query.trials) <= test for query in found.queries)
    one = rank_test_split(trained.model, trained.processor, store, average=1, subjects=["sub-02"])
    assert one.scores.shape == (24, 6)
    assert {query.subject for query in one.queries} == {"sub-02"}


def test_draws_are_seeded(trained, store):
    def draw(seed):
        return rank_test_split(trained.model, trained.processor, store, average=2, draws=5, seed=seed)

    assert draw(0).queries == draw(0).queries != draw(1).queries
    assert len(draw(0).queries) == 2 * 6 * 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 3}, "--average"),
        ({"draws": 0, "average": 1}, "draws is 0"),
        ({"average": 0}, "average is 0"),
        ({"average": 99}, "99"),
        ({"subjects": ["sub-09"]}, "sub-09"),
    ],
)
def test_impossible_queries(trained, store, options, message):
    with pytest.raises(InputError, match=message):
        rank_test_split(trained.model, trained.processor, store, **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": ["P7", "O1", "Oz", "X1"]}, "lacks the channels O2"),
        ({"sampling_rate": 100.0}, "sampling_rate is 100.0, the checkpoint's is 50.0"),
        ({"window_start": 0.2}, "within 0.2 to 0.8.*The checkpoint reads 0 to 0.6 s"),
        ({"num_timesteps": 29}, "within 0 to 0.58.*The checkpoint reads 0 to 0.6 s"),
        ({"unit": "V"}, "unit is V"),
    ],
)
def test_a_store_that_does_not_fit_is_refused_before_anything_is_read(trained, store, changes, message):
    other = copy.copy(store)
    other.info = replace(store.info, **changes)
    with pytest.raises(InputError, match=message):
        rank_test_split(None, trained.processor, other)
    assert fitting_part(trained.processor, store) is store


def test_channels_in_another_order_and_more_of_them_change_nothing(array_store, tiny_overrides):
    brain = np.random.default_rng(1).standard_normal((50, 3, 20)) * 1e-5
    first = array_store(brain=brain)
    more = np.concatenate([brain[:, ::-1], brain[:, :1] * 7], axis=1)
    second = array_store("second", brain=more, channel_names=np.array(["O2", "O1", "P7", "Fz"]))
    trained = train_on_store(load_recipe("demo", tiny_overrides), first)
    mine, theirs = (rank_test_split(trained.model, trained.processor, store) for store in (first, second))
    assert torch.equal(mine.scores, theirs.scores)


def test_a_store_without_test_trials(array_store, tiny_overrides):
    store = array_store(split=None)
    trained = train_on_store(load_recipe("demo", tiny_overrides), store)
    with pytest.raises(InputError, match="no test trials"):
        rank_test_split(trained.model, trained.processor, store)


def test_a_perfect_model_ranks_first(trained, store, monkeypatch):
    """Embeddings that are one-hot by picture: the metric, the mask and the gallery belong together."""
    names = list(store.gallery("test")["image_id"])
    eye = torch.eye(len(names))
    monkeypatch.setattr(
        ranks,
        "embed_queries",
        lambda *args: torch.stack([eye[names.index(one.image_id)] for one in args[-1]]),
    )
    monkeypatch.setattr(ranks, "embed_pictures", lambda *_: eye)
    assert accuracy_of(rank_test_split(trained.model, trained.processor, store))["top1"] == 1.0


def test_reports_are_written_whole_and_read_back(store, tmp_path):
    assert read_report(tmp_path) is None
    report = evaluate(ranking(np.eye(6).tolist(), range(6)), store, RUN, "random")
    assert write_report(report, tmp_path) == tmp_path / "report.json"
    assert read_report(tmp_path) == report.to_dict()
    (tmp_path / "report.json").write_text('{"top1": ')
    with pytest.raises(InputError, match=r"report\.json"):
        read_report(tmp_path)
