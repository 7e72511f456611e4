"""What chooses the epoch: retrieval of the targets that were held out of training."""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.queries import Query, make_queries, target_mask
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError
from neuroclip_hf.metrics.retrieval import retrieval_scores
from neuroclip_hf.models.brain_image.modeling_brain_image import BrainImageModel
from neuroclip_hf.processing.collator import PictureSet
from neuroclip_hf.processing.embedding import embed_pictures, embed_pictures_frozen, encode_trials
from neuroclip_hf.processing.processing_brain import BrainImageProcessor
from neuroclip_hf.protocols.targets import project_frozen

VALIDATION_AVERAGE, VALIDATION_DRAWS = 16, 100
"""Trials a validation query and queries a concept (ours), where trials know only their concept."""


class Validation:
    """Retrieval of validation targets: called with the model, gives `loss` and `top1`.

    The model is told whose each query is, as it is in evaluation.

    Args:
        store (`TrialStore`): holds the trials.
        table (`pandas.DataFrame`): its trial table, or one with other targets (the shuffled control).
        rows (`numpy.ndarray` of `int`): the rows that validate.
        gallery (`pandas.DataFrame`): the training pictures; those of the validation targets are ranked, or all of
            them where only concepts are known.
        pictures (`PictureSet`): the same pictures, in order.
        processor (`BrainImageProcessor`): of the checkpoint in the making.

    Raises:
        InputError: if every picture is right for every query.
    """

    def __init__(
        self,
        store: TrialStore,
        table: pd.DataFrame,
        rows: NDArray[np.int64],
        gallery: pd.DataFrame,
        pictures: PictureSet,
        processor: BrainImageProcessor,
    ) -> None:
        queries = _validation_queries(store, table, rows)
        self._trials = store.read_means([query.trials for query in queries])
        self._subjects = [query.subject for query in queries]
        shown = {query.image_id for query in queries} - {""}
        kept = np.flatnonzero((gallery[columns.IMAGE_ID].isin(shown) | (not shown)).to_numpy())
        self._pictures = pictures.subset(kept)
        self._mask = torch.from_numpy(target_mask(queries, gallery.iloc[kept]))
        if self._mask.all():
            raise InputError(
                f"{store.path}: every picture of the validation gallery is right, so that it cannot choose an epoch: "
                "prepare more pictures or concepts."
            )
        self._processor = processor
        self._features: torch.Tensor | None = None

    def __call__(self, model: BrainImageModel) -> dict[str, float]:
        """Loss and top-1 accuracy of a model as it is now."""
        query = encode_trials(model, self._processor, self._trials, subjects=self._subjects)
        gallery = self._embed_pictures(model)
        return retrieval_scores(query, gallery, self._mask, model.scale().detach().cpu())

    def _embed_pictures(self, model: BrainImageModel) -> torch.Tensor:
        """What a tower without adapters says of the pictures never changes, and is kept."""
        if model.needs_pictures:
            return embed_pictures(model, self._pictures, "validation")
        if self._features is None:
            self._features = embed_pictures_frozen(model, self._pictures)
        return project_frozen(model, self._features)


def _validation_queries(store: TrialStore, table: pd.DataFrame, rows: NDArray[np.int64]) -> list[Query]:
    """All repeats of a picture; where only concepts are known, random means of up to 16 trials.

    Single trials would make a poor judge: their loss rewards a model that doubts, long before it is at its best.
    """
    if not store.concepts_only:
        return make_queries(table, rows, average=None)
    fewest = int(table.iloc[rows].groupby([columns.SUBJECT, columns.CONCEPT]).size().min())
    return make_queries(table, rows, average=min(VALIDATION_AVERAGE, fewest), draws=VALIDATION_DRAWS)
