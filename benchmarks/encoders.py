"""What encoding one trial of 63 channels and 250 samples costs on one CPU core, for each encoder. One JSON line.

    python benchmarks/encoders.py [--repeats 500] [--encoder eeg_project --encoder braindecode:EEGNeX ...]

Each encoder has the default settings of its class, random weights and one thread; it gets one trial, already
standardised, in float32. `median_ms` and `p99_ms` are over the repeats, which take turns among the encoders, so that
whatever else the machine does meets all of them. Models of braindecode are measured where they are named.
"""

import argparse
import json
import os
import platform
import time

import numpy as np
import torch

from neuroclip_hf.models import ENCODERS, build_encoder, encoder_config
from neuroclip_hf.models.encoders.base import BrainEncoder

CHANNELS, SAMPLES, SAMPLING_RATE = 63, 250, 250.0
WARM_UP = 20


def make(name: str) -> BrainEncoder:
    sizes = {"num_channels": CHANNELS, "num_timesteps": SAMPLES, "sampling_rate": SAMPLING_RATE}
    return build_encoder(encoder_config(name, **sizes)).eval()


@torch.inference_mode()
def measure(encoders: dict[str, BrainEncoder], repeats: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in encoders}
    for turn in range(WARM_UP + repeats):
        trial = torch.randn(1, CHANNELS, SAMPLES)
        for name, encoder in encoders.items():
            start = time.perf_counter()
            encoder(trial)
            if turn >= WARM_UP:
                times[name].append(1e3 * (time.perf_counter() - start))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=500, help="trials that each encoder is timed on")
    parser.add_argument("--encoder", action="append", help="name of one, repeatable; all but braindecode by default")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    names = arguments.encoder or [name for name in ENCODERS if name != "braindecode"]
    encoders, load = {name: make(name) for name in names}, os.getloadavg()[0]
    times = measure(encoders, arguments.repeats)
    results = {
        name: {
            "median_ms": round(float(np.median(times[name])), 3),
            "p99_ms": round(float(np.percentile(times[name], 99)), 3),
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
