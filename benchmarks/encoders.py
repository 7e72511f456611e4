"""What encoding one trial of 250 samples costs on one CPU core, for each encoder. One JSON line.

    python benchmarks/encoders.py [--channels 63] [--repeats 500] [--encoder eeg_project ...]

Each encoder has the default settings of its class, random weights and one thread; it gets one trial, already
standardised, in float32. `median_ms` and `p99_ms` are over the repeats, which take turns among the encoders, so that
whatever else the machine does meets all of them. Models of braindecode are measured where they are named.

`model` is a NeuroCLIP with that encoder, saved and loaded again without its image side (`vision=False`): from a trial
to its embedding, in float32 and in bfloat16; `megabytes` is what the loaded weights take in memory.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from measuring import describe_device, print_line

from neuroclip_hf.models import ENCODERS, NeuroCLIPModel, build_encoder, encoder_config
from neuroclip_hf.models.encoders.base import BrainEncoder

SAMPLES, SAMPLING_RATE = 250, 250.0
WARM_UP = 20
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def sizes(channels: int) -> dict[str, Any]:
    return {"num_channels": channels, "num_timesteps": SAMPLES, "sampling_rate": SAMPLING_RATE}


def make(name: str, channels: int) -> BrainEncoder:
    return build_encoder(encoder_config(name, **sizes(channels))).eval()


def make_models(name: str, channels: int) -> dict[str, NeuroCLIPModel]:
    """NeuroCLIP for recordings alone, as it comes from a checkpoint, in each precision."""
    with tempfile.TemporaryDirectory() as folder:
        NeuroCLIPModel.from_vision_pretrained(encoder=name, encoder_settings=sizes(channels)).save_pretrained(folder)
        return {
            precision: NeuroCLIPModel.from_pretrained(folder, vision=False, dtype=dtype).eval()
            for precision, dtype in PRECISIONS.items()
        }


def megabytes(model: NeuroCLIPModel) -> float:
    return round(sum(each.nbytes for each in model.state_dict().values()) / 1e6, 2)


@torch.inference_mode()
def measure(encoders: dict[str, Callable[[torch.Tensor], Any]], channels: int, repeats: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in encoders}
    for turn in range(WARM_UP + repeats):
        trial = torch.randn(1, channels, SAMPLES)
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


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=63, help="channels of a trial")
    parser.add_argument("--repeats", type=int, default=500, help="trials that each encoder is timed on")
    parser.add_argument(
        "--encoder", action="append", help="name of one, repeatable; by default all of trials but braindecode"
    )
    arguments = parser.parse_args(words)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    trials = [name for name, (_, encoder) in ENCODERS.items() if encoder.main_input_name == "eeg_values"]
    names = arguments.encoder or [name for name in trials if name != "braindecode"]
    channels, place = arguments.channels, describe_device(torch.device("cpu"))
    encoders = {name: make(name, channels) for name in names}
    models = {(name, kind): model for name in names for kind, model in make_models(name, channels).items()}
    whole = {f"{name}, {kind}": model.get_brain_features for (name, kind), model in models.items()}
    times = measure({**encoders, **whole}, channels, arguments.repeats)
    results = {
        name: {
            **percentiles(times[name]),
            "model": {
                kind: {**percentiles(times[f"{name}, {kind}"]), "megabytes": megabytes(models[name, kind])}
                for kind in PRECISIONS
            },
            "parameters": sum(each.numel() for each in encoder.parameters()),
            "hidden_size": encoder.config.hidden_size,
        }
        for name, encoder in encoders.items()
    }
    print_line("encoders", place, {"trial": [channels, SAMPLES], "encoders": results, "repeats": arguments.repeats})


if __name__ == "__main__":
    main()
