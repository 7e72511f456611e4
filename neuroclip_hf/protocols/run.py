"""One run: recipe + store -> a folder with a checkpoint that `from_pretrained` loads."""

import json
import platform
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState

from neuroclip_hf import columns
from neuroclip_hf.checkpoints import (
    CONTROL,
    RUN_FILE,
    TRAINED_ON_FILE,
    load_run,
    protocol_held,
    read_facts,
    trained_on,
)
from neuroclip_hf.data.perturbation import Perturbation
from neuroclip_hf.data.splits import shuffle_targets
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.trials import TrainingView, TrialDataset
from neuroclip_hf.evaluation import (
    REPORT_FILE,
    Report,
    accuracy_by_repeats,
    embed_unlabelled,
    evaluate,
    flags_of,
    rank_test_split,
    save_ranking,
    subjects_to_test,
    write_report,
)
from neuroclip_hf.files import new_folder, read_json, refuse_existing, write_json, write_text
from neuroclip_hf.models.loading import without_weight_bars
from neuroclip_hf.models.neuroclip.modeling_neuroclip import NeuroCLIPModel
from neuroclip_hf.processing.collator import BrainImageCollator, PictureSet
from neuroclip_hf.processing.embedding import embed_pictures, embed_pictures_frozen
from neuroclip_hf.processing.image_features import ImageFeatureCache
from neuroclip_hf.processing.processing_brain import BrainFeatureExtractor, NeuroCLIPProcessor
from neuroclip_hf.protocols.building import build_model, image_processor_for, to_share, tower_facts
from neuroclip_hf.protocols.parts import choose_batches, choose_parts
from neuroclip_hf.protocols.unfinished import UnfinishedRun, unfinished_run
from neuroclip_hf.protocols.validation import Validation
from neuroclip_hf.training.processes import of_first_process, this_process
from neuroclip_hf.training.record import load_trained
from neuroclip_hf.training.seeding import seed_everything
from neuroclip_hf.training.settings import Recipe
from neuroclip_hf.training.trainer import TrainingResult, train

LAST_EPOCH = "last_epoch"
"""Folder of a run that holds the same training after its last epoch."""


@dataclass(frozen=True)
class TrainedModel:
    """A model fresh from training, with all that a run folder keeps of it."""

    model: NeuroCLIPModel
    processor: NeuroCLIPProcessor
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
    trained = train_on_store(recipe, store, shuffled=shuffled, checkpoints=checkpoints, image_features=features)
    if part is not None:
        with new_folder(part) as folder:
            save_run(trained, recipe, folder)
            if keep_last:
                save_run(after_last_epoch(trained), recipe, folder / LAST_EPOCH)


def _job(recipe: Recipe, store: TrialStore, control: bool, keep_last: bool, state: PartialState) -> dict[str, Any]:
    """All that the bytes of a run depend on; how many processes load data and when checkpoints are written do not."""
    settings = to_share(recipe).to_dict()
    settings["training"] = {
        name: value
        for name, value in settings["training"].items()
        if name not in ("num_workers", "checkpoint_minutes")
    }
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
) -> TrainedModel:
    """Train a recipe on a store, in memory.

    Args:
        recipe (`Recipe`): what to train, and how.
        store (`TrialStore`): see [`train_run`].
        shuffled (`bool`): deal the pictures of the training and validation trials out anew: the control.
        checkpoints (`Path`, *optional*): where checkpoints are written, and looked for, see
            [`neuroclip_hf.training.trainer.train`].
        image_features (`ImageFeatureCache`, *optional*): where pictures are looked up before they are encoded.
    """
    seed = recipe.training.seed
    parts = choose_parts(recipe, store)
    train_rows, validation_rows = parts.train, parts.validation
    table = store.trials
    if shuffled:
        for rows in (train_rows, validation_rows):
            table = shuffle_targets(table, rows, seed)
    batches = choose_batches(recipe, store, table.iloc[train_rows])
    seed_everything(seed)
    feature_extractor = BrainFeatureExtractor.fit(store, train_rows)
    model = build_model(recipe.model, feature_extractor)
    processor = NeuroCLIPProcessor(feature_extractor, image_processor_for(recipe.model, model))
    gallery = store.gallery(columns.TRAIN)
    pictures = PictureSet(store.open_picture, list(gallery[columns.IMAGE_ID]), processor)
    dataset = TrialDataset(store, table, train_rows, gallery, _view(recipe, store), seed)
    model.picture_chunk_size = recipe.training.picture_chunk_size
    model.to(this_process().device)  # before all pictures go through the tower
    frozen = embed_pictures_frozen(model, pictures, image_features)
    model.centre_pictures(embed_pictures(model, pictures, "centring"), frozen)
    validate = Validation(store, table, validation_rows, gallery, pictures, processor)
    result = train(
        model,
        dataset,
        BrainImageCollator(processor, pictures if model.needs_pictures else None, frozen),
        recipe.training,
        batches,
        validate,
        description="control" if shuffled else "training",
        checkpoints=checkpoints,
    )
    seen = trained_on(store, np.concatenate([train_rows, validation_rows]))
    facts = _facts(recipe, store, result)
    facts |= {"shuffled_pairs": shuffled, **parts.facts(store.trials), "sampling": batches.describe()}
    return TrainedModel(model, processor, result, facts, seen)


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


