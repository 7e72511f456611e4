"""Trials that were opened -> what is found for an event, how averaging changes it, and what it lived from."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from neuroclip_hf.errors import InputError
from neuroclip_hf.figures.inspection.one_query import QueryImportance, query_importance
from neuroclip_hf.figures.repeats import RepeatPoint
from neuroclip_hf.figures.scores import Score
from neuroclip_hf.galleries.retrieving import Queries, Retrieved, embed_read, events_of, rank, tier_of
from neuroclip_hf.metrics.retrieval import similarity
from neuroclip_hf.processing.inputs import TrialsInForm
from neuroclip_hf.space.shelf import Shelf

TOP_K = 5
DRAWS = 4
MOST_EVENTS = 40
"""Events that the curve over averaged trials is measured on, spread over all (ours): a visitor waits for it."""
SEED = 0


@dataclass(frozen=True)
class Answer:
    """What is found for one event.

    Args:
        retrieved (`Retrieved`): the pictures found.
        mean (`numpy.ndarray`): (channels, samples), the averaged trials in the checkpoint's form.
        place (`int` or None): of the picture shown among all, counted from 1; None where the gallery does not know
            what was shown.
        gallery_size (`int`): pictures that were chosen from.
        importance (`QueryImportance`): of the picture shown, or of the one found first where that is not known.
    """

    retrieved: Retrieved
    mean: NDArray[np.floating]
    place: int | None
    gallery_size: int
    importance: QueryImportance


def answer(shelf: Shelf, trials: TrialsInForm, event: str, count: int) -> Answer:
    """Find what fits the mean of an event's first trials.

    Args:
        shelf (`Shelf`): checkpoint and gallery.
        trials (`TrialsInForm`): of a recording.
        event (`str`): one of [`events_of`].
        count (`int`): trials to average, from the first.

    Raises:
        InputError: for an event that there is not, or no trial of it.
    """
    rows = events_of(trials).get(event, [])
    if not 1 <= count <= len(rows):
        raise InputError(f"{event!r} has {len(rows)} trials, and {count} are to be averaged: choose again.")
    mean = trials.values[rows[:count]].mean(axis=0)
    queries = _queries(shelf, trials, [event], [count], mean[None])
    embeds = embed_read(shelf.model, queries)
    (found,) = rank(queries, embeds, shelf.gallery, TOP_K).queries
    scores = similarity(embeds, shelf.gallery.embeds)[0]
    right = right_entries(shelf, event) if queries.known else None
    place = None if right is None else int((scores > scores[torch.from_numpy(right)].max()).sum()) + 1
    if right is None:
        right = np.arange(len(scores)) == int(scores.argmax())
    importance = query_importance(
        shelf.model, shelf.processor, mean, shelf.gallery.embeds, right, subject=trials.subject
    )
    return Answer(found, mean, place, len(scores), importance)


def averaging_curve(shelf: Shelf, trials: TrialsInForm) -> list[RepeatPoint]:
    """Top-1 and top-5 over the events of a recording, for more and more trials averaged.

    For each number of trials, [`DRAWS`] seeded draws of so many trials of each event; only events that the gallery
    knows and that have two trials at least, and only as many trials as all of them have. Empty where that leaves
    nothing to compare.
    """
    events = events_of(trials) if trials.names is not None else {}
    masks = {name: right_entries(shelf, name) for name, rows in events.items() if len(rows) > 1}
    known = [(name, mask) for name, mask in masks.items() if mask is not None]
    if not known:
        return []
    spread = np.unique(np.linspace(0, len(known) - 1, min(MOST_EVENTS, len(known))).round().astype(int))
    names = [known[place][0] for place in spread]
    right = torch.from_numpy(np.stack([known[place][1] for place in spread])).repeat(DRAWS, 1)
    most = min(len(events[name]) for name in names)
    numbers = sorted({*(2**power for power in range(most.bit_length())), most})
    generator = np.random.default_rng(SEED)
    points = []
    for number in numbers:
        means = [
            trials.values[generator.permutation(events[name])[:number]].mean(axis=0)
            for _ in range(DRAWS)
            for name in names
        ]
        queries = _queries(shelf, trials, names * DRAWS, [number] * len(means), np.stack(means))
        scores = similarity(embed_read(shelf.model, queries), shelf.gallery.embeds)
        best = scores.masked_fill(~right, -torch.inf).max(dim=1, keepdim=True).values
        places = (scores > best).sum(dim=1)
        top1, top5 = (Score(float((places < limit).float().mean())) for limit in (1, TOP_K))
        points.append(RepeatPoint(number, top1, top5))
    return points


def right_entries(shelf: Shelf, event: str) -> NDArray[np.bool_] | None:
    """Which entries of the gallery an event shows, (entries,); None where it knows nothing called so, or all do."""
    gallery = shelf.gallery.gallery
    target = gallery.find(event)
    if target is None:
        return None
    right = np.array([gallery.is_right(entry, target) for entry in gallery.ids])
    return right if right.any() and not right.all() else None


def _queries(
    shelf: Shelf, trials: TrialsInForm, names: list[str], counts: list[int], values: NDArray[np.floating]
) -> Queries:
    return Queries(
        names=names,
        known=trials.names is not None,
        counts=counts,
        values=values,
        subject=trials.subject,
        processor=shelf.processor,
        tier=tier_of(shelf.processor),
        notes=trials.notes,
    )
