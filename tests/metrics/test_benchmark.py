"""The benchmark of the measures runs, on a gallery of ten, and prints a line for each."""

import importlib
import json
import sys

import pytest
import torch


@pytest.fixture
def benchmark_module(project, monkeypatch):
    monkeypatch.syspath_prepend(str(project / "benchmarks"))
    sys.modules.pop("metrics", None)
    yield importlib.import_module("metrics")
    for name in ("metrics", "measuring"):
        sys.modules.pop(name, None)


def test_a_line_for_each_measure(benchmark_module, monkeypatch, capsys):
    monkeypatch.setattr(benchmark_module, "choose_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    for name, value in {"SUBJECTS": 5, "QUERIES": 60, "MANY": 20, "WIDTH": 8}.items():
        monkeypatch.setattr(benchmark_module, name, value)
    assert benchmark_module.main(["--repeats", "1"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    sizes = {line["measure"]: (line["queries"], line["gallery"]) for line in lines}
    assert sizes == {
        **dict.fromkeys(benchmark_module.STATISTICS, (300, 60)),
        **dict.fromkeys(benchmark_module.LARGE, (20, 20)),
    }
    assert all(line["ratio"] > 0 and line["median_ms"].keys() == {"product", line["measure"]} for line in lines)


def test_measures_can_be_chosen(benchmark_module, monkeypatch, capsys):
    monkeypatch.setattr(benchmark_module, "choose_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(benchmark_module, "MANY", 20)
    assert benchmark_module.main(["--repeats", "1", "--measure", "csls_scores"]) == 0
    assert json.loads(capsys.readouterr().out)["measure"] == "csls_scores"
