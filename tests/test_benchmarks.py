"""The benchmarks of models run, on a tower of two layers, and count what they say that they count."""

import importlib
import json
import sys

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


@pytest.fixture
def benchmark_module(project, monkeypatch):
    """Import a file of benchmarks/ as Python does when it is started."""
    monkeypatch.syspath_prepend(str(project / "benchmarks"))
    names = ("measuring", "model", "model_flops", "model_frozen")
    yield importlib.import_module
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def line(benchmark_module, monkeypatch, capsys):
    """Run a subcommand on the smallest tower, and read what it printed."""

    def run(what, *words):
        model = benchmark_module("model")
        monkeypatch.setattr(model, "choose_device", lambda: torch.device("cpu"))
        monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
        assert model.main([what, "--tower", "tiny", "--repeats", "1", *words]) == 0
        (printed,) = capsys.readouterr().out.splitlines()
        found = json.loads(printed)
        assert (found["benchmark"], found["threads"]) == (f"model_{what}", 1)
        return found

    return run


def test_parts(line):
    found = line("step")
    assert found["ratio"]["plain_vpt"] == found["memory_ratio"]["plain_vpt"] == 1
    assert found["peak_mib"]["all_parts"] > found["peak_mib"]["plain_vpt"]


def test_layers(line):
    found = line("layers")
    assert (found["layers"], set(found["ratio"])) == (2, {"1", "2"})
    assert found["bounds"]["1"] == 0.6


def test_repeated_pictures(line):
    assert set(line("repeated")["ratio"]) == {"2", "4"}


def test_chunks_need_less_memory(line):
    memory = line("chunks", "--pictures", "512")["peak_mib"]
    assert set(memory) == {"all", "64", "128", "256"}
    assert memory["all"] > memory["256"] >= memory["128"] >= memory["64"]


def test_frozen_features(line, benchmark_module, monkeypatch):
    for name, value in {"TRIALS": 16, "PICTURES": 4, "BATCH": 8, "ENCODERS": {"ts_conv": 3}}.items():
        monkeypatch.setattr(benchmark_module("model_frozen"), name, value)
    assert line("frozen")["encoders"]["ts_conv"]["ratio"] > 0


def test_utilisation_needs_a_gpu(benchmark_module, monkeypatch, capsys):
    model = benchmark_module("model")
    monkeypatch.setattr(model, "choose_device", lambda: torch.device("cpu"))
    assert model.main(["flops"]) == 2
    assert "needs a GPU" in capsys.readouterr().err


def test_the_formula_counts_what_torch_counts(benchmark_module):
    model, flops = benchmark_module("model"), benchmark_module("model_flops")
    place = model.Place(torch.device("cpu"), "tiny", 2, 1, 0, False)
    network = model.make_model(place, {})
    step = model.training_step(place, network, model.make_batch(place, network))
    with sdpa_kernel(SDPBackend.MATH):  # whose products torch's counter knows on a CPU
        counted = flops.counted_flops(step)
    static_embedding = 2 * 2 * 16 * 3 * 8**2 * 32  # a convolution: pictures, patches, a patch's values, width
    assert flops.step_flops(network, 2, 2) - static_embedding == pytest.approx(counted, rel=0.01)


def test_the_peak_of_memory_is_known_by_hand(benchmark_module):
    measuring = benchmark_module("measuring")
    weight = torch.nn.Linear(256, 256, bias=False)  # a quarter of a mebibyte
    values = torch.randn(1024, 256)  # one mebibyte, which is there before
    step = measuring.TrainingStep(weight, lambda: weight(values).sum())
    step()
    # Weight and AdamW's two moments; the product, which is gone before there is a gradient.
    assert measuring.peak_mebibytes(step) == pytest.approx(0.75 + 1, abs=0.01)
    assert measuring.peak_mebibytes(step) == measuring.peak_mebibytes(step)
