"""One run: recipe + store -> a folder with a checkpoint that `from_pretrained` loads."""

import json
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState

from neuroclip_hf import columns
from neuroclip_hf.checkpoints import (
    CONTROL,
    RUN_FILE,
    TRAINED_ON_FILE,
    trained_on,
)
from neuroclip_hf.data.perturbation import Perturbation
from neuroclip_hf.data.splits import shuffle_targets
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.trials import TrainingView, TrialDataset
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import new_folder, write_json, write_text
from neuroclip_hf.models.brain_image.modeling_brain_image import BrainImageModel
from neuroclip_hf.models.loading import without_weight_bars
from neuroclip_hf.processing.collator import BrainImageCollator, PictureSet
from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor
from neuroclip_hf.processing.image_features import ImageFeatureCache
from neuroclip_hf.processing.processing_brain import BrainImageProcessor
from neuroclip_hf.protocols.building import build_model, build_processor, to_share, tower_facts
from neuroclip_hf.protocols.parts import choose_batches, choose_parts, used_part
from neuroclip_hf.protocols.targets import TrainingPictures, look_at_pictures, picture_sets
from neuroclip_hf.protocols.unfinished import UnfinishedRun, unfinished_run
from neuroclip_hf.protocols.validation import Validation
from neuroclip_hf.training.collapse import find_collapse
from neuroclip_hf.training.processes import of_first_process, this_process
from neuroclip_hf.training.record import load_trained
from neuroclip_hf.training.sections import OF_THE_MACHINE, TARGETS
from neuroclip_hf.training.seeding import seed_everything
from neuroclip_hf.training.settings import Recipe
from neuroclip_hf.training.tracking import TENSORBOARD, JsonLines, Tracker, open_tracker
from neuroclip_hf.training.trainer import TrainingResult, train

LAST_EPOCH = "last_epoch"
"""Folder of a run that holds the same training after its last epoch."""


@dataclass(frozen=True)
class TrainedModel:
    """A model fresh from training, with all that a run folder keeps of it."""

    model: BrainImageModel
    processor: BrainImageProcessor
    result: TrainingResult
    facts: dict[str, Any]
    seen: dict[str, list[str]]


def train_run(
    recipe: Recipe,
    store: TrialStore,
    out: str | Path,
    *,
    control: bool = False,
    overwrite: bool = False,
    finish: Callable[[Path], object] | None = None,
    image_features: str | Path | None = None,
    keep_last: bool = False,
) -> Path:
    """Train a recipe on a store and save the run.

    `out` then holds config.json, model.safetensors, processor_config.json, recipe.yaml, run.json, training.jsonl
    and trained_on.json (digests of the trials, pictures and concepts, so that no evaluation takes them for new).

    Until then `.NAME.unfinished` beside it holds the last two checkpoints of each training. After a stop, `kill -9`
    included, the same call goes on there, and ends with the same bytes on CPUs.

    Args:
        recipe (`Recipe`): what to train, and how.
        store (`TrialStore`): its training trials (and validation trials, where it declares some) are used; its test
            trials are not looked at.
        out (path): the run's folder.
        control (`bool`): also train the same model on shuffled pairs, into `out/control`.
        overwrite (`bool`): replace an existing run, and start an unfinished one afresh.
        finish (callable, *optional*): is given the folder before it takes its name, to add a card for example.
        image_features (path, *optional*): folder where what the tower without prompts says of pictures is kept, so
            that other seeds, subjects and settings do not encode them again. The control never does.
        keep_last (`bool`): also save the model as it was after its last epoch, into `out/last_epoch`.

    Returns:
        The run's folder.

    Raises:
        InputError: if the run exists or cannot be trained so, or an unfinished one was begun with other settings.
    """
    state = this_process()
    features = ImageFeatureCache(image_features)
    job = _job(recipe, store, control, keep_last, state) if state.is_main_process else None
    with nullcontext() if job is None else unfinished_run(Path(out), job, overwrite) as unfinished:
        for shuffled in (False, True)[: 1 + control]:
            _train_part(recipe, store, shuffled, unfinished, features, keep_last)
        if unfinished is not None and finish is not None:
            finish(unfinished.output)
    state.wait_for_everyone()
    return Path(out)


