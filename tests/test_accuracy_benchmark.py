"""The benchmark of accuracy makes its runs once, compares rows on the same queries, and searches elsewhere."""

import importlib
import json
import sys

import numpy as np
import pytest
import torch

from neuroclip_hf import columns
from neuroclip_hf.data.simulation.frozen import BENCHMARK

MODULES = ("accuracy", "accuracy_methods", "accuracy_recorded", "accuracy_rows", "accuracy_search", "measuring")
FEW = {"epochs": 2, "batch_size": 8, "encoder_settings": {"hidden_size": 16}, "projection_dim": 16}


@pytest.fixture
def benchmark(project, monkeypatch):
    """The modules of the benchmark, as Python imports them when it is started, with two rows that take seconds."""
    monkeypatch.syspath_prepend(str(project / "benchmarks"))
    found = {name: importlib.import_module(name) for name in MODULES}
    methods, accuracy = found["accuracy_methods"], found["accuracy"]
    monkeypatch.setattr(accuracy, "COMMON", {"tower": "small-clip", **FEW})
    rates = ({"learning_rate": 1e-3}, {"learning_rate": 1e-9})
    rows = (
        methods.Method("frozen", "neuroclip-intra", {"prompt": None}, rates, chosen=1),
        methods.Method(methods.OURS, "neuroclip-intra", {"prompt.shared_prompts": False}, rates),
    )
    monkeypatch.setattr(accuracy, "METHODS", rows)
    yield found
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def lines(benchmark, monkeypatch, capsys, store_folder, tmp_path):
    """Run the command, and read its lines of JSON."""

    def run(*words):
        command = ["accuracy.py", "--out", str(tmp_path), "--data", str(store_folder), "--seeds", "2", *words]
        monkeypatch.setattr(sys, "argv", command)
        assert benchmark["accuracy"].main() == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]

    return run


def test_every_row_is_a_recipe_with_as_many_candidates_as_the_others(project, monkeypatch):
    monkeypatch.syspath_prepend(str(project / "benchmarks"))
    methods = importlib.import_module("accuracy_methods")
    for rows, common in (
        (methods.METHODS, methods.COMMON),
        (methods.RECORDED_METHODS, methods.RECORDED_COMMON),
    ):
        assert len({one.name for one in rows}) == len(rows) >= 7
        assert len({len(one.candidates) for one in rows}) == 1
        assert methods.OURS in {one.name for one in rows}
        for one in rows:
            recipe = one.load(common)
            assert recipe.model.tower == columns.SMALL_CLIP, one.name
            assert recipe == one.load(common, one.chosen)
            tried = [one.load(common, number) for number in range(len(one.candidates))]
            assert all(tried.count(each) == 1 for each in tried)


def test_rows_are_compared_on_the_same_queries_and_runs_are_made_once(lines, benchmark, tmp_path, monkeypatch):
    frozen, ours = lines()
    assert (frozen["row"], ours["row"]) == ("frozen", "neuroclip-intra")
    assert (frozen["adapted"], ours["adapted"]) == (False, True)
    assert frozen["data"] == ours["data"] == "simulated"
    assert ours["neuroclip-intra_minus_this"] is None
    found = frozen["neuroclip-intra_minus_this"]
    assert found["difference"] == pytest.approx(ours["top1"]["mean"] - frozen["top1"]["mean"], abs=2e-4)
    assert found["low"] <= found["difference"] <= found["high"]
    losses = frozen["log_loss_neuroclip-intra_minus_this"]
    assert losses["difference"] == pytest.approx(ours["log_loss"]["mean"] - frozen["log_loss"]["mean"], abs=2e-4)
    assert losses["low"] <= losses["difference"] <= losses["high"]
    assert ours["log_loss_neuroclip-intra_minus_this"] is None
    assert frozen["chance_log_loss"] == pytest.approx(np.log(6), abs=1e-4)
    assert (frozen["queries"], frozen["gallery_size"], frozen["seeds"]) == (12, 6, 2)
    for row in (frozen, ours):
        means = [one["mean"] for one in row["subjects"].values()]
        assert row["top1"]["mean"] == pytest.approx(np.mean(means), abs=1e-3)
    costs = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("cost.json")}
    assert len(costs) == 2 * 2 * 2  # rows, subjects, seeds
    again = lines()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("cost.json")} == costs
    assert [row["top1"] for row in again] == [frozen["top1"], ours["top1"]]


def test_an_accuracy_is_a_mean_over_queries_as_its_interval_is(benchmark):
    found = benchmark["accuracy_rows"].spread_of({"a": [1.0, 0.5], "b": [0.0, 0.0]}, ["a"] * 3 + ["b"])
    assert found["values"] == [0.75, 0.375]
    assert found["mean"] == 0.5625


def test_the_search_trains_every_candidate_once_on_recordings_of_its_own(lines, benchmark, tmp_path, monkeypatch):
    rows = lines("--search")
    assert [(row["row"], row["chosen"]) for row in rows] == [("frozen", 1), ("neuroclip-intra", 0)]
    for row in rows:
        values = [one["cross_entropy"] for one in row["candidates"]]
        assert len(set(values)) == len(values) == 2
        assert row["best"] == int(np.argmin(values))
    assert len(list((tmp_path / "simulated" / "search").rglob("cost.json"))) == 2 * 2 * 2  # rows, candidates, subjects
    settings = benchmark["accuracy_search"].DEVELOPMENT
    assert settings.seed != BENCHMARK.seed
    assert not set(settings.subjects) & set(BENCHMARK.subjects)


def test_the_cross_entropy_does_not_depend_on_the_size_of_the_cosines(benchmark):
    search = benchmark["accuracy_search"]
    scores, right = (
        0.4 * torch.eye(50) + 0.2 * torch.randn(50, 50),
        torch.arange(50),
    )  # a factor of about 10 suits them
    assert search.cross_entropy(scores, right) == pytest.approx(search.cross_entropy(scores / 2, right), abs=0.01)
    assert search.cross_entropy(torch.eye(50), right) == pytest.approx(0, abs=1e-6)
