"""The benchmarks of models run, on a tower of two layers, and count what they say that they count."""

import importlib
import json
import sys

import pytest
import torch


@pytest.fixture
def benchmark_module(project, monkeypatch):
    """Import a file of benchmarks/ as Python does when it is started."""
    monkeypatch.syspath_prepend(str(project / "benchmarks"))
    names = (
        "brainclip",
        "encoders",
        "index",
        "measuring",
        "model",
        "model_flops",
        "model_frozen",
        "printing",
        "data_time",
        "_stores",
    )
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
    frozen = benchmark_module("model_frozen")
    monkeypatch.setattr(frozen, "ENCODERS", {"ts_conv": 3})
    widths, make_model = [], frozen.make_model
    monkeypatch.setattr(frozen, "make_model", lambda *given: widths.append(make_model(*given)) or widths[-1])
    found = line("frozen", "--pictures", "6")
    assert found["encoders"]["ts_conv"]["ratio"] > 0
    assert (found["tower"], found["pictures"], found["batch"]) == ("tiny", 6, 6)
    assert [model.config.vision_config.hidden_size for model in widths] == [32]


def test_encoders_and_what_they_weigh(benchmark_module, monkeypatch, capsys):
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    benchmark_module("encoders").main(["--channels", "17", "--repeats", "1", "--encoder", "eeg_project"])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["encoders"]["eeg_project"]
    # As its docstring says, and the projection of 1024 features to 512, weights and biases; one number is the scale.
    weights = (17 * 250 + 1024 + 4) * 1024 + 1025 * 512
    assert found["parameters"] == weights - 1025 * 512
    assert found["model"]["float32"]["megabytes"] == pytest.approx(4 * weights / 1e6, abs=0.01)
    assert found["model"]["bfloat16"]["megabytes"] == pytest.approx(2 * weights / 1e6, abs=0.01)


def test_training_of_brainclip(benchmark_module, monkeypatch, capsys):
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    module = benchmark_module("brainclip")
    monkeypatch.setattr(module, "choose_device", lambda: torch.device("cpu"))
    sizes = ["--trials", "24", "--voxels", "20", "--width", "12", "--epochs", "1"]
    assert module.main(["training", *sizes, "--recipe", "brainclip-linear", "--recipe", "brainclip"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(found["recipes"]) == {"brainclip-linear", "brainclip"}
    one = found["recipes"]["brainclip-linear"]
    assert one["trained_numbers"] == 21 * 12 + 1  # the map, and the factor of the cosines
    assert one["within_bound"] == (one["seconds"] < found["bound_seconds"])


def test_utilisation(line):
    found = line("flops", "--pictures", "2")
    assert found["device"].startswith("CPU")
    assert found["matrix_tflops"] > 0
    assert set(found["steps"]) == {"tiny", "tiny_channels_last"}
    one = found["steps"]["tiny"]
    assert one["gflop"] == pytest.approx(sum(one["gflop_of_parts"].values()), abs=3e-3)
    assert one["gflop"] == pytest.approx(one["counted_gflop"], abs=3e-3)
    assert found["best"]["tiny"] >= one["utilisation"] > 0


def test_the_formula_counts_what_torch_counts(benchmark_module):
    model, flops = benchmark_module("model"), benchmark_module("model_flops")
    place = model.Place(torch.device("cpu"), "tiny", 2, 1, 0, False)
    network = model.make_model(place, {})
    step = model.training_step(place, network, model.make_batch(place, network))
    counted = flops.counted_flops(step)
    static_embedding = 2 * 2 * 16 * 3 * 8**2 * 32  # a convolution: pictures, patches, a patch's values, width
    assert sum(flops.step_flops(network, 2, 2).values()) - static_embedding == pytest.approx(counted, rel=0.01)


def test_the_peak_of_memory_is_known_by_hand(benchmark_module):
    measuring = benchmark_module("measuring")
    weight = torch.nn.Linear(256, 256, bias=False)  # a quarter of a mebibyte
    values = torch.randn(1024, 256)  # one mebibyte, which is there before
    step = measuring.TrainingStep(weight, lambda: weight(values).sum())
    step()
    # Weight and AdamW's two moments; the product, which is gone before there is a gradient.
    assert measuring.peak_mebibytes(step) == pytest.approx(0.75 + 1, abs=0.01)
    assert measuring.peak_mebibytes(step) == measuring.peak_mebibytes(step)


class ScriptedTime:
    """Stands for the module `time`: only what sleeps takes time."""

    now = 100.0

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_waiting_for_data_is_what_a_device_that_works_on_alone_is_left_without(benchmark_module, monkeypatch):
    module = benchmark_module("data_time")
    time = ScriptedTime()
    monkeypatch.setattr(module, "time", time)
    clock = module.ImitatedClock(20.0)
    clock.begin_epoch()
    for load in (0.02, 0.005, 0.04):  # seconds: before the first step, hidden behind it, longer than the second
        time.sleep(load)
        clock.begin_step()
        clock.end_step()
    assert clock.idle == pytest.approx([20, 0, 20])  # milliseconds
    assert clock.whole == pytest.approx([20, 20, 40])
    assert clock.waiting() == pytest.approx(40 / 80)


def test_a_training_waits_for_its_data(benchmark_module, monkeypatch, capsys):
    module = benchmark_module("data_time")
    monkeypatch.setattr(module, "choose_device", lambda: torch.device("cpu"))
    assert module.main(["--trials", "1200", "--batch", "64", "--imitated-step", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["benchmark"], found["step"]) == ("data_time", "imitated by waiting")
    assert 0 < found["waiting_ms"] <= found["step_ms"]
    assert 0 < found["waiting"] <= 1


def test_search_in_big_galleries(benchmark_module, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    words = ["--folder", str(tmp_path), "--threads", "1", "--batch", "4", "--repeats", "1"]
    module = benchmark_module("index")
    assert module.main([*words, "--entries", "1500", "--structure", "independent"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["entries"], found["recall_at_10"], found["bounds"]) == (1500, 1.0, None)  # few: all are looked at
    assert set(found["ratio"]) == {"single", "batch", "approximate"}
    assert found["peak_gigabytes"] > 0
    drawn = module.Clusters().draw(60, 1)
    assert drawn.norm(dim=1).tolist() == pytest.approx([1.0] * 60)