def _train_part(
    recipe: Recipe,
    store: TrialStore,
    shuffled: bool,
    unfinished: UnfinishedRun | None,
    features: ImageFeatureCache,
    keep_last: bool,
) -> None:
    """Train and save the model, or its control, unless that is done; one process writes, the others only train."""
    part = None if unfinished is None else unfinished.part(shuffled)
    if of_first_process(part is not None and part.is_dir()):
        return
    checkpoints = None if unfinished is None else unfinished.checkpoints(shuffled)
    with ExitStack() as stack:
        trackers = [] if unfinished is None else _trackers(recipe, unfinished, shuffled)
        for tracker in trackers:
            stack.callback(tracker.close)
        trained = train_on_store(
            recipe, store, shuffled=shuffled, checkpoints=checkpoints, image_features=features, trackers=trackers
        )
    if part is not None:
        with new_folder(part) as folder:
            save_run(trained, recipe, folder)
            if keep_last:
                save_run(after_last_epoch(trained), recipe, folder / LAST_EPOCH)


def _trackers(recipe: Recipe, unfinished: UnfinishedRun, shuffled: bool) -> list[Tracker]:
    name = f"{unfinished.out.name}-{CONTROL}" if shuffled else unfinished.out.name
    settings = asdict(recipe.training)
    asked = open_tracker(recipe.training.tracking, name, unfinished.out.parent / TENSORBOARD, settings)
    return [JsonLines(unfinished.log(shuffled)), *([] if asked is None else [asked])]


def _job(recipe: Recipe, store: TrialStore, control: bool, keep_last: bool, state: PartialState) -> dict[str, Any]:
    """All that the bytes of a run depend on; workers, times of checkpoints and trackers do not."""
    settings = to_share(recipe).to_dict()
    settings["training"] = {name: value for name, value in settings["training"].items() if name not in OF_THE_MACHINE}
    return {
        **settings,
        "tower": tower_facts(recipe.model),
        "store": store.info.fingerprint,
        "control": control,
        "keep_last": keep_last,
        "processes": state.num_processes,
        "device": state.device.type,
        "versions": _versions(),
    }


def train_on_store(
    recipe: Recipe,
    store: TrialStore,
    *,
    shuffled: bool = False,
    checkpoints: Path | None = None,
    image_features: ImageFeatureCache | None = None,
    trackers: Sequence[Tracker] = (),
) -> TrainedModel:
    """Train a recipe on a store, in memory.

    Args:
        recipe (`Recipe`): what to train, and how.
        store (`TrialStore`): see [`train_run`].
        shuffled (`bool`): deal the pictures of the training and validation trials out anew: the control.
        checkpoints (`Path`, *optional*): where checkpoints are written, and looked for, see
            [`neuroclip_hf.training.trainer.train`].
        image_features (`ImageFeatureCache`, *optional*): where pictures are looked up before they are encoded.
        trackers (sequence of `Tracker`, *optional*): told of every epoch.
    """
    seed = recipe.training.seed
    parts = choose_parts(recipe, store)
    train_rows, validation_rows = parts.train, parts.validation
    table = store.trials
    if shuffled:
        for rows in (train_rows, validation_rows):
            table = shuffle_targets(table, rows, seed)
    gallery = store.gallery(columns.TRAIN)
    used = used_part(recipe, store, parts, table)
    dataset = TrialDataset(used, table, train_rows, gallery, _view(recipe, store), seed)
    batches = choose_batches(recipe, store, table.iloc[dataset.item_rows])
    seed_everything(seed)
    feature_extractor = BrainFeatureExtractor.fit(used, train_rows)
    model = build_model(recipe.model, feature_extractor)
    processor = build_processor(recipe.model, feature_extractor, model)
    pictures = PictureSet(store.open_picture, list(gallery[columns.IMAGE_ID]), processor)
    inputs = processor.picture_inputs(gallery)
    shown, inputs = _prepare_for_training(model, recipe, store, pictures, inputs, processor, image_features)
    validate = Validation(used, table, validation_rows, gallery, pictures, processor)
    collator = BrainImageCollator(processor, shown.pictures if model.needs_pictures else None, shown.features, inputs)
    result = train(
        model,
        dataset,
        collator,
        recipe.training,
        batches,
        validate,
        description="control" if shuffled else "training",
        checkpoints=checkpoints,
        trackers=trackers,
    )
    seen = trained_on(store, np.concatenate([train_rows, validation_rows]))
    facts = _facts(recipe, store, result)
    facts |= {"shuffled_pairs": shuffled, **parts.facts(store.trials), "sampling": batches.describe()}
    facts["flags"] = find_collapse(model, dataset, collator)
    return TrainedModel(model, processor, result, facts, seen)


