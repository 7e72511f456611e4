"""Recipe + store -> model, data and validation, all that stands before the first step of a training."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch

from neuroclip_hf import columns
from neuroclip_hf.checkpoints import trained_on
from neuroclip_hf.data.sampling import Batches
from neuroclip_hf.data.splits import shuffle_targets
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.trials import TrialDataset
from neuroclip_hf.errors import InputError
from neuroclip_hf.logging import get_logger
from neuroclip_hf.models.brain_image.modeling_brain_image import BrainImageModel
from neuroclip_hf.processing.collator import BrainImageCollator, PictureSet
from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor
from neuroclip_hf.processing.image_features import ImageFeatureCache
from neuroclip_hf.processing.processing_brain import BrainImageProcessor
from neuroclip_hf.protocols.building import build_model, build_processor
from neuroclip_hf.protocols.parts import Parts, choose_batches, choose_parts, training_view, used_part
from neuroclip_hf.protocols.targets import TrainingPictures, look_at_pictures, picture_sets
from neuroclip_hf.protocols.validation import Validation
from neuroclip_hf.training.processes import this_process
from neuroclip_hf.training.seeding import seed_everything
from neuroclip_hf.training.settings import Recipe


@dataclass(frozen=True)
class PreparedTraining:
    """What a training is given.

    Args:
        model (`BrainImageModel`): with start weights, on its device.
        processor (`BrainImageProcessor`): fitted on the training trials.
        dataset (`TrialDataset`): training items.
        items (`pandas.DataFrame`): a row for each of them.
        collator (`BrainImageCollator`): items -> batch.
        batches (`Batches`): which items each step sees.
        validate (`Validation`, *optional*): what chooses the epoch; only an encoder that is solved for may have none.
        parts (`Parts`): which trials train, and which validate.
        facts (`dict`): what run.json says of all this.
        seen (`dict`): digests of what the model will have seen, for trained_on.json.
    """

    model: BrainImageModel
    processor: BrainImageProcessor
    dataset: TrialDataset
    items: pd.DataFrame
    collator: BrainImageCollator
    batches: Batches
    validate: Validation | None
    parts: Parts
    facts: dict[str, Any]
    seen: dict[str, list[str]]


def prepare_training(
    recipe: Recipe, store: TrialStore, shuffled: bool, image_features: ImageFeatureCache | None
) -> PreparedTraining:
    """Choose the trials, build the model and look at the pictures.

    Args:
        recipe (`Recipe`): what to train, and how.
        store (`TrialStore`): holds the trials.
        shuffled (`bool`): deal the pictures of the training and validation trials out anew: the control.
        image_features (`ImageFeatureCache`, *optional*): where pictures are looked up before they are encoded.

    Raises:
        InputError: if it cannot be trained so.
    """
    seed = recipe.training.seed
    parts = choose_parts(recipe, store)
    table = _with_shuffled_pairs(store, parts, seed) if shuffled else store.trials
    gallery = store.gallery(columns.TRAIN)
    used = used_part(recipe, store, parts, table)
    dataset = TrialDataset(used, table, parts.train, gallery, training_view(recipe, store), seed)
    items = table.iloc[dataset.item_rows]
    batches = choose_batches(recipe, store, items)
    seed_everything(seed)
    feature_extractor = BrainFeatureExtractor.fit(used, parts.train)
    model = build_model(recipe.model, feature_extractor)
    processor = build_processor(recipe.model, feature_extractor, model)
    pictures = PictureSet(store.open_picture, list(gallery[columns.IMAGE_ID]), processor)
    inputs = processor.picture_inputs(gallery)
    shown, inputs = _prepare_model(model, recipe, store, pictures, inputs, processor, image_features)
    validate = None
    if len(parts.validation):
        with _unneeded(model.encoder.closed_form):
            validate = Validation(used, table, parts.validation, gallery, pictures, processor, seed)
    facts = {"shuffled_pairs": shuffled, **parts.facts(store.trials), "sampling": batches.describe()}
    facts["validation"] |= {} if validate is None else validate.facts()
    return PreparedTraining(
        model,
        processor,
        dataset,
        items,
        BrainImageCollator(processor, shown.pictures if model.needs_pictures else None, shown.features, inputs),
        batches,
        validate,
        parts,
        facts,
        trained_on(store, parts.train, parts.validation),
    )


@contextmanager
def _unneeded(solved: bool) -> Iterator[None]:
    """Where an encoder is solved for, which chooses no epoch, only say why its validation cannot be."""
    try:
        yield
    except InputError as error:
        if not solved:
            raise
        get_logger().warning("%s The encoder is solved for and chooses no epoch: nothing is validated.", error)


def _with_shuffled_pairs(store: TrialStore, parts: Parts, seed: int) -> pd.DataFrame:
    """The trial table in which the pictures of the training and of the validation trials are dealt out anew."""
    table = store.trials
    for rows in (parts.train, parts.validation):
        table = shuffle_targets(table, rows, seed) if len(rows) else table
    return table


def _prepare_model(
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