def evaluate_run(
    folder: str | Path,
    store: TrialStore,
    *,
    average: int | None = None,
    draws: int | None = None,
    subjects: Sequence[str] | None = None,
    also: TrialStore | None = None,
    overwrite: bool = False,
) -> Report:
    """Open the test split of a store for a run, and write report.json and ranking.safetensors into its folder.

    Args:
        folder (path): the run; its control is evaluated too, where it has one. A checkpoint without run.json is
            evaluated as well: the report then knows neither its seed nor how its epoch was chosen.
        store (`TrialStore`): whose test split is opened.
        average (`int`, *optional*): trials a query, see [`rank_test_split`].
        draws (`int`, *optional*): random queries a target.
        subjects (sequence of `str`, *optional*): whose test trials; by default those of the subject that the run held
            out, or of those who trained.
        also (`TrialStore`, *optional*): the same recordings, whitened otherwise: a second row of the report. For a
            subject that did not train, whitened by its own sessions in `store`, this is the row whitened by training
            subjects only.
        overwrite (`bool`): replace an earlier report.

    Raises:
        InputError: if the run cannot be loaded, does not fit a store, or was evaluated already, if of the subjects
            some trained and some did not, or if `also` holds other queries.
    """
    folder = Path(folder)
    refuse_existing(folder / REPORT_FILE, overwrite)
    facts = read_facts(folder)
    subjects = subjects_to_test(facts, store, subjects)
    stores = (store,) if also is None else (store, also)
    protocol, *_ = (protocol_held(folder, one, one.select(columns.TEST, subjects)) for one in stores)
    model, processor = load_run(folder)
    control = load_run(folder / CONTROL) if (folder / CONTROL).is_dir() else None
    rank = partial(rank_test_split, average=average, draws=draws, subjects=subjects, seed=facts.get("seed", 0))
    ranking, *others = (rank(model, processor, one) for one in stores)
    seen = read_json(folder / TRAINED_ON_FILE) if (folder / TRAINED_ON_FILE).is_file() else None
    report = evaluate(
        ranking,
        store,
        facts,
        model.config.tower,
        None if control is None else rank(*control, store),
        protocol=protocol,
        repeats=accuracy_by_repeats(model, processor, store, ranking),
        unlabelled=embed_unlabelled(model, processor, store, ranking.subjects),
        also=None if also is None else (others[0], also),
        flags=flags_of(store, subjects, facts, processor, seen, protocol),
    )
    save_ranking(ranking, folder)
    write_report(report, folder)
    return report


def _view(recipe: Recipe, store: TrialStore) -> TrainingView:
    data = recipe.data
    shift = round(data.shift * (store.info.sampling_rate or 0.0))
    perturbation = Perturbation(data.noise, shift, data.channel_dropout, data.time_mask, data.scaling)
    return TrainingView((data.average[0], data.average[1]), perturbation)


def _facts(recipe: Recipe, store: TrialStore, result: TrainingResult) -> dict[str, Any]:
    return {
        "recipe": recipe.name,
        "seed": recipe.training.seed,
        "store": store.info.fingerprint,
        "data": store.info.data,
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
