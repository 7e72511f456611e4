"""Which trials meet in a training batch: seeded orders that depend on seed and epoch alone.

Batches are those of all processes together: one that trains with others takes its slice of each. NumPy only; torch
gets them through `neuroclip_hf.training.seeding.BatchOrder`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.errors import InputError

CLASS_SHARE = 8
"""Concepts are few where a batch has room for this many trials of each (ours)."""
_SEED_WORD = 13  # keeps the orders of an equal seed apart from other choices (ours)


class Batches(ABC):
    """An order of training items: for every epoch a list of batches, all of `batch_size` items but perhaps the last.

    A last batch of a single item is left out: it has nothing to be told from, and batch norm refuses it. Nothing else
    is left out, and nothing is repeated within an epoch, unless a subclass says so.

    Args:
        items (`int`): how many there are.
        batch_size (`int`): of all processes together; at most all items.
        seed (`int`): of the order.

    Raises:
        InputError: for fewer than two items or places.
    """

    name: ClassVar[str]
    """What run.json calls it: one of `columns.SAMPLINGS`."""

    def __init__(self, items: int, batch_size: int, seed: int) -> None:
        if items < 2:
            raise InputError(f"There are {items} training items: a contrastive loss needs at least two.")
        if batch_size < 2:
            raise InputError(f"batch_size is {batch_size}: a contrastive loss needs at least 2.")
        self.items, self.seed = items, seed
        self.batch_size = min(batch_size, items)
        self.used = items

    def __len__(self) -> int:
        whole, rest = divmod(self.used, self.batch_size)
        return whole + (rest > 1)

    def epoch(self, epoch: int) -> list[list[int]]:
        """The batches of an epoch, counted from 0."""
        return self._cut(self._order(epoch))

    def describe(self) -> dict[str, Any]:
        """What run.json says of it."""
        return {"by": self.name, "batch_size": self.batch_size, "trials_an_epoch": self.used}

    @abstractmethod
    def _order(self, epoch: int) -> NDArray[np.int64]:
        """The items of an epoch, to be cut into batches."""

    def _generator(self, epoch: int, *use: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, epoch, _SEED_WORD, *use])

    def _cut(self, order: NDArray[np.int64]) -> list[list[int]]:
        starts = range(0, len(self) * self.batch_size, self.batch_size)
        return [order[start : start + self.batch_size].tolist() for start in starts]


class Shuffled(Batches):
    """All items in a random order, in batches of one size."""

    name = columns.SHUFFLED

    def _order(self, epoch: int) -> NDArray[np.int64]:
        return self._generator(epoch).permutation(self.items)


class SubjectsByPictures(Batches):
    """Every batch shows the same pictures to several subjects.

    A batch has one place for each of P pictures and S subjects, P x S being as near to the batch size as it goes
    without exceeding it. S is the number of subjects, but at most the root of the batch size, so that there are no
    fewer pictures than subjects (ours); where there are more, each epoch parts them anew into groups of S or one less.
    Repeats of a picture stand in different rounds through the pictures, so that a batch rarely has one twice. Trials
    of pictures that some of a group lack follow after those that all have: there, and where groups are of two
    sizes, the first and the last picture of a batch may have their other subjects in another batch.

    Args:
        subjects (sequence): whose each item is.
        pictures (sequence): what each item shows.
        batch_size (`int`): see [`Batches`].
        seed (`int`): see [`Batches`].
    """

    name = columns.SUBJECTS_BY_PICTURES

    def __init__(
        self,
        subjects: Sequence[Any] | NDArray[Any],
        pictures: Sequence[Any] | NDArray[Any],
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__(len(subjects), batch_size, seed)
        self._subject = np.unique(np.asarray(subjects), return_inverse=True)[1]
        self._picture = np.unique(np.asarray(pictures), return_inverse=True)[1]
        self._count = int(self._subject.max()) + 1
        most = max(1, min(self._count, int(np.sqrt(self.batch_size))))
        self._groups = -(-self._count // most)
        self.subjects_a_batch = -(-self._count // self._groups)
        self.batch_size -= self.batch_size % self.subjects_a_batch

    def describe(self) -> dict[str, Any]:
        """What run.json says of it."""
        pictures = self.batch_size // self.subjects_a_batch
        return {**super().describe(), "subjects_a_batch": self.subjects_a_batch, "pictures_a_batch": pictures}

    def epoch(self, epoch: int) -> list[list[int]]:
        """The batches of an epoch, counted from 0; whole ones in random order, then a shorter one if any."""
        generator = self._generator(epoch, 1)
        batches = [generator.permutation(batch).tolist() for batch in self._cut(self._order(epoch))]
        whole = [batch for batch in batches if len(batch) == self.batch_size]
        return [whole[place] for place in generator.permutation(len(whole))] + batches[len(whole) :]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Items subject after subject within a picture, picture after picture within a round, group after group."""
        generator = self._generator(epoch)
        mixed = generator.permutation(self.items)
        turn = np.empty(self.items, dtype=np.int64)  # how many repeats of its subject and picture come before it
        pictures = self._picture.max() + 1
        turn[mixed] = _rank_within(self._subject[mixed] * pictures + self._picture[mixed])
        groups = generator.permutation(self._count) % self._groups
        group = groups[self._subject]
        # A column: the trials of a group's subjects that show one picture, each for the same time.
        _, column, members = np.unique(
            (group * (turn.max() + 1) + turn) * pictures + self._picture, return_inverse=True, return_counts=True
        )
        lacking = members[column] < np.bincount(groups, minlength=self._groups)[group]
        place = generator.permutation(len(members))[column]
        return np.lexsort((self._subject, place, turn, group, lacking))


