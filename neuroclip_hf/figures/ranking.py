"""Tables made of scores of queries against a gallery. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.data.rankings import SavedRanking
from neuroclip_hf.errors import InputError


@dataclass(frozen=True)
class Confusion:
    """How often pictures of each family were found first for each family that was shown.

    Args:
        families (sequence of `str`): rows and columns.
        counts (`numpy.ndarray`): (families, families), queries: shown by found.
        gallery (`numpy.ndarray`): (families,), pictures of each family in the gallery.
    """

    families: Sequence[str]
    counts: NDArray[np.int64]
    gallery: NDArray[np.int64]

    @property
    def agreement(self) -> float:
        """Part of the queries whose first picture is of the right family."""
        return float(np.trace(self.counts) / self.counts.sum())

    @property
    def chance(self) -> float:
        """The same for a random ranking."""
        shown = self.counts.sum(axis=1) / self.counts.sum()
        return float(shown @ (self.gallery / self.gallery.sum()))


def confusion(ranking: SavedRanking, families: Mapping[str, str]) -> Confusion:
    """Count families found against families shown.

    Args:
        ranking (`SavedRanking`): of a model.
        families (mapping from `str` to `str`): concept -> family.

    Raises:
        InputError: if a concept has no family.
    """
    lacking = sorted({*ranking.concepts, *(query.concept for query in ranking.queries)} - set(families))
    if lacking:
        raise InputError(
            f"{len(lacking)} concepts have no family ({', '.join(lacking[:3])}{', ...' if len(lacking) > 3 else ''}): "
            "name a family for each."
        )
    names = sorted(set(families.values()))
    place = {name: number for number, name in enumerate(names)}
    gallery = np.array([place[families[concept]] for concept in ranking.concepts])
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    shown = np.array([place[families[query.concept]] for query in ranking.queries])
    np.add.at(counts, (shown, gallery[ranking.found(1)[:, 0]]), 1)
    return Confusion(names, counts, np.bincount(gallery, minlength=len(names)))


@dataclass(frozen=True)
class SortedScores:
    """Mean scores of what was shown against the gallery, both in the same order.

    Args:
        scores (`numpy.ndarray`): (targets, gallery), means over the queries of a target.
        targets (sequence of `str`): concepts of the rows.
        gallery (sequence of `str`): concepts of the columns.
        queries (`int`): how many queries the means are of.
    """

    scores: NDArray[np.floating]
    targets: Sequence[str]
    gallery: Sequence[str]
    queries: int


def sorted_scores(ranking: SavedRanking, families: Mapping[str, str] | None = None) -> SortedScores:
    """Average the queries of each target, and sort targets and gallery by family, concept and picture.

    Args:
        ranking (`SavedRanking`): of a model.
        families (mapping from `str` to `str`, *optional*): concept -> family; without it concepts alone sort.
    """

    def key(concept: str, image_id: str) -> tuple[str, str, str]:
        return (families or {}).get(concept, ""), concept, image_id

    groups: dict[tuple[str, str, str], list[int]] = {}
    for row, query in enumerate(ranking.queries):
        groups.setdefault(key(query.concept, query.image_id), []).append(row)
    columns = sorted(range(len(ranking.image_ids)), key=lambda one: key(ranking.concepts[one], ranking.image_ids[one]))
    rows = [groups[name] for name in sorted(groups)]
    return SortedScores(
        np.stack([ranking.scores[row].mean(axis=0) for row in rows])[:, columns],
        [concept for _, concept, _ in sorted(groups)],
        [ranking.concepts[column] for column in columns],
        len(ranking.queries),
    )


def joined(rankings: Sequence[SavedRanking]) -> tuple[SavedRanking, int]:
    """The queries of all rankings whose gallery is the first one's, as one; and how many those are."""
    same = [one for one in rankings if list(one.image_ids) == list(rankings[0].image_ids)]
    return (
        SavedRanking(
            np.concatenate([one.scores for one in same]),
            np.concatenate([one.mask for one in same]),
            [query for one in same for query in one.queries],
            rankings[0].image_ids,
            rankings[0].concepts,
            [repeats for one in same for repeats in one.repeats],
        ),
        len(same),
    )
