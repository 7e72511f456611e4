"""What encoding one trial of 63 channels and 250 samples costs on one CPU core, for each encoder. One JSON line.

    python benchmarks/encoders.py [--repeats 500] [--encoder eeg_project --encoder braindecode:EEGNeX ...]

Each encoder has the default settings of its class, random weights and one thread; it gets one trial, already
standardised, in float32. `median_ms` and `p99_ms` are over the repeats, which take turns among the encoders, so that
whatever else the machine does meets all of them. Models of braindecode are measured where they are named.

`model` is a NeuroCLIP with that encoder, saved and loaded again without its image side (`vision=False`): from a trial
to its embedding; `megabytes` is what such a checkpoint takes on disk.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neuroclip_hf.models import ENCODERS, NeuroCLIPModel, build_encoder, encoder_config
from neuroclip_hf.models.encoders.base import BrainEncoder

CHANNELS, SAMPLES, SAMPLING_RATE = 63, 250, 250.0
WARM_UP = 20


SIZES = {"num_channels": CHANNELS, "num_timesteps": SAMPLES, "sampling_rate": SAMPLING_RATE}


def make(name: str) -> BrainEncoder:
    return build_encoder(encoder_config(name, **SIZES)).eval()


def make_model(name: str) -> tuple[NeuroCLIPModel, float]:
    """NeuroCLIP for recordings alone, as it comes from a checkpoint, and the megabytes of such a one."""
    with tempfile.TemporaryDirectory() as folder:
        whole, alone = Path(folder) / "whole", Path(folder) / "alone"
        NeuroCLIPModel.from_vision_pretrained(encoder=name, encoder_settings=SIZES).save_pretrained(whole)
        model = NeuroCLIPModel.from_pretrained(whole, vision=False).eval()
        model.save_pretrained(alone)
        return model, sum(path.stat().st_size for path in alone.iterdir()) / 1e6


@torch.inference_mode()
def measure(encoders: dict[str, Callable[[torch.Tensor], Any]], repeats: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in encoders}
    for turn in range(WARM_UP + repeats):
        trial = torch.randn(1, CHANNELS, SAMPLES)
        for name, encoder in encoders.items():
            start = time.perf_counter()
            encoder(trial)
            if turn >= WARM_UP:
                times[name].append(1e3 * (time.perf_counter() - start))
    return times


def percentiles(times: list[float]) -> dict[str, float]:
    return {
        "median_ms": round(float(np.median(times)), 3),
        "p99_ms": round(float(np.percentile(times, 99)), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=500, help="trials that each encoder is timed on")
    parser.add_argument("--encoder", action="append", help="name of one, repeatable; all but braindecode by default")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    names = arguments.encoder or [name for name in ENCODERS if name != "braindecode"]
    encoders, load = {name: make(name) for name in names}, os.getloadavg()[0]
    models = {name: make_model(name) for name in names}
    whole = {f"{name}, model": model.get_brain_features for name, (model, _) in models.items()}
    times = measure({**encoders, **whole}, arguments.repeats)
    results = {
        name: {
            **percentiles(times[name]),
            "model": {**percentiles(times[f"{name}, model"]), "megabytes": round(models[name][1], 2)},
            "parameters": sum(each.numel() for each in encoder.parameters()),
            "hidden_size": encoder.config.hidden_size,
        }
        for name, encoder in encoders.items()
    }
    print(
        json.dumps(
            {
                "benchmark": "encoders",
                "trial": [CHANNELS, SAMPLES],
                "encoders": results,
                "repeats": arguments.repeats,
                "load_before": round(load, 1),
                "threads": torch.get_num_threads(),
                "machine": platform.processor() or platform.machine(),
                "torch": torch.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
