"""Means and deviations known by hand."""

from types import SimpleNamespace

import pytest
import torch

from neuroclip_hf.data.subjects import SubjectSplit
from neuroclip_hf.protocols.reproduce import summary
from neuroclip_hf.protocols.reproduce.plan import PlannedRun
from neuroclip_hf.protocols.reproduce.summary import BY_VALIDATION, _over_subjects, _spread, seed_averaged_hits


def test_the_deviation_is_that_of_a_sample():
    found = _spread([0.1, 0.3])
    assert found["mean"] == pytest.approx(0.2)
    assert found["std"] == pytest.approx(0.2 / 2**0.5)
    assert found["values"] == [0.1, 0.3]
    assert _spread([0.4]) == {"mean": 0.4, "std": None, "values": [0.4]}


def test_subjects_are_averaged_before_seeds_are_compared():
    runs = [PlannedRun(SubjectSplit("intra-subject", (name,), (name,)), seed) for seed in (0, 1) for name in "ab"]
    found = _over_subjects(dict(zip(runs, [0.0, 1.0, 1.0, 0.5], strict=True)))
    assert found["values"] == [0.5, 0.75]
    assert found["mean"] == pytest.approx(0.625)


def test_a_query_is_as_right_as_its_seeds_were_on_average(monkeypatch, tmp_path):
    runs = [PlannedRun(SubjectSplit("intra-subject", (name,), (name,)), seed) for seed in (0, 1) for name in "ab"]
    hits = {"a/seed-0": [1, 0], "a/seed-1": [1, 1], "b/seed-0": [0, 0], "b/seed-1": [0, 1]}

    def ranked(folder, name):
        assert name == "ranking.safetensors"
        found = hits["/".join(folder.relative_to(tmp_path / "runs").parts)]
        return SimpleNamespace(hits=lambda: {"top1": torch.tensor(found, dtype=torch.bool)})

    monkeypatch.setattr(summary, "load_ranking", ranked)
    means, subjects = seed_averaged_hits(SimpleNamespace(runs=runs), tmp_path, BY_VALIDATION, "top1")
    assert means.tolist() == [1.0, 0.5, 0.0, 0.5]
    assert subjects == ["a", "a", "b", "b"]
