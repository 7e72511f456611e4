"""All embeddings that a generation needs: of queries, training recordings, training pictures and the test gallery."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from neuroclip_hf import columns
from neuroclip_hf.data.queries import Query, make_queries, target_mask
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError
from neuroclip_hf.generation.image_encoder import ImageEncoder
from neuroclip_hf.generation.settings import BY_QUERIES, GenerationSettings
from neuroclip_hf.generation.space import SpaceMap, fit_space_map, to_pipeline
from neuroclip_hf.processing.collator import PictureSet
from neuroclip_hf.processing.embedding import embed_pictures, embed_queries
from neuroclip_hf.processing.processing_brain import BrainImageProcessor


@dataclass(frozen=True)
class Asked:
    """The queries of a store, made as evaluation makes them.

    Args:
        queries (`list[Query]`): all of them, whatever the limit.
        gallery (`list[str]`): pictures that the split may see.
        mask (`torch.Tensor` of shape `(queries, gallery)`, bool): which are right.
    """

    queries: list[Query]
    gallery: list[str]
    mask: torch.Tensor

    def shown(self, place: int) -> str | None:
        """The picture that a query's was; of an imagined concept the gallery's, if it has one only; else None."""
        right = self.mask[place].nonzero().flatten().tolist()
        return self.queries[place].image_id or (self.gallery[right[0]] if len(right) == 1 else None)


@dataclass(frozen=True)
class Embeddings:
    """What pictures are painted from, and what they are held against.

    Args:
        conditions (`torch.Tensor` of shape `(queries, pipeline's width)`): moment-matched.
        brain (`torch.Tensor` of shape `(queries, run's width)`): as the run gives them.
        run_pictures (`torch.Tensor` of shape `(training pictures, run's width)`): by the run's tower.
        pictures (`torch.Tensor` of shape `(training pictures, pipeline's width)`): by the pipeline's image encoder.
        image_ids (`list[str]`): of the training pictures.
        recordings (`int`): averaged recordings that moments were taken from.
        space (`SpaceMap`): how the one space becomes the other.
    """

    conditions: torch.Tensor
    brain: torch.Tensor
    run_pictures: torch.Tensor
    pictures: torch.Tensor
    image_ids: list[str]
    recordings: int
    space: SpaceMap


def ask(store: TrialStore, split: str, subjects: Sequence[str] | None) -> Asked:
    """Make the queries of a split.

    Raises:
        InputError: if the store has no trials of the split, or its gallery lacks a target.
    """
    rows = store.select(split, subjects)
    if not len(rows):
        held = sorted(set(store.trials[columns.SPLIT]))
        raise InputError(f"{store.path} holds no {split} trials of these subjects; it holds {', '.join(held)}.")
    queries = _queries(store, rows)
    gallery = store.gallery(split)
    return Asked(queries, list(gallery[columns.IMAGE_ID]), torch.from_numpy(target_mask(queries, gallery)))


def training_recordings(store: TrialStore, subjects: Sequence[str]) -> list[Query]:
    """Training trials of those who trained, averaged as queries are.

    Raises:
        InputError: if the store holds none.
    """
    held = [name for name in subjects if name in store.readable_subjects]
    rows = store.select(columns.TRAIN, held)
    if not len(rows):
        raise InputError(
            f"{store.path} holds no training trials of {', '.join(subjects)}, whose moments are to be replaced: name "
            "the store that the run was trained on, or say --moments queries."
        )
    return _queries(store, rows)


def embed_all(
    model: Any,
    processor: BrainImageProcessor,
    encoder: ImageEncoder,
    store: TrialStore,
    asked: Asked,
    trained: Sequence[str],
    settings: GenerationSettings,
) -> Embeddings:
    """Embed queries, training recordings and training pictures, and bring the queries into the pipeline's space.

    Args:
        model (`BrainImageModel`): of the run.
        processor (`BrainImageProcessor`): of the run.
        encoder (`ImageEncoder`): of the pipeline.
        store (`TrialStore`): as the run reads it.
        asked (`Asked`): from [`ask`].
        trained (sequence of `str`): the subjects whose training trials are averaged.
        settings (`GenerationSettings`): says whose moments are replaced.

    Raises:
        InputError: if the store has no training pictures or recordings, an embedding is not finite, or no map leads
            from one space to the other.
    """
    table = store.gallery(columns.TRAIN)
    ids = list(table[columns.IMAGE_ID])
    if len(ids) < 2:
        raise InputError(f"{store.path} holds {len(ids)} training pictures: their moments need at least two.")
    by_queries = settings.moments == BY_QUERIES
    recordings = asked.queries if by_queries else training_recordings(store, trained)
    brain = embed_queries(model, processor, store, asked.queries)
    replaced = brain if by_queries else embed_queries(model, processor, store, recordings)
    run_pictures = embed_pictures(model, PictureSet(store.open_picture, ids, processor), "training pictures")
    pictures = encoder.embed(map(store.open_picture, ids), len(ids), "training pictures (pipeline)")
    space = fit_space_map(run_pictures, pictures, list(table[columns.CONCEPT]))
    conditions = to_pipeline(brain, replaced, space, pictures)
    return Embeddings(conditions, brain, run_pictures, pictures, ids, len(recordings), space)


def _queries(store: TrialStore, rows: Any) -> list[Query]:
    # Where only concepts are known, trials of one concept saw different pictures.
    return make_queries(store.trials, rows, 1 if store.concepts_only else None)
