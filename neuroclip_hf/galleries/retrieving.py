"""Trials and a gallery -> for each event, the entries that fit best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.pictures import Target
from neuroclip_hf.errors import InputError
from neuroclip_hf.galleries.gallery import embed_gallery
from neuroclip_hf.galleries.index.searching import as_searchable
from neuroclip_hf.galleries.searchable import SearchableGallery
from neuroclip_hf.logging import get_logger
from neuroclip_hf.processing.embedding import BATCH, encode_trials
from neuroclip_hf.processing.inputs import Trials, TrialsInForm, read_trials
from neuroclip_hf.processing.processing_brain import BrainImageProcessor


@dataclass(frozen=True)
class Match:
    """A gallery entry found for a query.

    Args:
        image_id (`str`): of a picture its id, below a folder its path; of a text its id.
        score (`float`): cosine similarity.
        right (`bool` or None): whether it is what was shown; None where the gallery does not know the event's name.
    """

    image_id: str
    score: float
    right: bool | None


@dataclass(frozen=True)
class Retrieved:
    """What was found for one event, or for the mean of all events of one name.

    Args:
        name (`str`): the event's name.
        trials (`int`): how many epochs were averaged.
        target (`Target` or None): what was shown, where the gallery holds it.
        matches (`list[Match]`): best first.
    """

    name: str
    trials: int
    target: Target | None
    matches: list[Match]


@dataclass(frozen=True)
class Retrieval:
    """What was found for some trials.

    Args:
        queries (`list[Retrieved]`): in the order in which events first came.
        gallery_size (`int`): entries that were chosen from.
        tier (`str`): "inductive"; "calibrated" where the processor was, on unlabelled trials; "transductive" where it
            was on these very trials.
        calibration (`dict` or None): what the processor says of its calibration.
        notes (`list[str]`): what was done to the trials, in words.
    """

    queries: list[Retrieved]
    gallery_size: int
    tier: str
    calibration: dict[str, Any] | None
    notes: list[str]


@dataclass(frozen=True)
class Queries:
    """Trials in a checkpoint's form, averaged event by event where asked.

    Args:
        names (`list[str]`): of the events; known (`bool`): whether the source named them.
        counts (`list[int]`): how many trials are in each mean.
        values (`numpy.ndarray` of shape `(queries, channels, samples)` or `(queries, voxels)`): the means.
        subject (`str`): whose.
        processor (`BrainImageProcessor`): that standardises them, calibrated where asked.
        tier (`str`), notes (`list[str]`): see [`Retrieval`].
    """

    names: list[str]
    known: bool
    counts: list[int]
    values: NDArray[np.floating]
    subject: str
    processor: BrainImageProcessor
    tier: str
    notes: list[str]


def read_queries(
    processor: BrainImageProcessor,
    trials: Trials,
    *,
    single_trials: bool = False,
    calibrate: Trials | bool | None = None,
    **settings: Any,
) -> Queries:
    """Bring trials into the checkpoint's form, and average those of one name.

    Args:
        processor (`BrainImageProcessor`): of the checkpoint.
        trials: what [`read_trials`] takes.
        single_trials (`bool`): a query for every event; so it is also where nothing names them.
        calibrate: unlabelled trials to calibrate the processor on first; `True` for `trials` themselves.
        settings: other arguments of [`read_trials`].

    Raises:
        InputError: as [`read_trials`] and [`BrainImageProcessor.calibrate`].
    """
    tier = tier_of(processor)
    if calibrate is not None and calibrate is not False:
        itself = calibrate is True
        unlabelled = {name: value for name, value in settings.items() if itself or name != "names"}
        processor = processor.calibrate(trials if itself else calibrate, **unlabelled)
        tier = columns.TRANSDUCTIVE if itself else columns.CALIBRATED
    found = read_trials(trials, processor.feature_extractor, **settings)
    groups = list(events_of(found).items())
    if single_trials:
        groups = sorted(((name, [row]) for name, rows in groups for row in rows), key=lambda group: group[1])
    return Queries(
        names=[name for name, _ in groups],
        known=found.names is not None,
        counts=[len(rows) for _, rows in groups],
        values=np.stack([found.values[rows].mean(axis=0) for _, rows in groups]),
        subject=found.subject,
        processor=processor,
        tier=tier,
        notes=found.notes,
    )


def tier_of(processor: BrainImageProcessor) -> str:
    """The tier of what a processor's trials find: "calibrated" where it was calibrated, "inductive" otherwise."""
    return columns.INDUCTIVE if processor.feature_extractor.calibration is None else columns.CALIBRATED


