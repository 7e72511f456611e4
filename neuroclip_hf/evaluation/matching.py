"""Brain-image and brain-text matching, in both directions.

From the brain: every query is compared with all pictures, or texts, of the test gallery. To the brain: every picture,
or text, is compared with recordings of all of them, one of each, so that both directions have as many candidates.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch

from neuroclip_hf import columns
from neuroclip_hf.data.queries import Query, target_mask
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation.predictions import Predictions
from neuroclip_hf.evaluation.ranking import Ranking
from neuroclip_hf.evaluation.text_space import require_texts
from neuroclip_hf.metrics.retrieval import similarity
from neuroclip_hf.processing.collator import PictureSet
from neuroclip_hf.processing.embedding import embed_pictures, embed_texts
from neuroclip_hf.processing.processing_brain import BrainImageProcessor


@dataclass(frozen=True)
class Answers:
    """What recordings are matched with.

    Args:
        names (`list[str]`): image ids, or the texts themselves, each once.
        embeds (`torch.Tensor` of shape `(answers, projection_dim)`): not normalised.
        of_picture (`torch.Tensor` of shape `(gallery, answers)`, bool): which answer belongs to each gallery picture.
        described (`str`): in words.
    """

    names: list[str]
    embeds: torch.Tensor
    of_picture: torch.Tensor
    described: str


def image_answers(model: Any, processor: BrainImageProcessor, store: TrialStore) -> Answers:
    """The pictures of the test gallery."""
    names = list(store.gallery(columns.TEST)[columns.IMAGE_ID])
    pictures = PictureSet(store.open_picture, names, processor)
    embeds = embed_pictures(model, pictures, "test gallery")
    return Answers(names, embeds, torch.eye(len(names), dtype=torch.bool), "the pictures of the test gallery")


def text_answers(
    model: Any, processor: BrainImageProcessor, store: TrialStore, captions: dict[str, str] | None = None
) -> Answers:
    """The texts of the gallery's pictures: captions, or else concepts in the run's template.

    Pictures with equal texts share one answer.

    Args:
        model (`ClipSpaceModel`): of the checkpoint.
        processor (`BrainCLIPProcessor`): of the checkpoint.
        store (`TrialStore`): whose gallery it is.
        captions (`dict`, *optional*): image id -> text, in place of the store's own.

    Raises:
        InputError: if the run's space has no texts, or captions are for other pictures.
    """
    require_texts(model)
    gallery = store.gallery(columns.TEST)
    if captions is not None:
        gallery = _with_captions(gallery, captions, store)
    own = (gallery[columns.CAPTION] != "") if columns.CAPTION in gallery else pd.Series(False, index=gallery.index)
    nameless = gallery[columns.IMAGE_ID][~own & (gallery[columns.CONCEPT].str.strip() == "")]
    if len(nameless):
        raise InputError(
            f"picture {nameless.iloc[0]!r} has neither a caption nor a concept: no text can be made of it."
        )
    texts: list[str] = processor.texts(gallery)
    names = list(dict.fromkeys(texts))
    of_picture = torch.tensor([[text == name for name in names] for text in texts])
    described = f"{len(names)} texts of {len(texts)} gallery pictures, {int(own.sum())} of them captions"
    return Answers(names, embed_texts(model, processor, names), of_picture, described)


def rank_answers(predictions: Predictions, answers: Answers, gallery: pd.DataFrame) -> Ranking:
    """Brain to image, or brain to text.

    Args:
        predictions (`Predictions`): the queries.
        answers (`Answers`): the candidates.
        gallery (`pandas.DataFrame`): pictures of the test gallery.

    Raises:
        InputError: if the gallery lacks what was shown.
    """
    right = _right_answers(predictions.queries, answers, gallery)
    return Ranking(predictions.queries, answers.names, similarity(predictions.embeds, answers.embeds), right)


def rank_recordings(predictions: Predictions, answers: Answers, gallery: pd.DataFrame) -> tuple[Ranking, list[str]]:
    """Image to brain, or text to brain: each looks for its recording among one of every target of a subject.

    The first recordings of all targets are one gallery, the second ones another, as far as every target has one.

    Args:
        predictions (`Predictions`): the candidates.
        answers (`Answers`): the queries.
        gallery (`pandas.DataFrame`): pictures of the test gallery.

    Returns:
        A ranking whose columns are targets, a row for each answer, gallery and subject; and a sentence where some
        subjects lack a target, which is then left out for all.

    Raises:
        InputError: if the gallery lacks what was shown, or subjects have fewer than two targets in common.
    """
    places: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, query in enumerate(predictions.queries):
        places[query.subject][query.image_id or query.concept].append(place)
    every = list(dict.fromkeys(key for mine in places.values() for key in mine))
    targets = [key for key in every if all(key in mine for mine in places.values())]
    if len(targets) < 2:
        raise InputError(f"subjects have {len(targets)} targets in common: two at least are needed to tell apart.")
    queries: list[Query] = []
    scores, masks = [], []
    for subject, mine in places.items():
        for number in range(min(len(mine[key]) for key in targets)):
            some = [mine[key][number] for key in targets]
            right = _right_answers([predictions.queries[place] for place in some], answers, gallery).T
            asked = right.any(dim=1)
            scores.append(similarity(answers.embeds[asked], predictions.embeds[some]))
            masks.append(right[asked])
            names = [name for name, kept in zip(answers.names, asked.tolist(), strict=True) if kept]
            queries += [Query((), subject, name, name) for name in names]
    left_out = len(every) - len(targets)
    flags = [f"{left_out} targets that not every subject has are left out as candidates."] if left_out else []
    return Ranking(queries, targets, torch.cat(scores), torch.cat(masks)), flags


def _right_answers(queries: Sequence[Query], answers: Answers, gallery: pd.DataFrame) -> torch.Tensor:
    shown = torch.from_numpy(target_mask(queries, gallery))
    return (shown.float() @ answers.of_picture.float()) > 0


def _with_captions(gallery: pd.DataFrame, captions: dict[str, str], store: TrialStore) -> pd.DataFrame:
    ids = gallery[columns.IMAGE_ID]
    foreign = sorted(set(captions) - set(store.pictures[columns.IMAGE_ID]))
    if foreign:
        raise InputError(
            f"{len(foreign)} captions are for pictures that {store.path} does not hold ({foreign[0]!r}): name the "
            "captions of its own pictures, by their image ids."
        )
    lacking = [name for name in ids if name not in captions]
    if lacking:
        raise InputError(f"{len(lacking)} gallery pictures have no caption ({lacking[0]!r}): give one for each.")
    return gallery.assign(**{columns.CAPTION: ids.map(captions)})
