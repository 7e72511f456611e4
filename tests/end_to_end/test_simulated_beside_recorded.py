"""The example that draws simulated beside recorded EEG, on recordings that are made up here."""

import importlib.util
import json
import sys

import mne
import numpy as np
import pytest
from PIL import Image

from neuroclip_hf import columns
from neuroclip_hf.data.simulation import SimulationSettings, planted_codes
from neuroclip_hf.data.simulation.eeg import simulate_signal
from neuroclip_hf.data.simulation.randomness import random_of


@pytest.fixture(scope="module")
def example(project):
    name = "simulated_beside_recorded"
    spec = importlib.util.spec_from_file_location(name, project / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclass looks for its module there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """Two runs of a minute that look like the recorder's files, with a response in them."""
    folder = tmp_path_factory.mktemp("n170")
    settings = SimulationSettings(
        channels=("TP9", "AF7", "AF8", "TP10"), sampling_rate=128, test_concepts=4, image_size=32
    )
    codes = planted_codes(settings, columns.TEST)
    for run in (1, 2):
        onsets = np.arange(128, 128 * 58, 90)
        data = np.zeros((4, 128 * 60))
        shown = codes[np.arange(len(onsets)) % 4]
        simulate_signal(settings, 2, onsets, shown, data, random_of(settings.seed, 2, "stand-in", run))
        raw = mne.io.RawArray(data * 1e-6, mne.create_info(list(settings.channels), 128.0, "eeg"), verbose="ERROR")
        names = np.where(np.arange(len(onsets)) % 2, "face", "house")
        raw.set_annotations(mne.Annotations(onsets / 128, 0, names))
        raw.save(folder / f"sub-07_run-0{run}_raw.fif", verbose="ERROR")
    return folder


def run(example, monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["simulated_beside_recorded.py", *map(str, words)])
    code = example.main()
    return code, capsys.readouterr()


def test_the_example_draws_one_figure_and_says_its_numbers(example, stand_ins, tmp_path, monkeypatch, capsys):
    out = tmp_path / "figure.png"
    code, printed = run(example, monkeypatch, capsys, "--data", stand_ins, "--subject", "sub-07", "--out", out)
    assert code == 0, printed.err
    said = json.loads(printed.out.splitlines()[-1])
    assert said["recorded"]["offered"] == said["simulated"]["offered"] == 2 * len(range(128, 128 * 58, 90))
    for found in (said["recorded"], said["simulated"]):
        assert 0 < found["epochs"] <= found["offered"]
        assert found["power"]["4-8"]["TP9"] > found["power"]["30-45"]["TP9"] > 0
    # The stand-ins come from the same simulator: both sides must agree, but for the reference.
    assert 0.4 < said["recorded"]["spread_microvolts"]["TP9"] / said["simulated"]["spread_microvolts"]["TP9"] < 1.6
    with Image.open(out) as picture:
        assert picture.width >= 900
        assert len(picture.getcolors(10**6)) > 50
    assert out.stat().st_size < 200_000


def test_the_numbers_are_those_of_the_epochs(example):
    times = np.arange(-13, 77) / 128
    epochs = np.zeros((10, 4, len(times)))
    epochs[:, 0] = -5 * np.exp(-(((times - 0.17) / 0.02) ** 2))
    found = example.Found(epochs, 128.0, np.arange(1.0, 50), np.ones((4, 49)), 12)
    said = example.numbers(found)
    assert said["lowest_microvolts"]["TP9"] == pytest.approx(-5, abs=0.3)
    assert said["lowest_at"]["TP9"] == pytest.approx(0.17, abs=0.01)
    assert (said["epochs"], said["offered"], said["power"]["8-12"]["AF7"]) == (10, 12, 1.0)


@pytest.mark.parametrize("words", [["--subject", "sub-99"], ["--data", "nowhere"]])
def test_missing_recordings_are_named(example, stand_ins, tmp_path, monkeypatch, capsys, words):
    code, printed = run(example, monkeypatch, capsys, "--data", stand_ins, "--out", tmp_path / "figure.png", *words)
    assert code == 2
    assert printed.err.startswith("Error: ")
    assert words[1] in printed.err
    assert not list(tmp_path.iterdir())


def test_recorded_eeg_is_of_the_same_order(example, real_data, tmp_path, monkeypatch, capsys):
    folder = real_data / "recordings" / "n170"
    if not folder.is_dir():
        pytest.skip(f"no n170 recordings at {folder}")
    code, printed = run(example, monkeypatch, capsys, "--data", folder, "--out", tmp_path / "figure.png")
    assert code == 0, printed.err
    said = json.loads(printed.out)
    for channel in ("TP9", "TP10"):
        recorded, simulated = (said[name] for name in ("recorded", "simulated"))
        for found in ("spread_microvolts", "highest_microvolts"):
            assert 0.5 < simulated[found][channel] / recorded[found][channel] < 2
        for band in ("4-8", "8-12", "13-30", "30-45"):
            assert 0.4 < simulated["power"][band][channel] / recorded["power"][band][channel] < 2.5