def events_of(trials: TrialsInForm) -> dict[str, list[int]]:
    """Events by name, each with its trials in order of time; a trial without a name is an event of its own."""
    found: dict[str, list[int]] = {}
    for row, name in enumerate(trials.names or [f"trial {row}" for row in range(len(trials.values))]):
        found.setdefault(name, []).append(row)
    return found


def retrieve(
    model: Any,
    processor: BrainImageProcessor,
    trials: Trials,
    gallery: Any,
    *,
    top_k: int = 5,
    templates: Sequence[str] | None = None,
    batch_size: int = BATCH,
    **settings: Any,
) -> Retrieval:
    """Find the pictures, or texts, that fit the events of some trials best.

    Recordings are cut as the training recordings were cut; where those were whitened, with the mean noise covariance
    of the training sessions, which the checkpoint carries.

    Args:
        model (`BrainImageModel`): of the checkpoint.
        processor (`BrainImageProcessor`): of the checkpoint.
        trials: a recording, epochs, an array, or a file; see [`read_trials`].
        gallery: what [`as_searchable`] takes: pictures or texts, or an index of them.
        top_k (`int`): entries a query.
        templates (sequence of `str`, *optional*): of prompts, see [`embed_gallery`].
        batch_size (`int`): queries, or pictures, that are encoded at once.
        settings: of [`read_queries`].

    Raises:
        InputError: if trials, gallery and checkpoint do not fit each other, or no epoch survives.
    """
    check_sizes(top_k, batch_size)
    gallery = as_searchable(gallery)
    if isinstance(gallery, SearchableGallery):
        gallery.check(model, processor)
    queries = read_queries(processor, trials, **settings)
    embeds = embed_read(model, queries, batch_size)
    embedded = embed_gallery(model, processor, gallery, templates=templates, batch_size=batch_size)
    return rank(queries, embeds, embedded, top_k)


def check_sizes(top_k: int, batch_size: int) -> None:
    """Refuse counts below one.

    Raises:
        InputError: naming the setting.
    """
    for name, value in (("top_k", top_k), ("batch_size", batch_size)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name} is {value!r}: it must be a whole number, at least 1.")


def embed_read(model: Any, queries: Queries, batch_size: int = BATCH) -> torch.Tensor:
    """Embed queries: `(queries, projection_dim)` on the CPU, not normalised."""
    subjects = [queries.subject] * len(queries.values)
    return encode_trials(model, queries.processor, queries.values, subjects=subjects, batch_size=batch_size)


def rank(queries: Queries, embeds: torch.Tensor, gallery: SearchableGallery, top_k: int) -> Retrieval:
    """The entries of a gallery that fit queries best."""
    targets = {name: gallery.find(name) for name in dict.fromkeys(queries.names)} if queries.known else {}
    _warn_of_unknown(targets)
    found = gallery.search(embeds, top_k)
    retrieved = []
    for name, count, entries in zip(queries.names, queries.counts, found, strict=True):
        target = targets.get(name)
        matches = [
            Match(entry, score, None if target is None else gallery.is_right(entry, target))
            for entry, score in entries
        ]
        retrieved.append(Retrieved(name, count, target, matches))
    calibration = queries.processor.feature_extractor.calibration
    return Retrieval(retrieved, gallery.size, queries.tier, calibration, queries.notes)


def _warn_of_unknown(targets: Mapping[str, Target | None]) -> None:
    unknown = [name for name, target in targets.items() if target is None]
    if unknown:
        get_logger().warning(
            "The gallery knows nothing called %s; what is found for it cannot be checked.",
            ", ".join(map(repr, unknown[:5])),
        )
