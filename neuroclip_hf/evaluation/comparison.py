"""Two runs on the same queries."""

from collections.abc import Iterator
from typing import Any

import torch

from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation.ranking import Ranking
from neuroclip_hf.metrics.significance import compare_paired


def compare_rankings(first: Ranking, second: Ranking, names: tuple[str, str] = ("first", "second")) -> dict[str, Any]:
    """Compare two models on the same queries, with the gallery fixed; queries of one picture stay together.

    Args:
        first (`Ranking`): of one model, from whatever store: channels and preprocessing may differ between the two,
            trials and gallery may not.
        second (`Ranking`): of the other.
        names (`tuple` of `str`): what messages call them.

    Returns:
        `num_queries`, `gallery_size`, `subjects`, and for `top1` and `top5` the accuracies `first` and `second` beside
        what [`compare_paired`] says: `difference` (first less second), `low`, `high`, `p`, `level`, `resamples`,
        `over`.

    Raises:
        InputError: if queries, the trials averaged into them, or the galleries differ.
    """
    check_same_queries(first, second, names)
    mine, theirs = first.hits(), second.hits()
    return {
        "num_queries": len(first.queries),
        "gallery_size": len(first.image_ids),
        "subjects": list(dict.fromkeys(first.subjects)),
        **{
            name: {
                "first": float(mine[name].double().mean()),
                "second": float(theirs[name].double().mean()),
                **_compared(first, mine[name], theirs[name]),
            }
            for name in mine
        },
    }


def _compared(ranking: Ranking, mine: torch.Tensor, theirs: torch.Tensor) -> dict[str, Any]:
    (first, subjects, together), (second, _, _) = (ranking.by_picture(hits) for hits in (mine, theirs))
    found = compare_paired(first, second, subjects)
    return {**found._asdict(), "over": found.over.replace("queries", "pictures") if together else found.over}


def check_same_queries(first: Ranking, second: Ranking, names: tuple[str, str]) -> None:
    """Refuse two rankings that cannot be compared query by query.

    Raises:
        InputError: if queries, the trials averaged into them, or the galleries differ.
    """
    both = " and ".join(names)
    only = set(first.image_ids) ^ set(second.image_ids)
    if only:
        raise InputError(
            f"{both} rank different galleries ({len(only)} pictures, {min(only)!r} for example, are in one of them "
            "only): evaluate both on the same one."
        )
    if len(first.queries) != len(second.queries):
        raise InputError(
            f"{both} were asked {len(first.queries)} and {len(second.queries)} queries: evaluate both with the same "
            "--subjects, --average and --draws."
        )
    for place, (mine, theirs) in enumerate(zip(_questions(first), _questions(second), strict=True)):
        if mine != theirs:
            subject, shown = mine[:2]
            raise InputError(
                f"{both} were asked different things: query {place} is {shown} of {subject} in the one, "
                f"{theirs[1]} of {theirs[0]} in the other, or the mean of other trials: evaluate both with the same "
                "--subjects, --average and --draws."
            )


def _questions(ranking: Ranking) -> Iterator[tuple[str, str, tuple[int, ...], set[str]]]:
    """Of each query its subject, what was shown, which of its showings were averaged, and what is right."""
    for query, repeats, right in zip(ranking.queries, ranking.repeats, ranking.mask, strict=True):
        answers = {ranking.image_ids[place] for place in right.nonzero().flatten().tolist()}
        yield query.subject, query.image_id or query.concept, repeats, answers
