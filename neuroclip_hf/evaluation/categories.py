"""Zero-shot category decoding: which class was seen, or imagined, among those of the test gallery.

A class is a concept of the gallery. What stands for it is either texts, one prompt for each of several templates, or
its pictures in the gallery. Both are averaged: each normalised, then the mean.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import normalize

from neuroclip_hf import columns
from neuroclip_hf.data.rankings import found_first
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation.predictions import Predictions
from neuroclip_hf.evaluation.ranking import Ranking
from neuroclip_hf.evaluation.text_space import require_texts
from neuroclip_hf.metrics.retrieval import similarity
from neuroclip_hf.processing.collator import PictureSet
from neuroclip_hf.processing.embedding import embed_pictures, embed_prompts
from neuroclip_hf.processing.processing_brain import BrainImageProcessor

TEXTS, IMAGES = "texts", "images"
AGAINST = (TEXTS, IMAGES)
CLIP_TEMPLATES = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
"""Seven that CLIP's authors chose from their eighty for ImageNet (openai/CLIP, Prompt_Engineering_for_ImageNet)."""
_WORDNET_ID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Classes:
    """The candidates of a category decoding.

    Args:
        names (`list[str]`): concepts of the gallery, in its order.
        embeds (`torch.Tensor` of shape `(classes, projection_dim)`): of length one.
        described (`str`): what stands for a class, in words.
        templates (`list[str]`): of the prompts; empty for pictures.
    """

    names: list[str]
    embeds: torch.Tensor
    described: str
    templates: list[str]


def read_templates(path: str | Path) -> list[str]:
    """Templates of prompts, one a line; {} stands for the name of the class.

    Raises:
        InputError: naming the file and the line that is none.
    """
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--templates {path} cannot be read ({error}): name a text file.") from None
    found = [line for line in lines if line]
    wrong = next((line for line in found if line.count("{}") != 1 or line.count("{") + line.count("}") != 2), None)
    if wrong is not None or not found:
        what = "is empty" if wrong is None else f"has the line {wrong!r}"
        raise InputError(f"--templates {path} {what}: write one template a line, with {{}} for the name, once.")
    return found


def class_names(gallery: pd.DataFrame) -> list[str]:
    """The concepts of a gallery, in its order.

    Raises:
        InputError: if a picture's concept has no name, or there is one concept only.
    """
    nameless = gallery[columns.IMAGE_ID][gallery[columns.CONCEPT].str.strip() == ""]
    if len(nameless):
        raise InputError(
            f"{len(nameless)} gallery pictures ({nameless.iloc[0]!r}) have a concept without a name: prepare the "
            "store with names."
        )
    names = list(dict.fromkeys(gallery[columns.CONCEPT]))
    if len(names) < 2:
        raise InputError(f"the gallery has {len(names)} class ({', '.join(names)}): there is nothing to tell apart.")
    return names


def embed_class_texts(
    model: Any, processor: BrainImageProcessor, names: Sequence[str], templates: Sequence[str] | None = None
) -> Classes:
    """Classes as texts: prompts of several templates, averaged as CLIP's authors do.

    Args:
        model (`ClipSpaceModel`): of the checkpoint.
        processor (`BrainCLIPProcessor`): of the checkpoint.
        names (sequence of `str`): from [`class_names`].
        templates (sequence of `str`, *optional*): by default the one that the run was trained with, and
            [`CLIP_TEMPLATES`] (ours: both).

    Raises:
        InputError: if the run's space has no texts, or a class has an id in place of a name.
    """
    require_texts(model)
    without = [name for name in names if _WORDNET_ID.fullmatch(name) or not any(map(str.isalpha, name))]
    if without:
        raise InputError(
            f"{len(without)} of the {len(names)} classes have an id and no name ({without[0]!r}), of which no prompt "
            "can be made: prepare the store with names (--category-names), or say --against images."
        )
    used = [processor.text_template, *CLIP_TEMPLATES] if templates is None else list(templates)
    embeds = embed_prompts(model, processor, names, used)
    described = f"texts: the mean of {len(used)} prompts a class" if len(used) > 1 else "texts: one prompt a class"
    return Classes(list(names), embeds, described, used)


