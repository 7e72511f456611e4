"""What a prompted forward and backward pass of the small CLIP costs a picture: one JSON line.

    python benchmarks/small_clip.py --threads 2

`ratio` is the time over that of the same tower without prompts and without gradient, in the same run.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from measuring import describe_device
from printing import print_line

from neuroclip_hf import NeuroCLIPModel

PICTURES, REPEATS = 256, 15


def milliseconds(step: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) / PICTURES * 1e3)
    return statistics.median(times[2:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of torch")
    torch.set_num_threads(parser.parse_args().threads)
    torch.manual_seed(0)
    model = NeuroCLIPModel.from_vision_pretrained(
        encoder_settings={"num_channels": 17, "num_timesteps": 250},
        prompt={"num_prompt_tokens": 8, "instance_prompts": False},
    ).train()
    pixels, wanted = torch.randn(PICTURES, 3, 32, 32), torch.randn(PICTURES, model.config.projection_dim)

    def prompted() -> None:
        (model.get_image_features(pixels) * wanted).sum().backward()
        model.zero_grad()

    place = describe_device(torch.device("cpu"))
    step, frozen = milliseconds(prompted), milliseconds(lambda: model.get_frozen_image_features(pixels))
    facts = {
        "prompted_forward_backward_ms_per_picture": round(step, 3),
        "frozen_forward_ms_per_picture": round(frozen, 3),
        "ratio": round(step / frozen, 2),
        "bound_ms": 2.0,
        "holds": step <= 2.0,
    }
    print_line("small_clip", place, facts)


if __name__ == "__main__":
    main()
