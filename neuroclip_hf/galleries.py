"""A recording and a folder of pictures -> for each event, the pictures that fit best."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neuroclip_hf.data.pictures import PictureFolder, Target, open_picture
from neuroclip_hf.data.recordings import Recording
from neuroclip_hf.errors import InputError
from neuroclip_hf.figures import Found, SheetRow, retrieval_sheet
from neuroclip_hf.logging import get_logger
from neuroclip_hf.metrics.retrieval import similarity
from neuroclip_hf.processing.collator import PictureSet
from neuroclip_hf.processing.embedding import embed_pictures, encode_trials
from neuroclip_hf.processing.processing_brain import BrainImageProcessor
from neuroclip_hf.processing.recordings import trials_of_recording

SHEET_QUERIES = 12
"""Queries on a sheet (ours): as many as one reads. They are the first, not the best."""


@dataclass(frozen=True)
class Match:
    """A gallery picture found for a query.

    Args:
        image_id (`str`): its path below the gallery.
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


def retrieve(
    model: Any,
    processor: BrainImageProcessor,
    recording: Recording,
    gallery: PictureFolder,
    *,
    top_k: int = 5,
    single_trials: bool = False,
) -> list[Retrieved]:
    """Find the pictures that fit a recording's events best.

    The recording is cut as the training recordings were; where those were whitened, with the mean noise covariance of
    the training sessions, which the checkpoint carries.

    Args:
        model (`BrainImageModel`): of the checkpoint.
        processor (`BrainImageProcessor`): of the checkpoint.
        recording (`Recording`): opened with [`open_recording`].
        gallery (`PictureFolder`): pictures to choose from.
        top_k (`int`): pictures a query.
        single_trials (`bool`): a query for every event; otherwise events of the same name are averaged.

    Raises:
        InputError: if channels, rate or window do not fit the checkpoint, or no epoch survives.
    """
    if top_k < 1:
        raise InputError(f"top_k is {top_k}: at least one picture must be asked for.")
    names, trials, _ = trials_of_recording(recording, processor.feature_extractor)
    unknown = [name for name in dict.fromkeys(names) if gallery.find(name) is None]
    if unknown:
        get_logger().warning(
            "%s: the gallery knows nothing called %s; what is found for it cannot be checked.",
            recording.file.path,
            ", ".join(map(repr, unknown[:5])),
        )
    groups = [[row] for row in range(len(names))] if single_trials else _by_name(names)
    means = np.stack([trials[rows].mean(axis=0) for rows in groups])
    pictures = PictureSet(lambda name: open_picture(gallery.path(name)), gallery.image_ids, processor)
    scores = similarity(
        encode_trials(model, processor, means, subjects=[recording.file.subject] * len(means)),
        embed_pictures(model, pictures, "gallery"),
    )
    found = torch.topk(scores, min(top_k, len(gallery.image_ids)), dim=1)
    return [
        _retrieved(names[rows[0]], len(rows), gallery, values, places)
        for rows, values, places in zip(groups, found.values, found.indices, strict=True)
    ]


def _by_name(names: Sequence[str]) -> list[list[int]]:
    groups: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        groups.setdefault(name, []).append(row)
    return list(groups.values())


def _retrieved(
    name: str, trials: int, gallery: PictureFolder, scores: torch.Tensor, places: torch.Tensor
) -> Retrieved:
    target = gallery.find(name)
    matches = []
    for score, place in zip(scores.tolist(), places.tolist(), strict=True):
        image_id = gallery.image_ids[place]
        right = None
        if target is not None:
            right = image_id == target.image_id if target.image_id else gallery.concept(image_id) == target.concept
        matches.append(Match(image_id, score, right))
    return Retrieved(name, trials, target, matches)


def load_gallery(folder: str | Path) -> PictureFolder:
    """List a gallery; every picture is opened, so that a damaged one is named before any work."""
    gallery = PictureFolder.scan(folder)
    for image_id in gallery.image_ids:
        open_picture(gallery.path(image_id))
    return gallery


def write_sheet(found: Sequence[Retrieved], gallery: PictureFolder, path: str | Path) -> None:
    """Draw the first queries, at most [`SHEET_QUERIES`]: the picture shown and the best five, right ones marked."""
    rows = []
    for one in found[:SHEET_QUERIES]:
        shown = one.target.image_id if one.target is not None else ""
        label = Path(shown).stem if shown else (one.target.concept if one.target else one.name)
        matches = [
            Found(
                open_picture(gallery.path(match.image_id)), Path(match.image_id).stem, match.score, bool(match.right)
            )
            for match in one.matches
        ]
        rows.append(SheetRow(label, open_picture(gallery.path(shown)) if shown else None, matches))
    title = f"Retrieved: the first {len(rows)} of {len(found)} queries" if len(rows) < len(found) else None
    retrieval_sheet(rows, path, title=title)
