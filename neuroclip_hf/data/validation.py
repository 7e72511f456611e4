"""Which training trials are held out to choose the epoch."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.splits import refuse_shared_trials
from neuroclip_hf.errors import InputError

VALIDATION_CONCEPTS = 100
"""Largest number of training concepts held out for validation; a tenth of them where that is fewer (ours)."""
BY_PROTOCOL = {
    columns.NEW_CONCEPTS: columns.BY_CONCEPTS,
    columns.NEW_PICTURES: columns.BY_PICTURES,
    columns.NEW_TRIALS: columns.BY_TRIALS,
}
"""What each protocol holds out, where nothing else is asked for: what it holds out of training for the test."""
_TOO_FEW = {
    columns.BY_CONCEPTS: "concepts",
    columns.BY_PICTURES: "pictures of one concept",
    columns.BY_SUBJECTS: "subjects",
}
_SEED_WORD = 11  # keeps the choice of an equal seed apart from the order of batches (ours)


def validation_of(protocol: str, trials: pd.DataFrame) -> str:
    """What is held out to choose the epoch, where nothing else is asked for: what the protocol holds out for the test.

    Where every concept has one picture, a new picture is a new concept, whatever the protocol calls it.

    Args:
        protocol (`str`): one of `columns.PROTOCOLS`.
        trials (`pandas.DataFrame`): the trials that may train.
    """
    by = BY_PROTOCOL[protocol]
    shown = trials[[columns.CONCEPT, columns.IMAGE_ID]].drop_duplicates()
    known = (shown[columns.IMAGE_ID] != "").all()
    if by == columns.BY_PICTURES and known and shown[columns.CONCEPT].is_unique:
        return columns.BY_CONCEPTS
    return by


def hold_out_validation(
    trials: pd.DataFrame, train: NDArray[np.int64], by: str, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Part training trials into training and validation.

    "concepts" holds concepts out (the smaller of 100 and a tenth of them, but at least two), "pictures" a tenth of the
    pictures of each concept, "trials" the last run of each subject, or the last fifth of the trials of a single run,
    "sessions" the last session of each subject (of ten and more the last fifth), "subjects" one subject. Sessions
    and subjects may have seen the pictures that train; [`shared_targets`] says whether they did. How much is held out
    is our choice.

    Args:
        trials (`pandas.DataFrame`): the trial table.
        train (`numpy.ndarray` of `int`): its rows that may train.
        by (`str`): one of the above.
        seed (`int`): chooses concepts, pictures or the subject.

    Returns:
        Rows that train and rows that validate.

    Raises:
        InputError: if nothing can be held out, or the same recording would stand on both sides.
    """
    if by not in _CHOICES:
        raise InputError(f"validation is {by!r}: choose one of {', '.join(_CHOICES)}.")
    table = trials.iloc[train].reset_index(drop=True)
    held = _CHOICES[by](table, seed)
    if not held.any() or held.all():
        few = _TOO_FEW.get(by, "trials")
        raise InputError(
            f"Validation cannot be held out of {len(train)} training trials by {by}: there are too few {few}; prepare "
            "the store with more, or with a validation split of its own, or choose another validation="
            f"({', '.join(_CHOICES)})."
        )
    refuse_shared_trials(table.assign(**{columns.SPLIT: np.where(held, columns.VALIDATION, columns.TRAIN)}))
    return train[~held], train[held]


def shared_targets(trials: pd.DataFrame, train: NDArray[np.int64], validation: NDArray[np.int64]) -> str:
    """What validation trials share with those that train: "pictures", "concepts" or "nothing"."""
    for name, word in ((columns.IMAGE_ID, "pictures"), (columns.CONCEPT, "concepts")):
        mine, theirs = (set(trials[name].iloc[rows]) - {""} for rows in (train, validation))
        if mine & theirs:
            return word
    return "nothing"


def last_fifth(table: pd.DataFrame) -> pd.Index:
    """Index of the last fifth, in time, of the trials of each concept of each recording."""
    parts = []
    for _, mine in table.groupby([columns.SUBJECT, columns.SESSION, columns.RUN, columns.CONCEPT]):
        ordered = mine.sort_values(columns.SAMPLE).index
        parts.append(ordered[len(ordered) - len(ordered) // 5 :])
    return pd.Index(np.concatenate(parts)) if parts else table.index[:0]


def _some_concepts(table: pd.DataFrame, seed: int) -> NDArray[np.bool_]:
    concepts = sorted(set(table[columns.CONCEPT]))
    # At least two: one concept of one picture would be found blindly.
    count = min(VALIDATION_CONCEPTS, max(2, len(concepts) // 10), len(concepts))
    return table[columns.CONCEPT].isin(_choose(concepts, count, seed)).to_numpy()


def _some_pictures(table: pd.DataFrame, seed: int) -> NDArray[np.bool_]:
    if (table[columns.IMAGE_ID] == "").any():
        raise InputError(
            "validation=pictures needs to know which picture each trial showed, and this store's trials know only its "
            "concept: say validation=trials, or prepare recordings whose events name pictures."
        )
    chosen: list[str] = []
    for _, mine in table.groupby(columns.CONCEPT):
        pictures = sorted(set(mine[columns.IMAGE_ID]))
        if len(pictures) > 1:
            chosen += _choose(pictures, max(1, len(pictures) // 10), seed)
    return table[columns.IMAGE_ID].isin(chosen).to_numpy()


def _last_trials(table: pd.DataFrame, seed: int) -> NDArray[np.bool_]:
    held = pd.Series(False, index=table.index)
    for _, mine in table.groupby(columns.SUBJECT):
        runs = mine[[columns.SESSION, columns.RUN]].drop_duplicates().sort_values([columns.SESSION, columns.RUN])
        if len(runs) > 1:
            last = runs.iloc[-1]
            chosen = (mine[columns.SESSION] == last[columns.SESSION]) & (mine[columns.RUN] == last[columns.RUN])
            held[mine.index[chosen]] = True
        else:
            held[last_fifth(mine)] = True
    return held.to_numpy()


def _last_sessions(table: pd.DataFrame, seed: int) -> NDArray[np.bool_]:
    held = pd.Series(False, index=table.index)
    for subject, mine in table.groupby(columns.SUBJECT):
        sessions = sorted(set(mine[columns.SESSION]))
        if len(sessions) < 2:
            raise InputError(
                f"validation=sessions holds out the last session of each subject, and {subject} has {len(sessions)}: "
                "say validation=trials, or leave the subject out."
            )
        last = sessions[len(sessions) - max(1, len(sessions) // 5) :]
        held[mine.index[mine[columns.SESSION].isin(last)]] = True
    return held.to_numpy()


def _one_subject(table: pd.DataFrame, seed: int) -> NDArray[np.bool_]:
    return table[columns.SUBJECT].isin(_choose(sorted(set(table[columns.SUBJECT])), 1, seed)).to_numpy()


_CHOICES = {
    columns.BY_CONCEPTS: _some_concepts,
    columns.BY_PICTURES: _some_pictures,
    columns.BY_TRIALS: _last_trials,
    columns.BY_SESSIONS: _last_sessions,
    columns.BY_SUBJECTS: _one_subject,
}


def _choose(names: Sequence[str], count: int, seed: int) -> list[str]:
    return list(np.random.default_rng([seed, _SEED_WORD]).choice(names, size=count, replace=False))