class ClassBalanced(Batches):
    """Every batch holds the concepts in equal shares (one trial more or less); for few concepts.

    An epoch ends when the rarest concept has no trial left, so that of the others some are left out, other ones each
    epoch; none is repeated. `trials_an_epoch` of run.json says how many take part.

    Args:
        concepts (sequence): what each item shows.
        batch_size (`int`): see [`Batches`].
        seed (`int`): see [`Batches`].
    """

    name = columns.CLASS_BALANCED

    def __init__(self, concepts: Sequence[Any] | NDArray[Any], batch_size: int, seed: int) -> None:
        super().__init__(len(concepts), batch_size, seed)
        self._concept = np.unique(np.asarray(concepts), return_inverse=True)[1]
        counts = np.bincount(self._concept)
        if len(counts) > self.batch_size:
            raise InputError(
                f"sampling={self.name} needs room for each concept in a batch: there are {len(counts)}, and "
                f"batch_size is {self.batch_size}; say sampling={columns.SHUFFLED}."
            )
        self._count = len(counts)
        self.used = int(counts.min()) * self._count
        if self.used < 2:
            raise InputError("There is one training item of one concept: a contrastive loss needs at least two.")
        self.batch_size = min(self.batch_size, self.used)

    def epoch(self, epoch: int) -> list[list[int]]:
        """The batches of an epoch, counted from 0."""
        generator = self._generator(epoch, 1)
        return [generator.permutation(batch).tolist() for batch in super().epoch(epoch)]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        generator = self._generator(epoch)
        mixed = generator.permutation(self.items)
        cycle = np.empty(self.items, dtype=np.int64)
        cycle[mixed] = _rank_within(self._concept[mixed])
        # One order of concepts for all cycles: any stretch of them then has equal shares.
        turn = generator.permutation(self._count)[self._concept]
        return np.lexsort((turn, cycle))[: self.used]


@dataclass(frozen=True)
class ItemKeys:
    """What a sampling looks at, an entry an item.

    Args:
        subjects (`numpy.ndarray`): whose trial it is.
        concepts (`numpy.ndarray`): what the picture shows.
        pictures (`numpy.ndarray` or None): which picture it is; None where only the concept is known.
    """

    subjects: NDArray[Any]
    concepts: NDArray[Any]
    pictures: NDArray[Any] | None = None


def make_batches(sampling: str, keys: ItemKeys, batch_size: int, seed: int) -> Batches:
    """The order that a recipe's `sampling` names.

    Args:
        sampling (`str`): "shuffled", "subjects-by-pictures", "class-balanced", or "auto": see [`choose_sampling`].
        keys (`ItemKeys`): of the training items.
        batch_size (`int`): over all processes together.
        seed (`int`): of the order.

    Raises:
        InputError: for an unknown name, or a sampling that cannot be: one subject, no pictures, or more concepts than
            places.
    """
    if sampling not in columns.SAMPLINGS:
        raise InputError(f"sampling is {sampling!r}: choose one of {', '.join(columns.SAMPLINGS)}.")
    chosen = choose_sampling(keys, batch_size) if sampling == columns.AUTO else sampling
    if chosen == columns.CLASS_BALANCED:
        return ClassBalanced(keys.concepts, batch_size, seed)
    if chosen == columns.SUBJECTS_BY_PICTURES:
        if keys.pictures is None or len(np.unique(keys.subjects)) < 2:
            lacking = "trials that know their picture" if keys.pictures is None else "several subjects"
            raise InputError(f"sampling={chosen} needs {lacking}: say sampling={columns.SHUFFLED}.")
        return SubjectsByPictures(keys.subjects, keys.pictures, batch_size, seed)
    return Shuffled(len(keys.subjects), batch_size, seed)


def choose_sampling(keys: ItemKeys, batch_size: int) -> str:
    """What "auto" stands for (the choice is ours).

    "class-balanced" where trials know only their concept, a batch has room for eight trials of each, and the rarest
    concept has at least half as many trials as the commonest; "subjects-by-pictures" where most trials show a picture
    that another subject saw too; else "shuffled".
    """
    if keys.pictures is None:
        counts = np.unique(keys.concepts, return_counts=True)[1]
        few = len(counts) * CLASS_SHARE <= min(batch_size, len(keys.concepts))
        return columns.CLASS_BALANCED if few and 2 * counts.min() >= counts.max() else columns.SHUFFLED
    picture = np.unique(keys.pictures, return_inverse=True)[1]
    subject = np.unique(keys.subjects, return_inverse=True)[1]
    seen_by = np.bincount(np.unique(np.stack([picture, subject]), axis=1)[0])
    return columns.SUBJECTS_BY_PICTURES if (seen_by[picture] > 1).mean() > 0.5 else columns.SHUFFLED


def _rank_within(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each entry, how many equal ones stand before it."""
    order = np.argsort(keys, kind="stable")
    _, starts, counts = np.unique(keys[order], return_index=True, return_counts=True)
    rank = np.empty(len(keys), dtype=np.int64)
    rank[order] = np.arange(len(keys)) - np.repeat(starts, counts)
    return rank
