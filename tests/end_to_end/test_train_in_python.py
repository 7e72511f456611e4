"""The example that trains from Python: both ways end in a checkpoint that loads and knows its recordings."""

import importlib.util
import json

import numpy as np
import pytest

from neuroclip_hf.checkpoints import load_run
from neuroclip_hf.protocols.evaluating import evaluate_run


@pytest.fixture(scope="module")
def example(project):
    spec = importlib.util.spec_from_file_location("train_in_python", project / "examples" / "train_in_python.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_trainer_and_own_loop(example, store_folder, store, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(example, "BATCH", 8)
    assert example.main(["--data", str(store_folder), "--out", str(tmp_path), "--epochs", "4"]) == 0
    scores = json.loads(capsys.readouterr().out.splitlines()[-1])
    for way in ("trainer", "loop"):
        assert scores[way]["top5"] >= scores[way]["top1"] >= 0
        model, processor = load_run(tmp_path / way)
        brain = model.get_brain_features(
            processor(store.read(np.arange(2)), channel_names=store.info.channels)["eeg_values"]
        )
        assert brain.shape == (2, 512)
        assert evaluate_run(tmp_path / way, store).data == "simulated"
    assert scores["trainer"]["chance_top5"] > 0
