"""How long BrainCLIP trains, at the size of Generic Object Decoding. One JSON line.

    python benchmarks/brainclip.py training [--recipe brainclip-mlp ...] [--trials 1200] [--voxels 4500] [--width 768]

`training` runs the training of a recipe, all of its epochs, on made-up patterns and features of pictures and texts
that lie in memory, as they do after the frozen towers have read each picture and text once. `seconds` are those of the
loop, `cpu_seconds` those of all its threads, whatever else the machine does; the bound is ours for two cores. A tower
is there only to say how wide the features are; it is never run.
"""

import argparse
import sys
import time
from typing import Any

import numpy as np
import torch
from measuring import choose_device, describe_device
from printing import print_line
from transformers import CLIPImageProcessorPil

from neuroclip_hf import columns
from neuroclip_hf.data.sampling import Shuffled
from neuroclip_hf.models import BrainCLIPConfig, BrainCLIPModel
from neuroclip_hf.processing.collator import BrainImageCollator
from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor
from neuroclip_hf.processing.processing_brain import BrainImageProcessor
from neuroclip_hf.training.settings import Recipe, load_recipe
from neuroclip_hf.training.trainer import train

RECIPES = ("brainclip", "brainclip-mlp", "brainclip-linear")
BOUND = 120.0
TOWER_WIDTH, PICTURES_A_CONCEPT = 1024, 8  # ViT-L/14; Generic Object Decoding


class Patterns(torch.utils.data.Dataset[dict[str, Any]]):
    """Made-up patterns, each of a picture of its own."""

    def __init__(self, trials: int, voxels: int) -> None:
        self.values = np.random.default_rng(0).standard_normal((trials, voxels), dtype=np.float32)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, item: int) -> dict[str, Any]:
        places = dict.fromkeys((columns.IMAGE_ID, columns.PICTURE_INDEX), item)
        return {columns.FMRI_VALUES: self.values[item], **places, columns.SUBJECT_INDEX: 0}


def make_model(recipe: Recipe, voxels: int, width: int) -> BrainCLIPModel:
    """The recipe's model between towers of one layer, whose features are as wide as those of a real one."""
    settings = recipe.model
    layers = {"num_hidden_layers": 1, "num_attention_heads": 1}
    text = {"hidden_size": 8, "intermediate_size": 8, "vocab_size": 9, "projection_dim": width, **layers}
    encoder = {**settings.encoder_settings, "model_type": settings.encoder, "num_voxels": voxels}
    config = BrainCLIPConfig(
        encoder_config=encoder,
        vision_config={"hidden_size": TOWER_WIDTH, "intermediate_size": 8, **layers},
        text_config={**text, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1},
        prompt_config=None,
        **settings.kind_settings,
    )
    return BrainCLIPModel(config)


def training(name: str, trials: int, voxels: int, width: int, epochs: int | None) -> dict[str, Any]:
    """Train a recipe from its first to its last epoch."""
    changes = {"mixed_precision": "no", "checkpoint_minutes": None, "selection": "last"}
    recipe = load_recipe(name, changes | ({} if epochs is None else {"epochs": epochs}))
    torch.manual_seed(0)
    model = make_model(recipe, voxels, width)
    extractor = BrainFeatureExtractor(channel_names=[f"voxel {place}" for place in range(voxels)], unit="au")
    texts = {
        columns.TEXT_FEATURES: torch.randn(trials, width),
        columns.CONCEPT_INDEX: torch.arange(trials) // PICTURES_A_CONCEPT,
    }
    collator = BrainImageCollator(
        BrainImageProcessor(extractor, CLIPImageProcessorPil()), None, torch.randn(trials, 1, TOWER_WIDTH), texts
    )
    batches = Shuffled(trials, recipe.training.batch_size, recipe.training.seed)
    start = time.process_time()
    result = train(model, Patterns(trials, voxels), collator, recipe.training, batches, None, name)
    return {
        "seconds": round(result.seconds, 1),
        "cpu_seconds": round(time.process_time() - start, 1),
        "epochs": recipe.training.epochs,
        "batch_size": recipe.training.batch_size,
        "trained_numbers": result.trainable_parameters,
        "within_bound": result.seconds < BOUND,
    }


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["training"])
    parser.add_argument("--recipe", action="append", choices=RECIPES, help="repeatable; all of them by default")
    parser.add_argument("--trials", type=int, default=1200)
    parser.add_argument("--voxels", type=int, default=4500)
    parser.add_argument("--width", type=int, default=768, help="of CLIP's space")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args(words)
    torch.set_num_threads(given.threads)
    place = describe_device(choose_device())
    found = {
        name: training(name, given.trials, given.voxels, given.width, given.epochs) for name in given.recipe or RECIPES
    }
    size = {"trials": given.trials, "voxels": given.voxels, "width": given.width}
    print_line("brainclip_training", place, {**size, "bound_seconds": BOUND, "recipes": found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
