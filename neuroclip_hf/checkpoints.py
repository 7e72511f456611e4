"""Reading back what a run left in a folder."""

from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub.errors import StrictDataclassError
from numpy.typing import NDArray
from safetensors import SafetensorError

from neuroclip_hf import columns
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json
from neuroclip_hf.kinds import KINDS
from neuroclip_hf.models.brain_image.modeling_brain_image import BrainImageModel
from neuroclip_hf.models.loading import without_weight_bars
from neuroclip_hf.processing.processing_brain import BrainImageProcessor
from neuroclip_hf.run_files import CONFIG_FILE, PROCESSOR_FILE, RUN_FILE, TRAINED_ON_FILE

TRAINING_CONCEPT, VALIDATION_CONCEPT = (f"{part}_{columns.CONCEPT}" for part in ("training", "validation"))
FACTS = (
    "recipe",
    "seed",
    "store",
    "data",
    "protocol",
    "split",
    "subjects",
    "held_out_subject",
    "selection",
    "best_epoch",
    "epochs",
)


def load_run(folder: str | Path) -> tuple[BrainImageModel, BrainImageProcessor]:
    """Load the model and processor of a run's folder.

    Raises:
        InputError: if the folder is no checkpoint, a file of it is damaged, or its parts do not fit each other.
    """
    folder = Path(folder)
    for name in (CONFIG_FILE, PROCESSOR_FILE):
        if not isinstance(read_json(present(folder, name)), dict):
            raise InputError(f"{folder / name} holds no settings: train again, or copy the whole run.")
    present(folder, "model.safetensors")
    model_type = read_json(folder / CONFIG_FILE).get("model_type")
    if model_type not in KINDS:
        known = ", ".join(KINDS)
        raise InputError(f"{folder / 'config.json'} describes a model of type {model_type!r}, not one of {known}.")
    kind = KINDS[model_type]
    try:
        with without_weight_bars():
            model = kind.model_class.from_pretrained(folder, ignore_mismatched_sizes=True)  # so that it names them
        processor = kind.processor_class.from_pretrained(folder)
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


def trained_on(
    store: TrialStore, train: NDArray[np.int64], validation: NDArray[np.int64] | None = None
) -> dict[str, list[str]]:
    """What training and validation saw of a store: digests of the trials, pictures and concepts.

    It goes with the run, so that no later evaluation takes for new what was trained on.

    Args:
        store (`TrialStore`): that they saw.
        train (`numpy.ndarray` of `int`): rows of the trials that trained.
        validation (`numpy.ndarray` of `int`, *optional*): rows of those that chose the epoch.

    Returns:
        `digest`, `image_id` and `concept` of both together, and `validation_concept`, `training_concept` of each.
    """
    both = train if validation is None else np.concatenate([train, validation])
    table, concepts = store.trials.iloc[both], store.trials[columns.CONCEPT].to_numpy()
    pictures = store.gallery(columns.TRAIN)[columns.IMAGE_ID] if store.concepts_only else table[columns.IMAGE_ID]
    names = {
        columns.DIGEST: table[columns.DIGEST],
        columns.IMAGE_ID: pictures,
        columns.CONCEPT: table[columns.CONCEPT],
        TRAINING_CONCEPT: concepts[train],
        VALIDATION_CONCEPT: concepts[both[len(train) :]],
    }
    return {name: sorted(set(values)) for name, values in names.items()}


def read_trained_on(folder: str | Path) -> dict[str, list[str]] | None:
    """What trained_on.json of a run says, see [`trained_on`]; None for a checkpoint that came without it."""
    path = Path(folder) / TRAINED_ON_FILE
    return read_json(path) if path.is_file() else None


def protocol_held(folder: str | Path, store: TrialStore, rows: NDArray[np.int64]) -> str:
    """What test trials of a store really share with the training of a run, whatever store it was trained on.

    Args:
        folder (path): the run.
        store (`TrialStore`): to be evaluated on.
        rows (`numpy.ndarray` of `int`): its test trials.

    Returns:
        The store's protocol, or a weaker one if pictures or concepts were trained on.

    Raises:
        InputError: if a test trial was trained on, or, where only concepts are known, a test picture.
    """
    known = read_trained_on(folder)
    if known is None:
        return store.info.protocol
    seen = {name: set(values) for name, values in known.items()}
    table, gallery = store.trials.iloc[rows], store.gallery(columns.TEST)
    shared = len(seen[columns.DIGEST] & set(table[columns.DIGEST]))
    if shared:
        raise InputError(f"{store.path}: {shared} test trials were trained on by {folder}: test on other recordings.")
    pictures = seen[columns.IMAGE_ID] & set(gallery[columns.IMAGE_ID])
    if pictures and store.concepts_only:
        raise InputError(
            f"{store.path}: {len(pictures)} test pictures were trained on by {folder} ({min(pictures)}, ...): prepare "
            "it with the same --seed and --held-out-pictures as the store of the run, or with other pictures."
        )
    held = columns.NEW_TRIALS if pictures else columns.NEW_CONCEPTS
    if not pictures and seen[columns.CONCEPT] & set(table[columns.CONCEPT]):
        held = columns.NEW_TRIALS if store.concepts_only else columns.NEW_PICTURES
    return max(held, store.info.protocol, key=columns.PROTOCOLS.index)


def present(folder: Path, name: str) -> Path:
    """A file of a checkpoint's folder.

    Raises:
        InputError: if it is not there.
    """
    if not (folder / name).is_file():
        raise InputError(f"{folder} holds no {name}: name the folder that `neuroclip train` wrote.")
    return folder / name


def _check_sizes(model: BrainImageModel, processor: BrainImageProcessor, folder: Path) -> None:
    trials, encoder = processor.feature_extractor, model.config.encoder_config
    wanted, path = encoder.trial_shape, folder / PROCESSOR_FILE
    if trials.trial_shape != wanted or len(trials.mean) != wanted[0]:
        names = ("channels", "samples") if len(wanted) == 2 else ("voxels",)
        given, expected = (
            " and ".join(f"{size} {name}" for size, name in zip(shape, names, strict=False))
            for shape in (trials.trial_shape, wanted)
        )
        raise InputError(f"{path} is of {given}, config.json of {expected}: copy the whole run.")
    subjects = getattr(encoder, "num_subjects", None)  # 0 or none: the encoder does not tell them apart
    if subjects and subjects != len(trials.subjects):
        raise InputError(
            f"{path} names {len(trials.subjects)} subjects, config.json has num_subjects {subjects}: each would be "
            "given another one's token; copy the whole run."
        )
