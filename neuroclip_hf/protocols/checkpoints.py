"""What a run leaves in a folder, written and read back with every key looked at."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json, write_json, write_text
from neuroclip_hf.models.neuroclip.modeling_neuroclip import NeuroCLIPModel
from neuroclip_hf.processing.processing_brain import NeuroCLIPProcessor
from neuroclip_hf.training.settings import Recipe
from neuroclip_hf.training.trainer import TrainingResult

RUN_FILE = "run.json"
CONTROL = "control"
FACTS = ("recipe", "seed", "store", "data", "protocol", "subjects", "selection", "best_epoch", "epochs")


@dataclass(frozen=True)
class TrainedModel:
    """A model fresh from training, with all that a run folder keeps of it."""

    model: NeuroCLIPModel
    processor: NeuroCLIPProcessor
    result: TrainingResult
    facts: dict[str, Any]


@contextmanager
def without_weight_bars() -> Iterator[None]:
    """Switch transformers' bars for reading and writing weights off inside; those of downloads stay."""
    shown = transformers_logging.is_progress_bar_enabled()
    downloads_hidden = are_progress_bars_disabled()
    transformers_logging.disable_progress_bar()
    if not downloads_hidden:
        enable_progress_bars()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
        if downloads_hidden:
            disable_progress_bars()


def save_run(trained: TrainedModel, recipe: Recipe, folder: Path) -> None:
    """Write a checkpoint and how it came about into a folder."""
    with without_weight_bars():
        trained.model.save_pretrained(folder)
    trained.processor.save_pretrained(folder)
    recipe.save(folder / "recipe.yaml")
    write_json(folder / RUN_FILE, trained.facts)
    write_text(folder / "training.jsonl", "".join(json.dumps(entry) + "\n" for entry in trained.result.history))


def load_run(folder: str | Path) -> tuple[NeuroCLIPModel, NeuroCLIPProcessor]:
    """Load the model and processor of a run's folder.

    Raises:
        InputError: if the folder is no checkpoint, a file of it is damaged, or its parts do not fit each other.
    """
    folder = Path(folder)
    for name in ("config.json", "processor_config.json"):
        if not isinstance(read_json(_present(folder, name)), dict):
            raise InputError(f"{folder / name} holds no settings: train again, or copy the whole run.")
    _present(folder, "model.safetensors")
    model_type = read_json(folder / "config.json").get("model_type")
    if model_type != NeuroCLIPModel.config_class.model_type:
        raise InputError(f"{folder / 'config.json'} describes a model of type {model_type!r}, not of neuroclip.")
    try:
        with without_weight_bars():
            model, report = NeuroCLIPModel.from_pretrained(
                folder, output_loading_info=True, ignore_mismatched_sizes=True
            )
        processor = NeuroCLIPProcessor.from_pretrained(folder)
    except InputError as error:
        raise InputError(f"{folder} cannot be loaded: {error}") from None
    except _DAMAGED as error:
        raise InputError(f"{folder} cannot be loaded ({error}): train again, or copy the whole run.") from None
    wrong = sorted(
        f"{key if isinstance(key, str) else key[0]} ({kind.removesuffix('_keys')})"
        for kind in _KEYS
        for key in report[kind]
    )
    if wrong:
        raise InputError(f"{folder / 'model.safetensors'} does not fit config.json: {', '.join(wrong[:5])}.")
    _check_sizes(model, processor, folder)
    return model.eval(), processor


# What transformers and safetensors raise for files that were cut off or edited.
_DAMAGED = (
    OSError,
    SafetensorError,
    StrictDataclassError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
)
_KEYS = ("missing_keys", "unexpected_keys", "mismatched_keys")


def read_facts(folder: str | Path) -> dict[str, Any]:
    """What run.json says of the training; empty for a checkpoint that came without one.

    Raises:
        InputError: if run.json is damaged.
    """
    path = Path(folder) / RUN_FILE
    if not path.exists():
        return {}
    facts = read_json(path)
    missing = [name for name in FACTS if not isinstance(facts, dict) or name not in facts]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}: restore it, or remove it to use the bare checkpoint.")
    if not isinstance(facts["seed"], int):
        raise InputError(f"{path}: seed is {facts['seed']!r}: it must be a whole number.")
    return facts


def _present(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise InputError(f"{folder} holds no {name}: name the folder that `neuroclip train` wrote.")
    return folder / name


def _check_sizes(model: NeuroCLIPModel, processor: NeuroCLIPProcessor, folder: Path) -> None:
    encoder, trials = model.config.encoder_config, processor.feature_extractor
    wanted = (encoder.num_channels, encoder.num_timesteps)
    given = (len(trials.channel_names), trials.num_timesteps)
    if wanted != given or len(trials.mean) != given[0]:
        raise InputError(
            f"{folder / 'processor_config.json'} is of {given[0]} channels and {given[1]} samples, config.json of "
            f"{wanted[0]} and {wanted[1]}: copy the whole run."
        )