def embed_class_images(model: Any, processor: BrainImageProcessor, store: TrialStore, names: Sequence[str]) -> Classes:
    """Classes as pictures: the mean embedding of each class's pictures in the test gallery.

    Args:
        model (`BrainImageModel`): of the checkpoint.
        processor (`BrainImageProcessor`): of the checkpoint.
        store (`TrialStore`): whose gallery it is.
        names (sequence of `str`): from [`class_names`].
    """
    gallery = store.gallery(columns.TEST)
    pictures = PictureSet(store.open_picture, list(gallery[columns.IMAGE_ID]), processor)
    embeds = normalize(embed_pictures(model, pictures, "test gallery"), dim=1)
    of_class = [torch.tensor([one == name for one in gallery[columns.CONCEPT]]) for name in names]
    means = torch.stack([embeds[mine].mean(dim=0) for mine in of_class])
    counts = [int(mine.sum()) for mine in of_class]
    if max(counts) == 1:
        described = "pictures: the one gallery picture of each class, which is the one that was shown"
    else:
        described = (
            f"pictures: the mean of each class's {min(counts)} to {max(counts)} gallery pictures, those that were "
            "shown among them"
        )
    return Classes(list(names), normalize(means, dim=1), described, [])


def check_enough_trials(predictions: Predictions, names: Sequence[str]) -> list[str]:
    """Refuse fewer trials than classes.

    Args:
        predictions (`Predictions`): of single trials.
        names (sequence of `str`): the classes.

    Returns:
        A sentence for classes that are candidates and were never shown to a subject.

    Raises:
        InputError: naming the subject.
    """
    flags = []
    for subject in dict.fromkeys(query.subject for query in predictions.queries):
        mine = [query.concept for query in predictions.queries if query.subject == subject]
        if len(mine) < len(names):
            raise InputError(
                f"{subject} has {len(mine)} trials for {len(names)} classes: too few to say anything of them; add "
                "trials, or prepare a gallery with fewer classes."
            )
        unseen = [name for name in names if name not in set(mine)]
        if unseen:
            flags.append(f"{len(unseen)} of the {len(names)} classes have no trial of {subject} ({unseen[0]}).")
    return flags


def rank_classes(predictions: Predictions, classes: Classes) -> Ranking:
    """Cosines of every query with every class, as a ranking whose columns are classes.

    Raises:
        InputError: for a query whose concept is not among the classes.
    """
    shown = [query.concept for query in predictions.queries]
    lacking = next((name for name in shown if name not in classes.names), None)
    if lacking is not None:
        raise InputError(f"the gallery lacks the class {lacking!r} of a trial: add a picture of it.")
    mask = torch.tensor([[name == concept for name in classes.names] for concept in shown])
    scores = similarity(predictions.embeds, classes.embeds)
    return Ranking(predictions.queries, classes.names, scores, mask, classes.names)


def confusion_of(rankings: Sequence[Ranking]) -> dict[str, Any]:
    """What each class was taken for.

    Args:
        rankings (sequence of `Ranking`): from [`rank_classes`], of the same classes.

    Returns:
        `classes`: of each its `name`, `num_queries`, `top1`, `top5` (None where it was not asked for) and
        `taken_for`, the class that most of its queries found first; `counts`: rows are what was shown, columns what
        was found first. Ties and NaN count against the model.
    """
    names = rankings[0].image_ids
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    among_five = np.zeros(len(names), dtype=np.int64)
    for ranking in rankings:
        shown = ranking.mask.int().argmax(dim=1).numpy()
        found = found_first(ranking.scores.numpy(), ranking.mask.numpy(), 5)
        np.add.at(counts, (shown, found[:, 0]), 1)
        np.add.at(among_five, shown, (found == shown[:, None]).any(axis=1))
    asked = counts.sum(axis=1)
    classes = [
        {
            "name": name,
            "num_queries": int(asked[place]),
            "top1": float(counts[place, place] / asked[place]) if asked[place] else None,
            "top5": float(among_five[place] / asked[place]) if asked[place] else None,
            "taken_for": names[int(counts[place].argmax())] if asked[place] else None,
        }
        for place, name in enumerate(names)
    ]
    return {"classes": classes, "counts": counts.tolist()}
