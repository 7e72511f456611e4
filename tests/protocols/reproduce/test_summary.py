"""Means and deviations known by hand."""

from types import SimpleNamespace

import pytest
import torch

from neuroclip_hf.data.subjects import SubjectSplit
from neuroclip_hf.protocols.reproduce import summary
from neuroclip_hf.protocols.reproduce.plan import PlannedRun
from neuroclip_hf.protocols.reproduce.summary import BY_VALIDATION, _over_subjects, _spread, seed_averaged


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
        right = torch.tensor(found, dtype=torch.bool)
        losses = {} if folder.parent.name == "b" else {"log_loss": torch.tensor([0.5, 1.0])}
        return SimpleNamespace(answers=lambda: {"top1": right, "top5": right, **losses})

    monkeypatch.setattr(summary, "load_ranking", ranked)
    means, subjects = seed_averaged(SimpleNamespace(runs=runs), tmp_path, BY_VALIDATION)
    assert list(means) == ["top1", "top5"]  # no log-loss, which some models do not have
    assert means["top1"].tolist() == [1.0, 0.5, 0.0, 0.5]
    assert subjects == ["a", "a", "b", "b"]
