"""Reading back what a run left in a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json
from neuroclip_hf.models.neuroclip.modeling_neuroclip import NeuroCLIPModel
from neuroclip_hf.processing.processing_brain import NeuroCLIPProcessor

RUN_FILE = "run.json"
CONTROL = "control"
FACTS = ("recipe", "seed", "store", "data", "protocol", "subjects", "selection", "best_epoch", "epochs")


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
            model = NeuroCLIPModel.from_pretrained(folder, ignore_mismatched_sizes=True)  # so that it names them
        processor = NeuroCLIPProcessor.from_pretrained(folder)
    except InputError as error:
        raise InputError(f"{folder} cannot be loaded: {error}") from None
    except _DAMAGED as error:
        raise InputError(f"{folder} cannot be loaded ({error}): train again, or copy the whole run.") from None
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
