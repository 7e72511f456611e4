"""Trials of a store as a map-style dataset for training; what an item is depends on seed, epoch and trial alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.perturbation import Perturbation, perturb
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError

_DESCRIBED = (
    columns.IMAGE_ID,
    columns.CONCEPT,
    columns.SUBJECT,
    columns.SESSION,
    columns.FILE,
    columns.SAMPLE,
)


@dataclass(frozen=True)
class TrainingView:
    """How training sees its trials.

    Args:
        average (`tuple[int, int]`): an item is the mean of this many trials of its target and subject, a number drawn
            anew each epoch between the two, ends included, as far as there are so many; (1, 1) is the trial itself.
        perturbation (`Perturbation`): applied to the mean.
        by_target (`bool`): an epoch shows each target of each subject once, with any of its trials, instead of each
            trial.
    """

    average: tuple[int, int] = (1, 1)
    perturbation: Perturbation = field(default_factory=Perturbation)
    by_target: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.average[0] <= self.average[1]:
            raise InputError(f"average {self.average}: two numbers, the first at least 1 and not above the second.")


class TrialDataset:
    """Training trials: `dataset[i]` is a dict with the recording, `image_id`, `picture_index` and `subject_index`.

    The recording is float32 in the store's unit: `eeg_values` `(channels, samples)`, or `fmri_values` `(voxels,)`.
    `image_id` is a number that equal targets share; `picture_index` is a row of `pictures`. Where only concepts are
    known, the picture is one of the concept's, drawn anew each epoch. The names are those of a model's arguments, of
    which the collator makes a batch: transformers' `Trainer` takes out of an item what `forward` does not name. Works
    with `torch.utils.data.DataLoader` and any number of workers.

    Args:
        store (`TrialStore`): where the trials are.
        trials (`pandas.DataFrame`): the store's trial table, or one with other targets (the shuffled control).
        rows (`numpy.ndarray` of `int`): its rows that belong to the dataset.
        pictures (`pandas.DataFrame`): the pictures that may be paired with them.
        view (`TrainingView`): averaging and perturbation.
        seed (`int`): of every choice.
    """

    def __init__(
        self,
        store: TrialStore,
        trials: pd.DataFrame,
        rows: NDArray[np.int64],
        pictures: pd.DataFrame,
        view: TrainingView,
        seed: int,
    ) -> None:
        if not len(rows):
            raise InputError("The training split is empty: prepare the store with training trials.")
        self._store, self._rows, self._view, self._seed = store, rows, view, seed
        self._epoch = 0
        self._perturbed = view.perturbation != Perturbation()
        # What "no signal" is: zero volts, or the training mean of arbitrary units.
        self._centre = np.asarray(store.info.offset, dtype=np.float32)
        self._input_name = columns.FMRI_VALUES if store.info.num_timesteps is None else columns.EEG_VALUES
        if store.info.num_timesteps is not None:
            self._centre = self._centre[:, None]
        table = trials.iloc[rows]
        self._table = table[list(_DESCRIBED)]
        keys = table[columns.CONCEPT] if store.concepts_only else table[columns.IMAGE_ID]
        names = sorted(set(keys))
        number = {name: place for place, name in enumerate(names)}
        self._target = np.array([number[key] for key in keys])
        self._candidates = _pictures_of(names, pictures, columns.CONCEPT if store.concepts_only else columns.IMAGE_ID)
        self._subject, _ = pd.factorize(table[columns.SUBJECT])  # in order of first trials, as a checkpoint lists them
        self._peers = _positions_by_key(list(zip(self._subject, self._target, strict=True)))
        firsts = sorted(int(members[0]) for members in self._peers.values())
        self._items = np.array(firsts) if view.by_target else np.arange(len(rows))

    def __len__(self) -> int:
        return len(self._items)

    @property
    def item_rows(self) -> NDArray[np.int64]:
        """The row of the trial table that each item stands for: its trial, or the first one of its target."""
        return self._rows[self._items]

    def set_epoch(self, epoch: int) -> None:
        """Tell the epoch, counted from 0, that choices are made for."""
        self._epoch = epoch

    def describe(self, number: int) -> str:
        """An item in words, for messages."""
        trial = self._table.iloc[int(self._items[number])]
        what = trial[columns.IMAGE_ID] or trial[columns.CONCEPT]
        session = f"session {trial[columns.SESSION]}"  # whose files may be called alike
        return f"{what} ({trial[columns.SUBJECT]}, {session}, {trial[columns.FILE]}, sample {trial[columns.SAMPLE]})"

    def __getitem__(self, number: int) -> dict[str, Any]:
        return self.__getitems__([number])[0]

    def __getitems__(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """`[dataset[number] for number in numbers]`, read at once: what a `DataLoader` asks for to make a batch."""
        items = self._items[np.asarray(numbers, dtype=np.int64)].tolist()
        generators = [np.random.default_rng([self._seed, self._epoch, int(self._rows[item])]) for item in items]
        chosen = [self._rows[self._choose(*pair)] for pair in zip(items, generators, strict=True)]
        pictures = [self._picture(*pair) for pair in zip(items, generators, strict=True)]
        means = self._store.read_means(chosen)
        if self._perturbed and items:
            perturb(means, self._view.perturbation, generators, self._centre)
        return [self._item(*known) for known in zip(items, means, pictures, strict=True)]

    def _picture(self, item: int, generator: np.random.Generator) -> int:
        candidates = self._candidates[self._target[item]]
        return int(candidates[generator.integers(len(candidates))])

    def _item(self, item: int, values: NDArray[np.float32], picture: int) -> dict[str, Any]:
        return {
            self._input_name: values,
            columns.IMAGE_ID: int(self._target[item]),
            columns.PICTURE_INDEX: picture,
            columns.SUBJECT_INDEX: int(self._subject[item]),
        }

    def _choose(self, item: int, generator: np.random.Generator) -> NDArray[np.int64]:
        low, high = self._view.average
        peers = self._peers[(self._subject[item], self._target[item])]
        wanted = min(int(generator.integers(low, high + 1)), len(peers))
        if self._view.by_target:
            return generator.choice(peers, size=wanted, replace=False)
        if wanted == 1:
            return np.array([item])
        others = peers[peers != item]
        return np.concatenate(([item], generator.choice(others, size=wanted - 1, replace=False)))


def _pictures_of(names: Sequence[str], pictures: pd.DataFrame, column: str) -> list[NDArray[np.int64]]:
    members = _positions_by_key(list(pictures[column]))
    lacking = [name for name in names if name not in members]
    if lacking:
        raise InputError(f"No training picture for {lacking[0]!r}: add one, or leave its trials out.")
    return [members[name] for name in names]


def _positions_by_key(keys: Sequence[Any]) -> dict[Any, NDArray[np.int64]]:
    positions: dict[Any, list[int]] = {}
    for position, key in enumerate(keys):
        positions.setdefault(key, []).append(position)
    return {key: np.array(members) for key, members in positions.items()}
