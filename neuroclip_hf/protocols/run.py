"""One run: recipe + store -> a folder with a checkpoint that `from_pretrained` loads."""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.files import new_folder, write_json, write_text
from neuroclip_hf.models.brain_image.modeling_brain_image import BrainImageModel
from neuroclip_hf.models.loading import without_weight_bars
from neuroclip_hf.processing.image_features import ImageFeatureCache
from neuroclip_hf.processing.processing_brain import BrainImageProcessor
from neuroclip_hf.protocols.building import to_share
from neuroclip_hf.protocols.facts import facts_of, job_of
from neuroclip_hf.protocols.finished import already_trained
from neuroclip_hf.protocols.groups import groups_of
from neuroclip_hf.protocols.preparing import prepare_training
from neuroclip_hf.protocols.unfinished import UnfinishedRun, unfinished_run
from neuroclip_hf.run_files import (
    CONFIG_FILE,
    CONTROL,
    HISTORY_FILE,
    LAST_EPOCH,
    LAST_GOOD,
    RECIPE_FILE,
    RUN_FILE,
    TRAINED_ON_FILE,
)
from neuroclip_hf.training.closed_form import solve
from neuroclip_hf.training.collapse import find_collapse
from neuroclip_hf.training.processes import of_first_process, this_process
from neuroclip_hf.training.record import load_trained
from neuroclip_hf.training.result import LostNumbersError, TrainingResult
from neuroclip_hf.training.settings import Recipe
from neuroclip_hf.training.tracking import TENSORBOARD, JsonLines, Tracker, open_tracker
from neuroclip_hf.training.trainer import train


@dataclass(frozen=True)
class TrainedModel:
    """A model fresh from training, with all that a run folder keeps of it."""

    model: BrainImageModel
    processor: BrainImageProcessor
    result: TrainingResult
    facts: dict[str, Any]
    seen: dict[str, list[str]]


class LostTrainingError(LostNumbersError):
    """A training on a store lost its numbers.

    Args:
        error (`LostNumbersError`): how.
        trained (`TrainedModel`, *optional*): the model as it was after the last epoch that ended well; only on the
            first process, and None where no epoch had ended.
    """

    def __init__(self, error: LostNumbersError, trained: TrainedModel | None) -> None:
        super().__init__(str(error), error.batch, error.good)
        self.trained = trained


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
    included, the same call goes on there, and ends with the same bytes on CPUs. Only `seconds` in run.json is never
    the same twice: how long all attempts took together, without what each did after its last checkpoint. Where the run
    is finished already, with equal settings on an equal store, that is said and nothing is done.

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
        InputError: if another run exists, this one cannot be trained so, or an unfinished one was begun with other
            settings.
        LostNumbersError: if the loss, or a weight, is no longer finite. The last epoch that ended well is kept as a
            run of its own, `NAME-last-good` beside `out`, whose run.json says under `lost` why, and of which trials.
    """
    state = this_process()
    features = ImageFeatureCache(image_features)
    job = job_of(recipe, store, control, keep_last, state) if state.is_main_process else None
    if of_first_process(job is not None and not overwrite and already_trained(Path(out), job)):
        return Path(out)
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
        try:
            trained = train_on_store(
                recipe,
                store,
                shuffled=shuffled,
                checkpoints=checkpoints,
                image_features=features,
                trackers=trackers,
            )
        except LostTrainingError as error:
            if unfinished is None:
                raise
            raise _keep_good(recipe, unfinished, shuffled, error) from None
    if part is not None:
        with new_folder(part) as folder:
            save_run(trained, recipe, folder)
            if keep_last:
                save_run(after_last_epoch(trained), recipe, folder / LAST_EPOCH)


def _keep_good(
    recipe: Recipe, unfinished: UnfinishedRun, shuffled: bool, error: LostTrainingError
) -> LostNumbersError:
    """Save what was good before the numbers were lost; the error with words that say where."""
    trained = error.trained
    if trained is None:
        whose, what = (" of the control", "nothing of it is kept") if shuffled else ("", "nothing is kept")
        return LostNumbersError(f"{error} No epoch{whose} had ended before, so that {what}.", error.batch)
    ending = f"-{CONTROL}-{LAST_GOOD}" if shuffled else f"-{LAST_GOOD}"
    place = unfinished.out.with_name(f"{unfinished.out.name}{ending}")
    lost = {"why": str(error), "batch": error.batch}
    with new_folder(place, overwrite=True, mark=RUN_FILE) as folder:
        save_run(replace(trained, facts={**trained.facts, "selection": "last", "lost": lost}), recipe, folder)
    epoch = trained.facts["best_epoch"]
    return LostNumbersError(f"{error} Epoch {epoch}, the last good one, is kept as a run: {place}.", error.batch)


def _trackers(recipe: Recipe, unfinished: UnfinishedRun, shuffled: bool) -> list[Tracker]:
    name = f"{unfinished.out.name}-{CONTROL}" if shuffled else unfinished.out.name
    settings = asdict(recipe.training)
    asked = open_tracker(recipe.training.tracking, name, unfinished.out.parent / TENSORBOARD, settings)
    return [JsonLines(unfinished.log(shuffled)), *([] if asked is None else [asked])]


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

    Raises:
        InputError: if it cannot be trained so.
        LostTrainingError: if the loss, or a weight, is no longer finite; with the last epoch that ended well.
    """
    prepared = prepare_training(recipe, store, shuffled, image_features)
    model, dataset, collator, validate = prepared.model, prepared.dataset, prepared.collator, prepared.validate
    description = "control" if shuffled else "training"

    def trained(result: TrainingResult) -> TrainedModel:
        found = result.facts | {"flags": find_collapse(model, dataset, collator)}
        facts = facts_of(recipe, store, result) | prepared.facts | found
        return TrainedModel(model, prepared.processor, result, facts, prepared.seen)

    if model.encoder.closed_form:
        groups = groups_of(prepared.items, prepared.parts.by, store.info.protocol)
        return trained(solve(model, dataset, collator, groups, validate, description, trackers))
    try:
        result = train(
            model,
            dataset,
            collator,
            recipe.training,
            prepared.batches,
            validate,
            description=description,
            checkpoints=checkpoints,
            trackers=trackers,
        )
    except LostNumbersError as error:
        raise LostTrainingError(error, None if error.good is None else trained(error.good)) from error
    return trained(result)


def after_last_epoch(trained: TrainedModel) -> TrainedModel:
    """The same training as it was after its last epoch; the model is changed in place."""
    load_trained(trained.model, trained.result.last_weights)
    return replace(trained, facts={**trained.facts, "selection": "last", "best_epoch": trained.facts["epochs"]})


def save_run(trained: TrainedModel, recipe: Recipe, folder: Path) -> None:
    """Write a checkpoint and how it came about into a folder; where tower and store lie is not among it."""
    with without_weight_bars():
        trained.model.save_pretrained(folder)
    trained.processor.save_pretrained(folder)
    to_share(recipe).save(folder / RECIPE_FILE)
    write_json(folder / RUN_FILE, trained.facts)
    write_json(folder / TRAINED_ON_FILE, trained.seen)
    for weights in folder.glob("*.safetensors"):  # safetensors makes them readable for their owner alone
        shutil.copymode(folder / CONFIG_FILE, weights)
    write_text(folder / HISTORY_FILE, "".join(json.dumps(entry) + "\n" for entry in trained.result.history))
