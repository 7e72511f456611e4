"""What a training step of NeuroCLIP costs: one JSON line a subcommand, its ratios from one run.

    python benchmarks/model.py step       all parts against plain Visual Prompt Tuning, in time and memory
    python benchmarks/model.py layers     features from layer L of N against the whole tower
    python benchmarks/model.py frozen     no prompts, pictures encoded once, against the brain encoder alone
    python benchmarks/model.py repeated   pictures that stand in a batch several times
    python benchmarks/model.py chunks     pictures a few at a time against all at once
    python benchmarks/model.py flops      how much of the device's matrix rate a step uses

On a GPU wherever one is at hand (bfloat16; ViT-L/14), else on a CPU (float32; ViT-B/32); `--tower` takes another.
`frozen`, in which the tower does not run, has the small one that ships, and batches of 256 trials of 256 pictures.
Towers have random weights, pictures are noise: neither changes what a step costs. A step is forward, backward and
AdamW on a batch that lies ready. Configurations take turns; `ms` are medians and `ratio` the median over the turns.
On a CPU times are the processor's (one thread by default), and memory is that of live tensors, see `measuring.py`.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from measuring import (
    TrainingStep,
    choose_device,
    describe_device,
    milliseconds,
    peak_mebibytes,
    ratio,
)
from printing import print_line

from neuroclip_hf import NeuroCLIPConfig, NeuroCLIPModel
from neuroclip_hf.columns import SMALL_CLIP

SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size", "patch_size")
TOWERS: Mapping[str, dict[str, int]] = {
    name: dict(zip(SIZES, sizes, strict=True))
    for name, sizes in {
        "tiny": (32, 64, 2, 2, 32, 8),
        "vit-b-32": (768, 3072, 12, 12, 224, 32),
        "vit-l-14": (1024, 4096, 24, 16, 224, 14),
        "vit-h-14": (1280, 5120, 32, 16, 224, 14),
    }.items()
}
CHANNELS, SAMPLES = 17, 250
SHARED_PROMPTS_ONLY = {"instance_prompts": False}


@dataclass(frozen=True)
class Place:
    """Where and how a benchmark runs: `pictures` a batch, and the shape of the tower."""

    device: torch.device
    tower: str
    pictures: int
    repeats: int
    warm_up: int
    compiled: bool

    @property
    def tower_sizes(self) -> dict[str, int]:
        """Settings of the tower."""
        return TOWERS[self.tower]

    @property
    def precision(self) -> torch.dtype | None:
        """Of autocast, and of the tower's own weights."""
        return torch.bfloat16 if self.device.type == "cuda" else None

    def times(self, steps: Mapping[str, TrainingStep]) -> dict[str, list[float]]:
        """Milliseconds, see [`milliseconds`]."""
        return milliseconds(steps, self.device, self.repeats, self.warm_up)

    def describe(self) -> dict[str, Any]:
        """What every line ends with."""
        precision = "float32" if self.precision is None else "bfloat16"
        settings = {"precision": precision, "compiled": self.compiled, "repeats": self.repeats}
        return {**settings, **describe_device(self.device)}


def make_model(place: Place, prompt: Mapping[str, Any] | None, **settings: Any) -> NeuroCLIPModel:
    torch.manual_seed(0)
    config = NeuroCLIPConfig(
        encoder_config={"num_channels": CHANNELS, "num_timesteps": SAMPLES},
        vision_config=place.tower_sizes,
        prompt_config=prompt,
        tower_dtype=None if place.precision is None else "bfloat16",
        **settings,
    )
    return NeuroCLIPModel(config).to(place.device).train()


def make_batch(place: Place, model: NeuroCLIPModel, rows: int | None = None) -> dict[str, torch.Tensor]:
    """A batch of `rows` recordings of as many pictures, or of fewer that come round again and again."""
    rows = place.pictures if rows is None else rows
    size, width = place.tower_sizes["image_size"], place.tower_sizes["hidden_size"]
    picture_index = torch.arange(rows) % place.pictures
    batch = {
        "eeg_values": torch.randn(rows, CHANNELS, SAMPLES),
        "pixel_values": torch.randn(place.pictures, 3, size, size),
        "picture_index": picture_index,
        "image_id": picture_index,
        # Computed once for all epochs, as the trainer does.
        "image_features": torch.randn(place.pictures, model.config.num_feature_layers, width),
    }
    return {name: value.to(place.device) for name, value in batch.items()}


def training_step(place: Place, model: NeuroCLIPModel, batch: Mapping[str, torch.Tensor]) -> TrainingStep:
    forward = torch.compile(model) if place.compiled else model
    return TrainingStep(model, lambda: forward(**batch).loss, place.precision)


def model_step(place: Place, prompt: Mapping[str, Any] | None, **settings: Any) -> TrainingStep:
    model = make_model(place, prompt, **settings)
    return training_step(place, model, make_batch(place, model))


