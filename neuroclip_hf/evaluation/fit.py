"""Whose trials of a store are tested, and what a reader must be told of the store and a checkpoint."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from neuroclip_hf import columns
from neuroclip_hf.data.sources.recorded import SESSION, TRAINING_SUBJECTS, WHITENING_FITS
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError
from neuroclip_hf.processing.processing_brain import BrainImageProcessor

OWN_SESSION, BY_TRAINING_SUBJECTS, NOT_WHITENED = "own session", "training subjects", "none"
_WHITENINGS = {
    WHITENING_FITS[SESSION]: OWN_SESSION,
    WHITENING_FITS[TRAINING_SUBJECTS]: BY_TRAINING_SUBJECTS,
    None: NOT_WHITENED,
}


def subjects_to_test(
    run: dict[str, Any], store: TrialStore, subjects: Sequence[str] | None = None
) -> list[str] | None:
    """Whose test trials an evaluation of a run opens.

    Args:
        run (`dict`): what run.json says; empty for a checkpoint that came without one.
        store (`TrialStore`): to be evaluated on.
        subjects (sequence of `str`, *optional*): whom the user names. By default the subject that was held out, else
            those who trained; in a store that has none of them, everybody.

    Returns:
        Names of the store; None means everybody.

    Raises:
        InputError: if some of them trained and some did not: their numbers mean different things.
    """
    if subjects is None and run:
        planned = [run["held_out_subject"]] if run["held_out_subject"] else run["subjects"]
        subjects = [name for name in planned if name in store.subjects] or None
        if subjects is None and run["store"] == store.info.fingerprint:
            raise InputError(f"{store.path} holds none of {', '.join(planned)}, whom the run is to be tested on.")
    tested = store.subjects if subjects is None else list(dict.fromkeys(store.subject(name) for name in subjects))
    trained = [name for name in tested if name in run.get("subjects", ())]
    if trained and len(trained) < len(tested):
        new = [name for name in tested if name not in trained]
        raise InputError(
            f"The run was trained on {', '.join(trained)} and not on {', '.join(new)}: what they give means different "
            "things; name the ones or the others with --subjects."
        )
    return None if subjects is None else tested


def whitening_of(store: TrialStore) -> str:
    """What the trials of a store were whitened by, in few words; those of store.json where it was done elsewhere."""
    fit = store.info.whitening_fit
    return _WHITENINGS.get(fit, str(fit))


def flags_of(
    store: TrialStore,
    subjects: Sequence[str] | None,
    run: Mapping[str, Any],
    processor: BrainImageProcessor,
    seen: Mapping[str, Sequence[str]] | None,
    protocol: str,
) -> list[str]:
    """What does not forbid an evaluation, and must stand beside its numbers.

    Args:
        store (`TrialStore`): that is evaluated on.
        subjects (sequence of `str` or None): whose test trials; None means everybody's.
        run (`dict`): what run.json says; empty for a checkpoint that came without one.
        processor (`BrainImageProcessor`): of the checkpoint; it knows who trained.
        seen (`dict` or None): what trained_on.json says: digests of trials, pictures and concepts that training or the
            validation that chose the epoch saw. None for a checkpoint that came without it.
        protocol (`str`): what training and test really share.

    Returns:
        A sentence each: what training found wrong with the model, another store than the one trained on, subjects that
        the checkpoint does not know (the one that the run held out is meant to be new), test targets that training or
        validation saw although the store parts them, a new subject whose recordings were trained on under another
        name, one recording in several test trials, one picture under several names in the gallery, and whitening that
        this package did not do.
    """
    tested = store.subjects if subjects is None else list(subjects)
    return [
        *_flags_of_run(store, tested, run, processor),
        *_flags_of_what_was_seen(store, tested, run, seen, protocol),
        *_flags_of_store(store, tested),
    ]


def _flags_of_run(
    store: TrialStore, tested: Sequence[str], run: Mapping[str, Any], processor: BrainImageProcessor
) -> list[str]:
    flags = []
    if run and run["store"] != store.info.fingerprint:
        flags.append(
            f"The store ({store.info.fingerprint}) is not the one that the run was trained on ({run['store']})."
        )
    known = {*processor.feature_extractor.subjects, *run.get("subjects", ()), run.get("held_out_subject")}
    unknown = [name for name in tested if name not in known]
    if unknown:
        flags.append(f"The checkpoint does not know {', '.join(unknown)}: nobody of that name was trained on.")
    flags += run.get("flags", ())
    return flags


def _flags_of_what_was_seen(
    store: TrialStore,
    tested: Sequence[str],
    run: Mapping[str, Any],
    seen: Mapping[str, Sequence[str]] | None,
    protocol: str,
) -> list[str]:
    if seen is None:
        return ["The checkpoint does not say what it was trained on: whether the test is new to it is not known."]
    flags = []
    if protocol != store.info.protocol:
        concepts = set(store.trials[columns.CONCEPT].to_numpy()[store.select(columns.TEST, tested)])
        shared = sorted(concepts & set(seen[columns.CONCEPT]))
        flags.append(
            f"The store declares {store.info.protocol}, and what holds is {protocol}: training, or the validation "
            f"that chose the epoch, saw {len(shared)} of the {len(concepts)} test concepts ({', '.join(shared[:3])}"
            f"{', ...' if len(shared) > 3 else ''})."
        )
    digests, split = store.trials[columns.DIGEST], store.trials[columns.SPLIT]
    for name in sorted(set(tested) - set(run.get("subjects", tested))):
        own = digests[(store.trials[columns.SUBJECT] == name) & (split != columns.TEST)]
        known = len(set(own) & set(seen[columns.DIGEST]))
        if known:
            flags.append(f"{name} is not new: {known} of its training trials were trained on under another name.")
    return flags


def _flags_of_store(store: TrialStore, tested: Sequence[str]) -> list[str]:
    flags = []
    trials = store.trials[columns.DIGEST].to_numpy()[store.select(columns.TEST, tested)]
    repeated = len(trials) - len(set(trials))
    if repeated:
        flags.append(f"{repeated} of {len(trials)} test trials are the same recording as another test trial.")
    files = store.gallery(columns.TEST)[columns.PICTURE_FILE].map(store.info.checksums)
    copies = sum(count - 1 for count in Counter(files.dropna()).values())
    if copies:
        flags.append(
            f"{copies} of the {len(files)} gallery pictures are copies of another under a second name: a copy of what "
            "was shown counts as wrong."
        )
    if whitening_of(store) not in (OWN_SESSION, BY_TRAINING_SUBJECTS, NOT_WHITENED):
        flags.append(f"This package did not whiten the recordings; on what that was fitted: {whitening_of(store)}.")
    return flags
