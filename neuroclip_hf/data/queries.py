"""Which trials are averaged into one query, and what each query looks for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.errors import InputError


@dataclass(frozen=True)
class Query:
    """Trials of one subject whose mean is one query.

    Args:
        trials (`tuple[int, ...]`): rows of the trial table.
        subject (`str`): whose they are.
        image_id (`str`): the picture that was shown; empty where only the concept is known.
        concept (`str`): what it showed.
    """

    trials: tuple[int, ...]
    subject: str
    image_id: str
    concept: str


def make_queries(
    trials: pd.DataFrame,
    rows: NDArray[np.int64],
    average: int | None,
    *,
    draws: int | None = None,
    seed: int = 0,
) -> list[Query]:
    """Group trials of the same subject and target into queries.

    Args:
        trials (`pandas.DataFrame`): the trial table.
        rows (`numpy.ndarray` of `int`): its rows to use.
        average (`int` or None): trials a query; None takes all trials of a target as one query; 1 makes every trial a
            query.
        draws (`int` or None): random queries a target, each of `average` different trials. None parts the trials of
            each target into as many disjoint queries as they give, in order of time.
        seed (`int`): of the draws.

    Raises:
        InputError: if `average` is below one, or a target has fewer trials: without it the gallery would be easier.
    """
    if average is not None and average < 1:
        raise InputError(f"average is {average}: a query needs at least one trial.")
    if not len(rows):
        raise InputError("The split is empty, no query can be made: prepare the store with trials for it.")
    generator = np.random.default_rng([seed, 5])
    table = trials.iloc[rows]
    queries: list[Query] = []
    too_few: list[str] = []
    for (subject, image_id, concept), mine in table.groupby(
        [columns.SUBJECT, columns.IMAGE_ID, columns.CONCEPT], sort=True
    ):
        positions = trials.index.get_indexer(mine.index)
        if len(positions) < (average or 1):
            too_few.append(f"{image_id or concept} of {subject} ({len(positions)})")
            continue
        for group in _groups(positions, average or len(positions), draws, generator):
            queries.append(Query(tuple(int(row) for row in group), str(subject), str(image_id), str(concept)))
    if too_few:
        raise InputError(
            f"{len(too_few)} targets have fewer than the {average} trials that a query averages: "
            f"{', '.join(too_few[:3])}{', ...' if len(too_few) > 3 else ''}. Average fewer, or leave --average out."
        )
    return queries


def target_mask(queries: Sequence[Query], gallery: pd.DataFrame) -> NDArray[np.bool_]:
    """Which gallery pictures are right for each query.

    The picture that was shown; where only the concept is known, every picture of it.

    Returns:
        `numpy.ndarray` of `bool`, shape `(queries, gallery)`.

    Raises:
        InputError: if the gallery holds no right picture for a query.
    """
    image_ids, concepts = gallery[columns.IMAGE_ID].to_numpy(), gallery[columns.CONCEPT].to_numpy()
    mask = np.stack([image_ids == q.image_id if q.image_id else concepts == q.concept for q in queries])
    lacking = np.flatnonzero(~mask.any(axis=1))
    if lacking.size:
        query = queries[lacking[0]]
        raise InputError(f"The gallery lacks the picture of {query.image_id or query.concept!r}: add it.")
    return mask


def _groups(
    rows: NDArray[np.int64], size: int, draws: int | None, generator: np.random.Generator
) -> list[NDArray[np.int64]]:
    if draws is None:
        return [rows[start : start + size] for start in range(0, len(rows) - size + 1, size)]
    return [generator.choice(rows, size=size, replace=False) for _ in range(draws)]


def require_tested_split(split: str) -> None:
    """Refuse a split that no finished run is asked about.

    Raises:
        InputError: if it is none of `columns.TESTED_SPLITS`.
    """
    if split not in columns.TESTED_SPLITS:
        raise InputError(f"--trials is {split!r}: choose one of {', '.join(columns.TESTED_SPLITS)}.")