def step(place: Place) -> dict[str, Any]:
    """Bounds: 1.25 times the time and 1.15 times the memory of plain VPT, for ViT-L/14 on a GPU."""
    parts = {
        "plain_vpt": SHARED_PROMPTS_ONLY,
        "all_parts": {},
        "all_parts_spectral": {"filter_domain": "spectral"},
        "no_filter": {"dynamic_filter": False},
        "no_cross_attention": {"cross_attention": False},
    }
    steps = {name: model_step(place, prompt) for name, prompt in parts.items()}
    times = place.times(steps)
    memory = {name: peak_mebibytes(one) for name, one in steps.items()}
    ratios = {name: ratio(times, name, "plain_vpt") for name in steps}
    memory_ratios = {name: memory[name] / memory["plain_vpt"] for name in steps}
    bounds = {"time": 1.25, "memory": 1.15}
    return {
        "ms": medians(times),
        "ratio": rounded(ratios),
        "peak_mib": rounded(memory),
        "memory_ratio": rounded(memory_ratios),
        "bounds": bounds,
        "holds": ratios["all_parts"] <= bounds["time"] and memory_ratios["all_parts"] <= bounds["memory"],
    }


def layers(place: Place) -> dict[str, Any]:
    """Bound: L / N + 0.1 of the time with the whole tower; all parts of the method are on."""
    count = place.tower_sizes["num_hidden_layers"]
    read = sorted({max(1, round(count * part)) for part in (0.25, 0.5, 0.75)})
    steps = {"all": model_step(place, {})}
    steps.update({str(layer): model_step(place, {}, vision_feature_layers=[layer]) for layer in read})
    times = place.times(steps)
    ratios = {str(layer): ratio(times, str(layer), "all") for layer in read}
    bounds = {str(layer): layer / count + 0.1 for layer in read}
    return {
        "layers": count,
        "ms": medians(times),
        "ratio": rounded(ratios),
        "bounds": rounded(bounds),
        "holds": all(ratios[name] <= bounds[name] for name in ratios),
    }


def repeated(place: Place) -> dict[str, Any]:
    """A batch of as many rows, in which each picture stands k times: about 1 / k of the time."""
    rows = place.pictures
    steps = {"1": model_step(place, {})}
    for times_shown in (2, 4):
        fewer = replace(place, pictures=max(1, rows // times_shown))
        model = make_model(fewer, {})
        steps[str(times_shown)] = training_step(fewer, model, make_batch(fewer, model, rows))
    times = place.times(steps)
    ratios = {name: ratio(times, name, "1") for name in steps if name != "1"}
    return {"rows": rows, "ms": medians(times), "ratio": rounded(ratios)}


def chunks(place: Place) -> dict[str, Any]:
    """Pictures through the tower a few at a time (gradient caching); loss and gradients stay those of all at once."""
    steps = {"all": model_step(place, {})}
    for parts in (2, 4, 8):
        size = max(1, place.pictures // parts)
        steps[str(size)] = model_step(place, {})
        steps[str(size)].module.picture_chunk_size = size  # type: ignore[assignment]
    times = place.times(steps)
    memory = {name: peak_mebibytes(one) for name, one in steps.items()}
    return {
        "ms": medians(times),
        "ratio": rounded({name: ratio(times, name, "all") for name in steps}),
        "peak_mib": rounded(memory),
        "memory_ratio": rounded({name: memory[name] / memory["all"] for name in steps}),
    }


def frozen(place: Place) -> dict[str, Any]:
    from model_frozen import measure  # here, since it needs a store

    return measure(place)


def flops(place: Place) -> dict[str, Any]:
    from model_flops import measure

    return measure(place)


def medians(times: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: round(float(torch.tensor(values).median()), 2) for name, values in times.items()}


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in values.items()}


SUBCOMMANDS = {one.__name__: one for one in (step, layers, frozen, repeated, chunks, flops)}


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=SUBCOMMANDS)
    parser.add_argument("--tower", choices=TOWERS, help="shape of the tower")
    parser.add_argument("--pictures", type=int, help="pictures a batch (64 on a GPU, 8 on a CPU; frozen: 256)")
    parser.add_argument("--repeats", type=int, help="timed steps of each configuration (20 on a GPU, 7 on a CPU)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
    parser.add_argument("--compile", action="store_true", help="through torch.compile")
    given = parser.parse_args(words)
    torch.set_num_threads(given.threads)
    device = choose_device()
    gpu = device.type == "cuda"
    small = given.what == "frozen"
    place = Place(
        device,
        given.tower or (SMALL_CLIP if small else "vit-l-14" if gpu else "vit-b-32"),
        given.pictures or (256 if small else 64 if gpu else 8),
        given.repeats or (20 if gpu else 7),
        5 if gpu else 2,
        given.compile,
    )
    facts = {"tower": place.tower, "pictures": place.pictures, **SUBCOMMANDS[given.what](place)}
    print_line(f"model_{given.what}", place.describe(), facts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
