"""`model.py flops`: how much of a GPU's matrix rate a training step uses (model FLOP utilisation).

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
"""

from typing import Any

import torch
from measuring import milliseconds
from torch.utils.flop_counter import FlopCounterMode

SHAPES = ("vit-l-14", "vit-h-14")
MATRIX = 8192
AIM = 0.5


def step_flops(model: Any, pictures: int, recordings: int) -> float:
    """Floating-point operations of one training step, as this module's docstring spells them out."""
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
    picture = 3 * embedding + layers * (2 * weights + 3 * attention) + fused
    first, *others = [each.numel() for each in model.encoder.parameters() if each.ndim > 1]
    recording = 2 * (2 * first + 3 * sum(others) + 3 * model.brain_projection.weight.numel())
    picture += 3 * 2 * sum(each.numel() for each in model.image_projection.parameters() if each.ndim > 1)
    return float(pictures * picture + recordings * recording)


def counted_flops(step: Any) -> float:
    """Matrix products and attention of one step; the static patch embedding, a convolution, is not among them."""
    with FlopCounterMode(display=False) as counter:
        step()
    # Of the backward pass of a convolution in groups, the filter's, torch 2.13 counts the square.
    counts = counter.get_flop_counts()["Global"].items()
    return float(sum(count for name, count in counts if "convolution" not in str(name)))


def matrix_rate(place: Any) -> float:
    """FLOPs a second of a large product in bfloat16 on this card, in this run."""
    left = torch.randn(MATRIX, MATRIX, device=place.device, dtype=torch.bfloat16)
    right = torch.randn(MATRIX, MATRIX, device=place.device, dtype=torch.bfloat16)
    times = milliseconds({"product": lambda: left @ right}, place.device, repeats=30, warm_up=10)["product"]
    return 2 * MATRIX**3 / (1e-3 * float(torch.tensor(times).median()))


def measure(place: Any) -> dict[str, Any]:
    """Aim: half of the card's own matrix rate; eager and compiled, pictures channels-last and not."""
    from dataclasses import replace

    from model import make_batch, make_model, training_step

    rate, found = matrix_rate(place), {}
    for tower in SHAPES:
        for compiled in (False, True):
            for channels_last in (False, True):
                here = replace(place, tower=tower, compiled=compiled)
                model = make_model(here, {})
                batch = make_batch(here, model)
                if channels_last:
                    batch["pixel_values"] = batch["pixel_values"].contiguous(memory_format=torch.channels_last)
                step = training_step(here, model, batch)
                flops = step_flops(model, here.pictures, here.pictures)
                counted = None if compiled else counted_flops(step)
                ms = float(torch.tensor(here.times({"step": step})["step"]).median())
                name = f"{tower}{'_compiled' if compiled else ''}{'_channels_last' if channels_last else ''}"
                found[name] = {
                    "ms": round(ms, 2),
                    "gflop": round(flops / 1e9, 1),
                    "counted_gflop": None if counted is None else round(counted / 1e9, 1),
                    "utilisation": round(flops / (1e-3 * ms) / rate, 3),
                }
                del step, model, batch
                torch.cuda.empty_cache()
    best = {
        tower: max(one["utilisation"] for name, one in found.items() if name.startswith(tower)) for tower in SHAPES
    }
    facts = {"matrix_tflops": round(rate / 1e12, 1), "steps": found, "best": best}
    return {"tower": " and ".join(SHAPES), **facts, "aim": AIM, "holds": min(best.values()) >= AIM}
