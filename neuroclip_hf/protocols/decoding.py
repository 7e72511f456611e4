"""The tasks themselves: category decoding, and matching of recordings with pictures or texts."""

from collections.abc import Mapping, Sequence
from typing import Any

from neuroclip_hf import columns
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation import Ranking
from neuroclip_hf.evaluation.categories import (
    AGAINST,
    IMAGES,
    TEXTS,
    Classes,
    check_enough_trials,
    class_names,
    confusion_of,
    embed_class_images,
    embed_class_texts,
    rank_classes,
)
from neuroclip_hf.evaluation.matching import Answers, image_answers, rank_answers, rank_recordings, text_answers
from neuroclip_hf.evaluation.predictions import Predictions
from neuroclip_hf.evaluation.references import BRAVL, REFERENCES, reference_beside
from neuroclip_hf.evaluation.task_report import SINGLE
from neuroclip_hf.protocols.tasks import Asked, Task


class CategoryDecoding(Task):
    """Which class was seen or imagined, see [`neuroclip_hf.evaluation.categories`].

    Args:
        against (`str`): "texts" or "images".
        templates (sequence of `str`, *optional*): of the prompts.
        protocol (`str`, *optional*): "bravl" asks as that paper does: perception, single trials only.

    Raises:
        InputError: for anything else.
    """

    name = "categories"

    def __init__(
        self, against: str = TEXTS, templates: Sequence[str] | None = None, protocol: str | None = None
    ) -> None:
        _check_against(against)
        if templates is not None and against != TEXTS:
            raise InputError("--templates are of texts: say --against texts, or leave them out.")
        if protocol is not None and protocol not in REFERENCES:
            raise InputError(f"--protocol is {protocol!r}: choose one of {', '.join(REFERENCES)}, or leave it out.")
        self.against, self.templates, self.named_protocol = against, templates, protocol

    def check(self, store: TrialStore, asked: Asked, seen: Mapping[str, Sequence[str]] | None) -> None:
        """Refuse classes that were trained on where none may be; and other questions than a named protocol's."""
        if self.named_protocol == BRAVL and (asked.trials != columns.TEST or asked.average != "1"):
            raise InputError(
                f"--protocol {BRAVL} is of single trials of perception, and --trials is {asked.trials} and --average "
                f"{asked.average}: leave both out."
            )
        names = class_names(store.gallery(columns.TEST))
        shared = sorted(set(names) & set((seen or {}).get(columns.CONCEPT, ())))
        if shared and store.info.protocol == columns.NEW_CONCEPTS:
            raise InputError(
                f"{store.path} declares {columns.NEW_CONCEPTS}, and {len(shared)} of its {len(names)} test classes "
                f"were trained on ({', '.join(shared[:3])}): train on this store, or on one without them."
            )

    def candidates(self, model: Any, processor: Any, store: TrialStore) -> Classes:
        """Classes of the test gallery."""
        names = class_names(store.gallery(columns.TEST))
        if self.against == IMAGES:
            return embed_class_images(model, processor, store, names)
        return embed_class_texts(model, processor, names, self.templates)

    def rank(
        self, predictions: Predictions, candidates: Classes, store: TrialStore
    ) -> tuple[dict[str, Ranking], list[str]]:
        """Every query against all classes."""
        single = max(len(query.trials) for query in predictions.queries) == 1
        flags = check_enough_trials(predictions, candidates.names) if single else []
        return {"brain to category": rank_classes(predictions, candidates)}, flags

    def more(self, rankings: Sequence[Ranking]) -> dict[str, Any]:
        """What each class was taken for."""
        return {"confusion": confusion_of(rankings)}

    def reference(self, store: TrialStore, rows: Sequence[dict[str, Any]], protocol: str) -> tuple[Any, list[str]]:
        """The paper's row beside single trials, or why it is left out."""
        if self.named_protocol is None:
            return None, []
        (row,) = (row for row in rows if row["queries"] == SINGLE)
        found, why = reference_beside(self.named_protocol, store, row, protocol)
        left_out = f"{REFERENCES[self.named_protocol].name}'s own numbers do not stand here: {why}."
        return found, [] if found is not None else [left_out]


class Matching(Task):
    """Recordings to pictures or texts and back, see [`neuroclip_hf.evaluation.matching`].

    Args:
        against (`str`): "images" or "texts".
        captions (`dict`, *optional*): image id -> text, in place of the store's own.

    Raises:
        InputError: for anything else.
    """

    name = "matching"

    def __init__(self, against: str = IMAGES, captions: dict[str, str] | None = None) -> None:
        _check_against(against)
        if captions is not None and against != TEXTS:
            raise InputError("--captions are texts: say --against texts, or leave them out.")
        self.against, self.captions = against, captions

    def candidates(self, model: Any, processor: Any, store: TrialStore) -> Answers:
        """Pictures of the test gallery, or their texts."""
        if self.against == IMAGES:
            return image_answers(model, processor, store)
        return text_answers(model, processor, store, self.captions)

    def rank(
        self, predictions: Predictions, candidates: Answers, store: TrialStore
    ) -> tuple[dict[str, Ranking], list[str]]:
        """Both directions."""
        gallery, what = store.gallery(columns.TEST), self.against.removesuffix("s")
        back, flags = rank_recordings(predictions, candidates, gallery)
        return {f"brain to {what}": rank_answers(predictions, candidates, gallery), f"{what} to brain": back}, flags


def _check_against(against: str) -> None:
    if against not in AGAINST:
        raise InputError(f"--against is {against!r}: choose one of {', '.join(AGAINST)}.")
