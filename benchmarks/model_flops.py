"""`model.py flops`: how much of a device's matrix rate a training step uses (model FLOP utilisation).

A multiply-add counts as two. With P patches, T = 1 + prompts + P tokens, width D, inner width M and N layers, a
picture's way through the tower takes

    patch embedding     2 * P * 3 * patch^2 * D
    weights of a layer  2 * T * (4 * D^2 + 2 * D * M)     queries, keys, values, output; two maps of the MLP
    attention           2 * 2 * T^2 * D                   scores, and their sum of values

The tower is frozen, so a training step goes through its weights twice (forward, and back to the activations; no weight
has a gradient), and through attention three times (its backward pass has four products where the forward one has two).
Of the patch embedding there are three: both streams forward, and back to the pixels of the filtered one. Fusion of
width F takes

    maps                2 * P * D * F, four of them: forward, gradients of weights, and of inputs for all but the
                        queries, whose input nothing trained has shaped
    attention           2 * 2 * P^2 * F, three times

The encoder and both projections are maps of trained weights: 3 * 2 * their size a recording or picture, and twice
instead of three times for the encoder's first, whose input has no gradient. Their biases, the filter layer, norms,
activations, softmax, loss and optimiser are not counted, nor is anything that is computed twice. `counted_gflop` is
what torch's own counter saw of matrix products and attention in one step, as a check.

The rate is that of one large matrix product in the same run and precision (bfloat16 on a GPU, float32 on a CPU). On a
GPU both ViT-L/14 and ViT-H/14 are measured, eager and compiled; on a CPU one tower, as `--compile` says.
"""

import statistics
from contextlib import nullcontext
from dataclasses import replace
from itertools import product
from typing import Any

import torch
from measuring import milliseconds
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

SHAPES = ("vit-l-14", "vit-h-14")
MATRIX = {"cuda": 8192, "cpu": 1024}  # rows of the product
AIM = 0.5  # on a GPU


def step_flops(model: Any, pictures: int, recordings: int) -> dict[str, float]:
    """Floating-point operations of one training step, part by part as this module's docstring spells them out."""
    vision, prompt = model.config.vision_config, model.config.prompt_config
    width, inner, layers = vision.hidden_size, vision.intermediate_size, vision.num_hidden_layers
    patches = (vision.image_size // vision.patch_size) ** 2
    tokens = 1 + prompt["num_prompt_tokens"] + patches
    embedding = 2 * patches * 3 * vision.patch_size**2 * width
    weights = 2 * tokens * (4 * width**2 + 2 * width * inner)
    attention = 2 * 2 * tokens**2 * width
    fusion = prompt["fusion_width"]
    maps = 2 * patches * width * fusion
    fused = (2 + 3 * 3) * maps + 3 * 2 * 2 * patches**2 * fusion
    first, *others = [each.numel() for each in model.encoder.parameters() if each.ndim > 1]
    recording = 2 * (2 * first + 3 * sum(others) + 3 * model.brain_projection.weight.numel())
    projection = 3 * 2 * sum(each.numel() for each in model.image_projection.parameters() if each.ndim > 1)
    return {
        "patch_embedding": float(pictures * 3 * embedding),
        "weights_of_layers": float(pictures * layers * 2 * weights),
        "attention_of_layers": float(pictures * layers * 3 * attention),
        "fusion": float(pictures * fused),
        "encoder_and_projections": float(recordings * recording + pictures * projection),
    }


def counted_flops(step: Any) -> float:
    """Matrix products and attention of one step; the static patch embedding, a convolution, is not among them."""
    # The counter does not know a CPU's own attention, but the products that it stands for.
    known = sdpa_kernel(SDPBackend.MATH) if step.device.type == "cpu" else nullcontext()
    with known, FlopCounterMode(display=False) as counter:
        step()
    # Of the backward pass of a convolution in groups, the filter's, torch 2.13 counts the square.
    counts = counter.get_flop_counts()["Global"].items()
    return float(sum(count for name, count in counts if "convolution" not in str(name)))


def matrix_rate(place: Any) -> float:
    """FLOPs a second of a large product in the step's precision on this device, in this run."""
    rows = MATRIX[place.device.type]
    left, right = torch.randn(2, rows, rows, device=place.device, dtype=place.precision or torch.float32)
    times = milliseconds({"product": lambda: left @ right}, place.device, repeats=30, warm_up=10)["product"]
    return 2 * rows**3 / (1e-3 * statistics.median(times))


def measure_step(place: Any, channels_last: bool, rate: float) -> dict[str, Any]:
    from model import make_batch, make_model, training_step  # here, since it imports this module

    model = make_model(place, {})
    batch = make_batch(place, model)
    if channels_last:
        batch["pixel_values"] = batch["pixel_values"].contiguous(memory_format=torch.channels_last)
    step = training_step(place, model, batch)
    parts = step_flops(model, place.pictures, place.pictures)
    counted = None if place.compiled else counted_flops(step)
    ms = statistics.median(place.times({"step": step})["step"])
    flops = sum(parts.values())
    return {
        "ms": round(ms, 2),
        "gflop": round(flops / 1e9, 3),
        "gflop_of_parts": {name: round(value / 1e9, 3) for name, value in parts.items()},
        "counted_gflop": None if counted is None else round(counted / 1e9, 3),
        "tflops": round(flops / (1e-3 * ms) / 1e12, 3),
        "utilisation": round(flops / (1e-3 * ms) / rate, 3),
    }


def measure(place: Any) -> dict[str, Any]:
    """Aim, on a GPU: half of the card's own matrix rate; pictures channels-last and not."""
    gpu = place.device.type == "cuda"
    towers = SHAPES if gpu and place.tower in SHAPES else (place.tower,)
    rate, found = matrix_rate(place), {}
    for tower, compiled, channels_last in product(towers, (False, True) if gpu else (place.compiled,), (False, True)):
        name = f"{tower}{'_compiled' if compiled else ''}{'_channels_last' if channels_last else ''}"
        found[name] = measure_step(replace(place, tower=tower, compiled=compiled), channels_last, rate)
        if gpu:
            torch.cuda.empty_cache()
    best = {
        tower: max(one["utilisation"] for name, one in found.items() if name.startswith(tower)) for tower in towers
    }
    facts = {"matrix_rows": MATRIX[place.device.type], "matrix_tflops": round(rate / 1e12, 3), "steps": found}
    verdict = {"aim": AIM, "holds": min(best.values()) >= AIM} if gpu else {}
    return {"tower": " and ".join(towers), **facts, "best": best, **verdict}
