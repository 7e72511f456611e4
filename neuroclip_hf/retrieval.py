"""A recording and a folder of pictures -> for each event, the pictures that fit best."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.epochs import choose_channels, cut_epochs
from neuroclip_hf.data.pictures import PictureFolder, Target, open_picture
from neuroclip_hf.data.recordings import NAME, Recording, check_signal
from neuroclip_hf.data.whitening import whiten
from neuroclip_hf.errors import InputError
from neuroclip_hf.figures import Found, SheetRow, retrieval_sheet
from neuroclip_hf.metrics.retrieval import similarity
from neuroclip_hf.processing.collator import PictureSet
from neuroclip_hf.processing.embedding import embed_pictures, encode_trials
from neuroclip_hf.processing.processing_brain import BrainFeatureExtractor, NeuroCLIPProcessor

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
    processor: NeuroCLIPProcessor,
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
        model (`NeuroCLIPModel`): of the checkpoint.
        processor (`NeuroCLIPProcessor`): of the checkpoint.
        recording (`Recording`): opened with [`open_recording`].
        gallery (`PictureFolder`): pictures to choose from.
        top_k (`int`): pictures a query.
        single_trials (`bool`): a query for every event; otherwise events of the same name are averaged.

    Raises:
        InputError: if channels, rate or window do not fit the checkpoint, or no epoch survives.
    """
    if top_k < 1:
        raise InputError(f"top_k is {top_k}: at least one picture must be asked for.")
    names, trials = _epochs(recording, processor.feature_extractor)
    groups = [[row] for row in range(len(names))] if single_trials else _by_name(names)
    means = np.stack([trials[rows].mean(axis=0) for rows in groups])
    pictures = PictureSet(lambda name: open_picture(gallery.path(name)), gallery.image_ids, processor)
    scores = similarity(encode_trials(model, processor, means), embed_pictures(model, pictures, "gallery"))
    found = torch.topk(scores, min(top_k, len(gallery.image_ids)), dim=1)
    return [
        _retrieved(names[rows[0]], len(rows), gallery, values, places)
        for rows, values, places in zip(groups, found.values, found.indices, strict=True)
    ]


def _epochs(recording: Recording, trials: BrainFeatureExtractor) -> tuple[list[str], NDArray[np.float32]]:
    raw, path = recording.raw, recording.file.path
    settings = replace(trials.epoch_settings, sampling_rate=trials.sampling_rate)
    channels = choose_channels(raw, trials.channel_names, path)
    check_signal(recording, channels)
    if raw.info["sfreq"] < (trials.sampling_rate or 0):
        raise InputError(
            f"{path} has {raw.info['sfreq']:g} Hz, less than the {trials.sampling_rate:g} Hz that the checkpoint was "
            "trained at: record faster, or train at a lower --rate."
        )
    events: pd.DataFrame = recording.events
    names, parts = [], []
    for rows, values in cut_epochs(raw, events[columns.SAMPLE].to_numpy(), settings, channels):
        whitened = values if trials.whitening is None else whiten(values, np.asarray(trials.whitening))
        names += [str(name) for name in events[NAME].to_numpy()[rows]]
        parts.append(whitened.astype(np.float32))
    if not parts:
        raise InputError(f"{path}: no epoch survived rejection and the recording's ends: nothing can be retrieved.")
    return names, np.concatenate(parts)


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
        label = Path(shown).stem if shown else (f"any {one.target.concept}" if one.target else one.name)
        matches = [
            Found(
                open_picture(gallery.path(match.image_id)), Path(match.image_id).stem, match.score, bool(match.right)
            )
            for match in one.matches
        ]
        rows.append(SheetRow(label, open_picture(gallery.path(shown)) if shown else None, matches))
    title = f"Retrieved: the first {len(rows)} of {len(found)} queries" if len(rows) < len(found) else None
    retrieval_sheet(rows, path, title=title)
