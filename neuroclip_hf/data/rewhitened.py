"""A store that was whitened session by session, read as if others' recordings had whitened it.

For a subject that nobody recorded before there is no training recording of the subject's own to whiten by. A store
keeps the noise covariance of every session, so the one whitening can be undone and the other put in its place.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.sources.recorded import SESSION, TRAINING_SUBJECTS, WHITENING_FITS
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_view import StoreView
from neuroclip_hf.data.whitening import whitening_matrix
from neuroclip_hf.errors import InputError


def can_be_rewhitened(store: TrialStore) -> bool:
    """Whether a store was whitened session by session, and knows by what."""
    return store.info.whitening_fit == WHITENING_FITS[SESSION] and store.covariances() is not None


def whitened_by(store: TrialStore, subjects: Sequence[str]) -> TrialStore:
    """A store whose trials are whitened by the mean covariance of some subjects, as `training-subjects` does it.

    Trials were rounded to float16 once, under their own whitening; beyond that they are what a store of the
    recordings would hold.

    Args:
        store (`TrialStore`): whitened session by session.
        subjects (sequence of `str`): by whose training recordings; each subject's mean over sessions counts once.

    Raises:
        InputError: if the store was whitened otherwise, or keeps no covariance of one of its subjects.
    """
    if not can_be_rewhitened(store):
        raise InputError(f"{store.path} was not whitened session by session: prepare it with --whitening session.")
    return _RewhitenedStore(store, subjects)


class _RewhitenedStore(StoreView):
    """See [`whitened_by`]."""

    def __init__(self, whole: TrialStore, subjects: Sequence[str]) -> None:
        super().__init__(whole, replace(whole.info, whitening_fit=WHITENING_FITS[TRAINING_SUBJECTS]))
        means = [_covariances(whole, subject).mean(axis=0) for subject in subjects]
        whiten = whitening_matrix(np.mean(means, axis=0))
        self._matrices = {
            (subject, session): whiten @ np.linalg.inv(whitening_matrix(covariance))
            for subject in whole.subjects
            for session, covariance in zip(
                _whitened_sessions(whole, subject), _covariances(whole, subject), strict=True
            )
        }

    def change(self, values: NDArray[np.float32], trials: NDArray[np.int64]) -> NDArray[np.float32]:
        table = self.trials.iloc[trials]
        keys = list(zip(table[columns.SUBJECT], table[columns.SESSION], strict=True))
        for key in dict.fromkeys(keys):
            mine = np.array([key == each for each in keys])
            values[mine] = self._matrices[key] @ values[mine]
        return values


def _covariances(store: TrialStore, subject: str) -> NDArray[np.float64]:
    found = store.covariances([store.subject(subject)])
    sessions = _whitened_sessions(store, subject)
    if found is None or len(found) != len(sessions):
        known = 0 if found is None else len(found)
        raise InputError(
            f"{store.path} keeps {known} noise covariances of {subject}, who has trials of {len(sessions)} sessions: "
            "prepare the store again."
        )
    return found


def _whitened_sessions(store: TrialStore, subject: str) -> list[int]:
    return sorted(set(store.trials[columns.SESSION][store.trials[columns.SUBJECT] == store.subject(subject)]))
