"""`ranking.safetensors`: scores of queries against a gallery, as a run's folder holds them. No torch.

What is computed from a ranking (paired comparisons of two runs, confusion, similarity between pictures) needs neither
the model nor the recordings.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from neuroclip_hf import columns
from neuroclip_hf.data.queries import Query
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import new_file
from neuroclip_hf.run_files import RANKING_FILE

_WORDS = "ranking"


@dataclass(frozen=True)
class SavedRanking:
    """Scores of every query against every gallery picture.

    Args:
        scores (`numpy.ndarray`): (queries, gallery), cosines.
        mask (`numpy.ndarray` of `bool`): (queries, gallery), what is right.
        queries (sequence of `Query`): the rows.
        image_ids (sequence of `str`): the columns.
        concepts (sequence of `str`): what they show.
        repeats (sequence of `tuple[int, ...]`): of each query's trials, how many times the target had been shown
            before.
        scale (`float`, *optional*): the factor that the model learned for its cosines; None where it learned none.

    Raises:
        InputError: if the parts do not fit each other, or a query has no right picture.
    """

    scores: NDArray[np.floating]
    mask: NDArray[np.bool_]
    queries: Sequence[Query]
    image_ids: Sequence[str]
    concepts: Sequence[str]
    repeats: Sequence[tuple[int, ...]]
    scale: float | None = None

    def __post_init__(self) -> None:
        shape = (len(self.queries), len(self.image_ids))
        if not self.scores.shape == self.mask.shape == shape or len(self.concepts) != shape[1] or 0 in shape:
            raise InputError(
                f"a ranking of {shape[0]} queries and {shape[1]} pictures has scores {self.scores.shape}, mask "
                f"{self.mask.shape} and {len(self.concepts)} concepts"
            )
        if [len(query.trials) for query in self.queries] != list(map(len, self.repeats)):
            raise InputError(f"{len(self.queries)} queries have {len(self.repeats)} lists of repeats, or other trials")
        if self.mask.dtype != bool or not np.issubdtype(self.scores.dtype, np.floating):
            raise InputError(f"scores are {self.scores.dtype} and mask is {self.mask.dtype}")
        if not self.mask.any(axis=1).all():
            raise InputError("a query has no right picture")
        if self.scale is not None and not 0 < self.scale < math.inf:
            raise InputError(f"the scale of its cosines is {self.scale}")

    def found(self, number: int) -> NDArray[np.int64]:
        """Columns of the first pictures found, (queries, number), best first; see [`found_first`]."""
        return found_first(self.scores, self.mask, number)


def found_first(scores: NDArray[np.floating], mask: NDArray[np.bool_], number: int) -> NDArray[np.int64]:
    """Columns of the first entries that each query found, (queries, number), best first.

    As in the accuracy, ties and NaN count against the model.

    Args:
        scores (`numpy.ndarray`): (queries, gallery).
        mask (`numpy.ndarray` of `bool`): (queries, gallery), what is right.
        number (`int`): how many.
    """
    scores = scores.astype(np.float64)
    scores = np.where(np.isnan(scores), np.where(mask, -np.inf, np.inf), scores)
    return np.stack([np.lexsort((right, -row))[:number] for row, right in zip(scores, mask, strict=True)])


def write_ranking(ranking: SavedRanking, folder: str | Path, name: str = RANKING_FILE) -> Path:
    """Write `ranking.safetensors`, or a file of another name, into a run's folder and return its path.

    Its tensors are `scores` (queries, gallery) float32, `mask` (queries, gallery) bool, and the rows of the trial
    table and the repeats of all queries one after the other, `trials` and `repeats`, int32. Its metadata hold one JSON
    text, since several would come in any order and make other bytes each time: `image_ids` and `concepts` of the
    gallery, the `scale` of the cosines, and `queries`, each with `subject`, `image_id`, `concept` and the number of
    its `trials`.
    """
    tensors = {
        "scores": np.ascontiguousarray(ranking.scores, dtype=np.float32),
        "mask": np.ascontiguousarray(ranking.mask),
        "trials": _one_after_the_other([query.trials for query in ranking.queries]),
        "repeats": _one_after_the_other(ranking.repeats),
    }
    queries = [
        {
            columns.SUBJECT: query.subject,
            columns.IMAGE_ID: query.image_id,
            columns.CONCEPT: query.concept,
            "trials": len(query.trials),
        }
        for query in ranking.queries
    ]
    words = {
        "image_ids": list(ranking.image_ids),
        "concepts": list(ranking.concepts),
        "scale": ranking.scale,
        "queries": queries,
    }
    path = Path(folder) / name
    with new_file(path) as temporary:
        # `save_file` would make it readable for its owner alone.
        temporary.write_bytes(save(tensors, {_WORDS: json.dumps(words)}))
    return path


def read_ranking(folder: str | Path, name: str = RANKING_FILE) -> SavedRanking | None:
    """Read the ranking of a run's folder; None if there is none.

    Raises:
        InputError: if the file is damaged, or its parts do not fit each other.
    """
    path = Path(folder) / name
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            words = json.loads((file.metadata() or {})[_WORDS])
            scores, mask, trials, repeats = map(file.get_tensor, ("scores", "mask", "trials", "repeats"))
        counts = [int(one["trials"]) for one in words["queries"]]
        keys = (columns.SUBJECT, columns.IMAGE_ID, columns.CONCEPT)
        queries = [
            Query(rows, *(str(one[key]) for key in keys))
            for rows, one in zip(_parted(trials, counts), words["queries"], strict=True)
        ]
        image_ids, concepts = (list(map(str, words[name])) for name in ("image_ids", "concepts"))
        scale = None if words["scale"] is None else float(words["scale"])
        return SavedRanking(scores, mask, queries, image_ids, concepts, _parted(repeats, counts), scale)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, InputError) as error:
        raise InputError(f"{path} cannot be read ({error}): evaluate the run again with --overwrite.") from None


def _one_after_the_other(rows: Sequence[tuple[int, ...]]) -> NDArray[np.int32]:
    return np.fromiter(chain.from_iterable(rows), dtype=np.int32)


def _parted(values: NDArray[np.integer], counts: Sequence[int]) -> list[tuple[int, ...]]:
    edges = [0, *np.cumsum(counts).tolist()]
    if values.shape != (edges[-1],):
        raise ValueError(f"{values.shape} numbers of trials for queries of {edges[-1]} in all")
    flat = values.tolist()
    return [tuple(flat[start:stop]) for start, stop in pairwise(edges)]
