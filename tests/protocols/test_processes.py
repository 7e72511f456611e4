"""Training on several processes: one of them writes, all of them end, and the weights are those of one process."""

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file


@pytest.mark.slow
def test_two_processes_write_one_run(store_folder, tiny_words, tmp_path):
    words = ["train", "demo", *tiny_words, "--data", str(store_folder), "encoder_settings.dropout=0", "batch_size=32"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    weights = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        launcher = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={processes}", "--standalone"]
        command = [*launcher, "-m", "neuroclip_hf.cli.main", *words, "--out", str(out), "--json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        weights.append(load_file(out / "model.safetensors"))
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-3, atol=1e-4, msg=name)
