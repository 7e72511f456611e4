"""Who trains and who is tested: intra-subject, leave-one-subject-out, or all subjects together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from neuroclip_hf import columns
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError


@dataclass(frozen=True)
class SubjectSplit:
    """One training: whose trials train and validate, and whose test trials are opened afterwards.

    Args:
        kind (`str`): one of `columns.SUBJECT_SPLITS`.
        train (`tuple[str, ...]`): subjects, as the store names them.
        test (`tuple[str, ...]`): likewise.
    """

    kind: str
    train: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of the split among its like: the subject that is tested, or "pooled"."""
        return columns.POOLED if self.kind == columns.POOLED else self.test[0]

    @property
    def held_out_subject(self) -> str | None:
        """The subject that is tested without having trained, if there is one."""
        return self.test[0] if self.kind == columns.LEAVE_ONE_SUBJECT_OUT else None

    def settings(self) -> dict[str, Any]:
        """Settings of a recipe that train this split: overrides for `load_recipe`."""
        return {"split": self.kind, "subjects": list(self.train), "held_out_subject": self.held_out_subject}


def subject_split(
    store: TrialStore, kind: str, subjects: Sequence[str] | None = None, held_out_subject: str | None = None
) -> SubjectSplit:
    """The one split that settings ask for.

    Args:
        store (`TrialStore`): only its tables are looked at.
        kind (`str`): "pooled": all subjects train and are tested. "intra-subject": one does. "leave-one-subject-out"
            (the field's inter-subject): `held_out_subject` is tested, no trial of it trains or validates.
        subjects (sequence of `str`, *optional*): who trains; by default all of the store, but the one held out.
        held_out_subject (`str`, *optional*): for "leave-one-subject-out", and for nothing else.

    Raises:
        InputError: for an unknown kind or subject, for several subjects where one is meant, and where the held-out
            subject stands among those that train, by its name or by its recordings.
    """
    if kind not in columns.SUBJECT_SPLITS:
        raise InputError(f"split is {kind!r}: choose one of {', '.join(columns.SUBJECT_SPLITS)}.")
    named = _named(store, subjects)
    if kind == columns.LEAVE_ONE_SUBJECT_OUT:
        if held_out_subject is None:
            raise InputError(
                f"split={kind} needs held_out_subject: one of {', '.join(store.subjects)}, in one training each."
            )
        return _leave_out(store, named if subjects is not None else None, store.subject(held_out_subject))
    if held_out_subject is not None:
        raise InputError(
            f"held_out_subject is {held_out_subject}, and split={kind} holds no subject out: say "
            f"split={columns.LEAVE_ONE_SUBJECT_OUT}, or leave it away."
        )
    if kind == columns.INTRA_SUBJECT and len(named) > 1:
        raise InputError(
            f"split={kind} trains on one subject, and here are {', '.join(named)}: name one, as in "
            f"subjects={named[0]}, and train once for each; or say split={columns.POOLED}."
        )
    return SubjectSplit(kind, named, named)


def subject_splits(store: TrialStore, kind: str, subjects: Sequence[str] | None = None) -> list[SubjectSplit]:
    """All splits of a kind: one a subject for "intra-subject" and "leave-one-subject-out", one in all for "pooled".

    Args:
        store (`TrialStore`): see [`subject_split`].
        kind (`str`): see [`subject_split`].
        subjects (sequence of `str`, *optional*): the subjects that there are; by default all of the store.

    Raises:
        InputError: see [`subject_split`].
    """
    named = _named(store, subjects)
    if kind == columns.INTRA_SUBJECT:
        return [subject_split(store, kind, [name]) for name in named]
    if kind == columns.LEAVE_ONE_SUBJECT_OUT:
        return [subject_split(store, kind, [other for other in named if other != name], name) for name in named]
    return [subject_split(store, kind, named)]


def _named(store: TrialStore, subjects: Sequence[str] | None) -> tuple[str, ...]:
    names = store.subjects if subjects is None else subjects
    return tuple(dict.fromkeys(store.subject(name) for name in names))


def _leave_out(store: TrialStore, named: tuple[str, ...] | None, held_out: str) -> SubjectSplit:
    if named is not None and held_out in named:
        raise InputError(
            f"held_out_subject {held_out} is among subjects ({', '.join(named)}), who train: leave it out of one."
        )
    train = named if named is not None else tuple(name for name in store.subjects if name != held_out)
    if not train:
        raise InputError(
            f"split={columns.LEAVE_ONE_SUBJECT_OUT} needs a second subject, who trains; {store.path} holds "
            f"{', '.join(store.subjects)}: prepare it with more, or say split={columns.INTRA_SUBJECT}."
        )
    same = [name for name in train if _plain(name) == _plain(held_out)]
    if same:
        raise InputError(
            f"held_out_subject {held_out} and {same[0]}, who trains, look like two spellings of one subject: leave "
            "one out of the store, or name those who train with subjects=."
        )
    _refuse_shared_recordings(store, train, held_out)
    if not len(store.select(columns.TEST, [held_out])):
        raise InputError(f"{store.path} holds no test trials of {held_out}: hold out another subject.")
    return SubjectSplit(columns.LEAVE_ONE_SUBJECT_OUT, train, (held_out,))


def _refuse_shared_recordings(store: TrialStore, train: Sequence[str], held_out: str) -> None:
    table = store.trials
    mine = table[table[columns.SUBJECT] == held_out]
    theirs = table[table[columns.SUBJECT].isin(train)]
    shared = theirs[theirs[columns.DIGEST].isin(set(mine[columns.DIGEST]))]
    if len(shared):
        first = shared.iloc[0]
        other = mine[mine[columns.DIGEST] == first[columns.DIGEST]].iloc[0]
        raise InputError(
            f"{len(shared)} trials of those who train are recordings of {held_out}, who is held out: "
            f"{first[columns.FILE]} of {first[columns.SUBJECT]} and {other[columns.FILE]} of {held_out}, for example. "
            "One person may not stand on both sides: leave one of the two out."
        )


def _plain(name: str) -> str:
    """A subject's name without what spellings differ in: "sub-01", "Sub01" and "1" are "1"."""
    return re.sub(r"\d+", lambda number: number[0].lstrip("0"), re.sub(r"^sub|[-_.]", "", name.lower()))
