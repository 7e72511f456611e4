"""Trains the small CLIP that ships with the package: `python -m neuroclip_hf.assets.train_small_clip --out FOLDER`.

It learns drawn pictures and captions of concepts that no simulated recording shows, and is judged by naming pictures
of concepts that it never saw. The folder holds what `CLIPModel.from_pretrained` and `CLIPProcessor.from_pretrained`
take, a card, and `training_log.jsonl`.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image
from torch.nn import functional
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer

from neuroclip_hf.assets.small_clip_card import card_of
from neuroclip_hf.assets.small_tokenizer import MAX_TOKENS, make_tokenizer
from neuroclip_hf.assets.tower_pictures import CaptionedPictures, draw_pictures, prompts_of, reword
from neuroclip_hf.data.simulation.concepts import list_concepts, list_tower_concepts
from neuroclip_hf.files import new_folder, write_json, write_text
from neuroclip_hf.logging import get_logger, progress, set_verbosity

LOG_FILE = "training_log.jsonl"
FACTS_FILE = "facts.json"


@dataclass(frozen=True)
class SmallCLIPSettings:
    """Size and training of the small CLIP. All of it ours.

    Args:
        image_size, patch_size, width, vision_layers, text_layers, heads (`int`): of the towers.
        pictures_per_concept (`int`): drawn of each training concept.
        concepts (`int` or None): how many of the concepts set apart for it are learnt; None takes all.
        epochs, batch_size (`int`), learning_rate, weight_decay, warmup (`float`): of AdamW with a cosine.
        unseen_concepts, unseen_pictures (`int`): concepts never learnt among which pictures are named at the end, and
            pictures of each.
        seed (`int`): of everything.
    """

    image_size: int = 32
    patch_size: int = 8
    width: int = 128
    vision_layers: int = 4
    text_layers: int = 3
    heads: int = 4
    pictures_per_concept: int = 10
    concepts: int | None = None
    epochs: int = 7
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    warmup: float = 0.05
    unseen_concepts: int = 500
    unseen_pictures: int = 4
    seed: int = 0


def train_small_clip(
    out: Path, settings: SmallCLIPSettings, *, overwrite: bool = False, processes: int = 2
) -> dict[str, Any]:
    """Draw, train, judge and save; returns the facts that the card tells.

    Raises:
        InputError: if `out` exists.
    """
    started = time.perf_counter()
    say = get_logger().info
    with new_folder(out, overwrite, FACTS_FILE) as folder:
        torch.manual_seed(settings.seed)
        say("drawing pictures")
        learnt = list_tower_concepts()[: settings.concepts]
        pictures = draw_pictures(learnt, settings.pictures_per_concept, settings.image_size, settings.seed, processes)
        tokenizer = make_tokenizer([*pictures.captions, *prompts_of(pictures.phrases[0])])
        processor = CLIPProcessor(_image_processor(settings.image_size), tokenizer)
        model = CLIPModel(_config(settings, tokenizer))
        log = _train(model, processor, pictures, settings)
        minutes = (time.perf_counter() - started) / 60
        model.half().save_pretrained(folder)
        processor.save_pretrained(folder)
        say("naming pictures of concepts that it never saw")
        facts = {
            "settings": asdict(settings),
            "pictures": len(pictures.captions),
            "training_concepts": len(learnt),
            "parameters": sum(weights.numel() for weights in model.parameters()),
            "vocabulary": len(tokenizer),
            "tokens": MAX_TOKENS,
            "threads": torch.get_num_threads(),
            "training_minutes": round(minutes, 1),
            "zero_shot": zero_shot(folder, settings),
        }
        write_text(folder / LOG_FILE, "".join(json.dumps(line) + "\n" for line in log))
        write_json(folder / FACTS_FILE, facts)
        write_text(folder / "README.md", card_of(facts))
    return facts


def zero_shot(folder: Path, settings: SmallCLIPSettings) -> dict[str, Any]:
    """How often a saved model names a picture of a concept that it never saw, among all such concepts.

    Pictures are compared with the mean text embedding of each concept's prompts.

    Returns:
        `accuracy` with a 95 % interval that draws concepts (their pictures hang together) 10,000 times, `chance`, and
        how many concepts and pictures there were.
    """
    model, processor = (
        CLIPModel.from_pretrained(folder, dtype=torch.float32).eval(),
        CLIPProcessor.from_pretrained(folder),
    )
    unseen = list_concepts(settings.unseen_concepts, settings.seed)
    pictures = draw_pictures(unseen, settings.unseen_pictures, settings.image_size, settings.seed)
    with torch.inference_mode():
        named = torch.stack([_text_embedding(model, processor, concept.phrase) for concept in unseen])
        seen = torch.cat([_picture_embeddings(model, processor, rows) for rows in np.array_split(pictures.pixels, 8)])
    found = (seen @ named.T).argmax(dim=1).numpy().reshape(len(unseen), -1)
    right = (found == np.arange(len(unseen))[:, None]).mean(axis=1)
    draws = np.random.default_rng(settings.seed).integers(0, len(unseen), (10_000, len(unseen)))
    low, high = np.quantile(right[draws].mean(axis=1), (0.025, 0.975))
    return {
        "accuracy": round(float(right.mean()), 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
        "chance": 1 / len(unseen),
        "concepts": len(unseen),
        "pictures": right.size * settings.unseen_pictures,
    }


def _text_embedding(model: CLIPModel, processor: CLIPProcessor, phrase: str) -> torch.Tensor:
    words = processor(text=prompts_of(phrase), return_tensors="pt", padding=True, truncation=True)
    return functional.normalize(functional.normalize(model.get_text_features(**words).pooler_output).mean(0), dim=0)


def _picture_embeddings(model: CLIPModel, processor: CLIPProcessor, pixels: np.ndarray) -> torch.Tensor:
    values = processor.image_processor(list(pixels), return_tensors="pt")
    return functional.normalize(model.get_image_features(**values).pooler_output)


def _train(
    model: CLIPModel, processor: CLIPProcessor, pictures: CaptionedPictures, settings: SmallCLIPSettings
) -> list[dict[str, float]]:
    steps = settings.epochs * (len(pictures.captions) // settings.batch_size)
    decayed = [weights for weights in model.parameters() if weights.ndim > 1]
    others = [weights for weights in model.parameters() if weights.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=steps, pct_start=settings.warmup, cycle_momentum=False
    )
    log, started = [], time.perf_counter()
    bar = progress(total=steps, desc="training")
    for epoch in range(settings.epochs):
        losses = []
        for batch in _batches(processor, pictures, settings, epoch):
            loss = model(**batch, return_loss=True).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                model.logit_scale.clamp_(0, np.log(100))
            losses.append(loss.item())
            bar.update()
        seconds = round(time.perf_counter() - started, 1)
        log.append({"epoch": epoch + 1, "loss": round(float(np.mean(losses)), 4), "seconds": seconds})
        get_logger().info("epoch %d of %d: loss %.3f, %.0f s", epoch + 1, settings.epochs, log[-1]["loss"], seconds)
    bar.close()
    return log


def _batches(
    processor: CLIPProcessor, pictures: CaptionedPictures, settings: SmallCLIPSettings, epoch: int
) -> Iterator[dict[str, torch.Tensor]]:
    random = np.random.default_rng(np.random.SeedSequence([settings.seed, 0xE, epoch]))
    order = random.permutation(len(pictures.captions))
    for start in range(0, len(order) - settings.batch_size + 1, settings.batch_size):
        rows = order[start : start + settings.batch_size]
        words = [reword(pictures.captions[row], pictures.phrases[row], random) for row in rows]
        images = [Image.fromarray(pictures.pixels[row]) for row in rows]
        yield dict(processor(text=words, images=images, return_tensors="pt", padding=True, truncation=True))


def _config(settings: SmallCLIPSettings, tokenizer: CLIPTokenizer) -> CLIPConfig:
    shared = {
        "hidden_size": settings.width,
        "intermediate_size": 4 * settings.width,
        "num_attention_heads": settings.heads,
    }
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "image_size": settings.image_size,
        "patch_size": settings.patch_size,
        "num_hidden_layers": settings.vision_layers,
    }
    text = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": MAX_TOKENS,
        "num_hidden_layers": settings.text_layers,
        **ids,
    }
    return CLIPConfig(
        vision_config={**shared, **vision}, text_config={**shared, **text}, projection_dim=settings.width
    )


def _image_processor(size: int) -> CLIPImageProcessorPil:
    return CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size})


def main(
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    processes: Annotated[int, typer.Option(help="Processes that draw pictures.")] = 2,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing one.")] = False,
) -> None:
    """Train the small CLIP that ships with neuroclip_hf, and print its facts as one JSON line."""
    set_verbosity("info")
    typer.echo(json.dumps(train_small_clip(out, SmallCLIPSettings(), overwrite=overwrite, processes=processes)))


if __name__ == "__main__":
    typer.run(main)
