"""Recipe + store -> which trials train, which validate, in which batches, and what of them is read."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.perturbation import Perturbation
from neuroclip_hf.data.sampling import Batches, ItemKeys, make_batches
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_part import part_of_store
from neuroclip_hf.data.subjects import SubjectSplit, subject_split
from neuroclip_hf.data.trials import TrainingView
from neuroclip_hf.data.validation import hold_out_validation, shared_targets, validation_of
from neuroclip_hf.errors import InputError
from neuroclip_hf.logging import get_logger
from neuroclip_hf.models.registry import solved_for
from neuroclip_hf.processing.voxel_selection import select_voxels
from neuroclip_hf.training.sections import TARGETS
from neuroclip_hf.training.settings import Recipe


@dataclass(frozen=True)
class Parts:
    """Rows of the trial table that a training may see.

    Args:
        split (`SubjectSplit`): whose they are.
        train, validation (`numpy.ndarray` of `int`): the rows.
        by (`str`): what validation holds out, one of `columns.VALIDATIONS` but "auto".
    """

    split: SubjectSplit
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    by: str

    def facts(self, trials: pd.DataFrame) -> dict[str, Any]:
        """What run.json says of them."""
        shared = shared_targets(trials, self.train, self.validation)
        return {
            "split": self.split.kind,
            "subjects": list(self.split.train),
            "held_out_subject": self.split.held_out_subject,
            "validation": {"by": self.by, "trials": len(self.validation), "shares_with_training": shared},
        }


def choose_parts(recipe: Recipe, store: TrialStore) -> Parts:
    """Choose the trials that a recipe trains and validates on; only tables are looked at.

    Raises:
        InputError: for subjects, a split or a validation that cannot be.
    """
    data = recipe.data
    split = subject_split(store, data.split, data.subjects, data.held_out_subject)
    rows = store.select(columns.TRAIN, split.train)
    lacking = [name for name in split.train if not len(store.select(columns.TRAIN, [name]))]
    if lacking:
        raise InputError(f"{store.path} holds no training trials of {lacking[0]}: leave it out of subjects.")
    _refuse_few(store, split, len(rows))
    declared = store.select(columns.VALIDATION, split.train)
    if len(declared):
        if data.validation not in (columns.AUTO, columns.BY_STORE):
            raise InputError(
                f"validation is {data.validation}, but {store.path} declares a validation split: say "
                "validation=store, or prepare a store without one."
            )
        return Parts(split, rows, declared, columns.BY_STORE)
    if data.validation == columns.BY_STORE:
        raise InputError(
            f"validation=store, but {store.path} declares no validation split for {', '.join(split.train)}: say "
            f"validation={columns.AUTO}."
        )
    return _hold_out(recipe, store, split, rows)


def _refuse_few(store: TrialStore, split: SubjectSplit, trials: int) -> None:
    """Refuse fewer training trials than classes, which are concepts of several pictures: most were never seen."""
    pictures = store.gallery(columns.TRAIN).groupby(columns.CONCEPT)[columns.IMAGE_ID].nunique()
    classes = int((pictures > 1).sum())
    if trials < classes:
        raise InputError(
            f"{store.path} holds {trials} training trials of {', '.join(split.train)} for {classes} classes: too few "
            "to learn them; add trials or subjects, or prepare a store with fewer classes."
        )


def _hold_out(recipe: Recipe, store: TrialStore, split: SubjectSplit, rows: NDArray[np.int64]) -> Parts:
    """Hold validation trials out of training; an encoder that is solved for, and chooses no epoch, goes without."""
    asked, solved = recipe.data.validation, solved_for(recipe.model.encoder)
    if asked == columns.BY_NONE:
        if not solved:
            raise InputError(
                f"validation=none, and encoder {recipe.model.encoder} is trained epoch by epoch, among which "
                f"validation chooses: say validation={columns.AUTO}."
            )
        return Parts(split, rows, rows[:0], columns.BY_NONE)
    by = validation_of(store.info.protocol, store.trials.iloc[rows]) if asked == columns.AUTO else asked
    try:
        return Parts(split, *hold_out_validation(store.trials, rows, by, recipe.training.seed), by)
    except InputError as error:
        if not solved or asked != columns.AUTO:
            raise
        get_logger().warning(
            "%s Encoder %s is solved for and chooses no epoch, so that all trials train and nothing is validated.",
            error,
            recipe.model.encoder,
        )
        return Parts(split, rows, rows[:0], columns.BY_NONE)


def used_part(recipe: Recipe, store: TrialStore, parts: Parts, table: pd.DataFrame) -> TrialStore:
    """The channels and samples that a recipe trains on; voxels are chosen by the training trials alone.

    Args:
        recipe (`Recipe`): its `data.channels`, `rois`, `voxels` and `window`.
        store (`TrialStore`): the whole.
        parts (`Parts`): of the store; whoever is tested must have the same channels.
        table (`pandas.DataFrame`): the store's trial table, or one with other targets (the shuffled control).

    Raises:
        InputError: for what the store does not hold, and for subjects whose channels differ.
    """
    data = recipe.data
    subjects = list(dict.fromkeys([*parts.split.train, *parts.split.test]))
    used = part_of_store(store, data.channels, data.window, rois=data.rois, subjects=subjects)
    if data.voxels is None:
        return used
    return part_of_store(used, select_voxels(used, table, parts.train, data.voxels))


def choose_batches(recipe: Recipe, store: TrialStore, items: pd.DataFrame) -> Batches:
    """The order in which a recipe trains on its items, rows of the trial table.

    Raises:
        InputError: for a sampling that cannot be.
    """
    pictures = None if store.concepts_only else items[columns.IMAGE_ID].to_numpy()
    keys = ItemKeys(items[columns.SUBJECT].to_numpy(), items[columns.CONCEPT].to_numpy(), pictures)
    return make_batches(recipe.training.sampling, keys, recipe.training.batch_size, recipe.training.seed)


def training_view(recipe: Recipe, store: TrialStore) -> TrainingView:
    """How a recipe averages and perturbs the trials of a store.

    Raises:
        InputError: for a smoothing that would change nothing.
    """
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
