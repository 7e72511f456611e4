"""The benchmark of streams runs, and counts what it says."""

import importlib
import json
import sys

import pytest
import torch


def test_the_latency_of_answers(project, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(project / "benchmarks"))
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    module = importlib.import_module("stream")
    try:
        module.main(["--trials", "5", "--channels", "3"])
    finally:
        for name in ("stream", "measuring", "printing"):
            sys.modules.pop(name, None)
    found = json.loads(capsys.readouterr().out)
    assert (found["benchmark"], found["through"], found["answers"]) == ("stream", "memory", 5)
    assert 0 < found["median_ms"] <= found["p99_ms"]
    assert found["within_goal"] == (found["p99_ms"] <= found["goal_ms"])
    assert module.percentiles([0.001, 0.003]) == {"median_ms": 2.0, "p99_ms": pytest.approx(2.98)}