def _prepare_for_training(
    model: BrainImageModel,
    recipe: Recipe,
    store: TrialStore,
    pictures: PictureSet,
    inputs: Mapping[str, torch.Tensor],
    processor: BrainImageProcessor,
    cache: ImageFeatureCache | None,
) -> tuple[TrainingPictures, dict[str, torch.Tensor]]:
    """Settings of the model that no checkpoint holds, and the pictures and their texts as training looks at them."""
    model.picture_chunk_size = recipe.training.picture_chunk_size
    if recipe.training.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    model.to(this_process().device)  # before all pictures go through the tower
    views = picture_sets(store, pictures.image_ids, processor, recipe.data.views(), recipe.training.seed)
    shown = look_at_pictures(model, pictures, views, cache)
    encoded = model.encode_picture_inputs(inputs)
    model.prepare_for_training(lambda: shown.embeds, shown.features, encoded)
    return shown, encoded


def after_last_epoch(trained: TrainedModel) -> TrainedModel:
    """The same training as it was after its last epoch; the model is changed in place."""
    load_trained(trained.model, trained.result.last_weights)
    return replace(trained, facts={**trained.facts, "selection": "last", "best_epoch": trained.facts["epochs"]})


def save_run(trained: TrainedModel, recipe: Recipe, folder: Path) -> None:
    """Write a checkpoint and how it came about into a folder; where tower and store lie is not among it."""
    with without_weight_bars():
        trained.model.save_pretrained(folder)
    trained.processor.save_pretrained(folder)
    to_share(recipe).save(folder / "recipe.yaml")
    write_json(folder / RUN_FILE, trained.facts)
    write_json(folder / TRAINED_ON_FILE, trained.seen)
    for weights in folder.glob("*.safetensors"):  # safetensors makes them readable for their owner alone
        shutil.copymode(folder / "config.json", weights)
    write_text(folder / "training.jsonl", "".join(json.dumps(entry) + "\n" for entry in trained.result.history))


def _view(recipe: Recipe, store: TrialStore) -> TrainingView:
    data = recipe.data
    shift, window = (
        round(seconds * (store.info.sampling_rate or 0.0)) for seconds in (data.shift, data.smoothing_window)
    )
    if data.smoothing and store.info.sampling_rate and window < 2:
        raise InputError(
            f"smoothing_window is {data.smoothing_window}: at {store.info.sampling_rate:g} Hz that is less than two "
            "samples, whose mean changes nothing; make it longer, or say smoothing=0."
        )
    perturbation = Perturbation(
        data.noise, shift, data.channel_dropout, data.time_mask, data.scaling, data.smoothing, window
    )
    return TrainingView((data.average[0], data.average[1]), perturbation, data.items == TARGETS)


def _facts(recipe: Recipe, store: TrialStore, result: TrainingResult) -> dict[str, Any]:
    return {
        "recipe": recipe.name,
        "seed": recipe.training.seed,
        "store": store.info.fingerprint,
        "data": store.info.data,
        "modality": store.info.modality,
        "protocol": store.info.protocol,
        "selection": recipe.training.selection,
        "best_epoch": result.best_epoch,
        "epochs": recipe.training.epochs,
        "trainable_parameters": result.trainable_parameters,
        "seconds": round(result.seconds, 1),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    names = ("neuroclip-hf", "torch", "transformers", "peft", "accelerate", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
