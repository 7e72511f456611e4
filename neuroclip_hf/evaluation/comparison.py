"""Two runs on the same queries."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from neuroclip_hf.columns import INDUCTIVE
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation.ranking import Ranking, load_ranking
from neuroclip_hf.evaluation.report import read_report
from neuroclip_hf.metrics.significance import compare_paired
from neuroclip_hf.run_files import PLAN_FILE, RANKING_FILE

SAME_SETTINGS = "evaluate both with the same --subjects, --average and --draws, on the same recordings."
_TOLD = {"store": "store", "whitening_fit": "whitening", "protocol": "protocol", "data": "data"}
"""What may differ between two runs that are compared, and must then be said."""
_ALIKE = 1.1
"""Scales whose ratio is no larger than this are taken for one (ours)."""


def compare_runs(first: str | Path, second: str | Path) -> dict[str, Any]:
    """Compare two evaluated runs, see [`compare_rankings`]; by their inductive rankings, those of the first row.

    Args:
        first (path): folder of a run.
        second (path): another one, evaluated on the same queries and gallery.

    Returns:
        What [`compare_rankings`] gives, the `tier`, and `flags`: how the evaluations differ, and those of each report.

    Raises:
        InputError: if both are one folder, one was not evaluated or is not a run, a file is damaged, or queries,
            trials or galleries differ.
    """
    folders = [Path(first), Path(second)]
    if folders[0].resolve() == folders[1].resolve():
        raise InputError(f"{first} and {second} are the same folder: name two runs.")
    for folder in folders:
        _refuse_what_is_no_run(folder)
    names = (str(first), str(second))
    one, other = load_ranking(first), load_ranking(second)
    found = compare_rankings(one, other, names)
    flags = _flags(names, [read_report(folder) or {} for folder in folders])
    return {**found, "tier": INDUCTIVE, "flags": _flags_of_scales(one, other) + flags}


def _refuse_what_is_no_run(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: name that of a run which `neuroclip evaluate` was given.")
    if (folder / PLAN_FILE).is_file():
        runs = sorted(folder.rglob(f"seed-*/{RANKING_FILE}"))
        example = f", {runs[0].parent} for example" if runs else ""
        raise InputError(f"{folder} holds many runs, and two single ones are compared: name one of its runs{example}.")


def _flags(names: tuple[str, str], reports: Sequence[dict[str, Any]]) -> list[str]:
    one, other = reports
    flags = [
        f"The two differ in {words}: {one[name]} and {other[name]}."
        for name, words in _TOLD.items()
        if name in one and name in other and one[name] != other[name]
    ]
    if flags and "store" in one and one["store"] != other.get("store"):
        flags.append("Queries are told apart by subject, picture and repeat: both stores must be of one recording.")
    return flags + [
        f"{name}: {flag}" for name, report in zip(names, reports, strict=True) for flag in report.get("flags") or ()
    ]


def _flags_of_scales(first: Ranking, second: Ranking) -> list[str]:
    if first.scale is None or second.scale is None:
        return []
    if max(first.scale, second.scale) <= _ALIKE * min(first.scale, second.scale):
        return []
    return [
        f"The log-loss compares more than what the two rank: their scales differ, {first.scale:.1f} and "
        f"{second.scale:.1f}."
    ]


def compare_rankings(first: Ranking, second: Ranking, names: tuple[str, str] = ("first", "second")) -> dict[str, Any]:
    """Compare two models on the same queries, with the gallery fixed; queries of one picture stay together.

    Args:
        first (`Ranking`): of one model, from whatever store: channels and preprocessing may differ between the two,
            trials and gallery may not.
        second (`Ranking`): of the other.
        names (`tuple` of `str`): what messages call them.

    Returns:
        `num_queries`, `gallery_size`, `subjects`, and for `top1`, `top5` and, where both models learned a scale,
        `log_loss` (lower is better) the means `first` and `second` beside what [`compare_paired`] says: `difference`
        (first less second), `low`, `high`, `p`, `level`, `resamples`, `over`.

    Raises:
        InputError: if queries, the trials averaged into them, or the galleries differ.
    """
    check_same_queries(first, second, names)
    mine, theirs = first.answers(), second.answers()
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
            if name in theirs
        },
    }


def _compared(ranking: Ranking, mine: torch.Tensor, theirs: torch.Tensor) -> dict[str, Any]:
    (first, subjects, together), (second, _, _) = (ranking.by_picture(values) for values in (mine, theirs))
    found = compare_paired(first, second, subjects)
    return {**found._asdict(), "over": found.over.replace("queries", "pictures") if together else found.over}


def check_same_queries(first: Ranking, second: Ranking, names: tuple[str, str], remedy: str = SAME_SETTINGS) -> None:
    """Refuse two rankings that cannot be compared query by query.

    Args:
        first (`Ranking`): of one model, or of one store.
        second (`Ranking`): of the other.
        names (`tuple` of `str`): what messages call them.
        remedy (`str`): what messages advise where queries differ.

    Raises:
        InputError: if queries, the trials averaged into them, or the galleries differ.
    """
    both = " and ".join(names)
    only = set(first.image_ids) ^ set(second.image_ids)
    if only:
        raise InputError(
            f"{both} rank different galleries: {len(only)} of their pictures ({min(only)!r} for example) are in one "
            "of them only: evaluate both on one store, or on stores of the same recordings."
        )
    subjects = [sorted(set(ranking.subjects)) for ranking in (first, second)]
    if subjects[0] != subjects[1]:
        raise InputError(
            f"{both} were asked queries of different subjects, {' and of '.join(map(', '.join, subjects))}: {remedy}"
        )
    if len(first.queries) != len(second.queries):
        raise InputError(f"{both} were asked {len(first.queries)} and {len(second.queries)} queries: {remedy}")
    for place, (mine, theirs) in enumerate(zip(_questions(first), _questions(second), strict=True)):
        if mine != theirs:
            raise InputError(f"{both} were asked different things: {_difference(place, mine, theirs)}: {remedy}")


_Question = tuple[str, str, tuple[int, ...], set[str]]


def _difference(place: int, mine: _Question, theirs: _Question) -> str:
    """Of two different queries in the same place, in words."""
    subject, shown, repeats, _ = mine
    if (subject, shown) != theirs[:2]:
        return f"query {place} is {shown} of {subject} in the one, {theirs[1]} of {theirs[0]} in the other"
    what = "the mean of other trials" if repeats != theirs[2] else "right with other pictures"
    return f"query {place}, {shown} of {subject}, is {what} in the other"


def _questions(ranking: Ranking) -> Iterator[_Question]:
    """Of each query its subject, what was shown, which of its showings were averaged, and what is right."""
    for query, repeats, right in zip(ranking.queries, ranking.repeats, ranking.mask, strict=True):
        answers = {ranking.image_ids[place] for place in right.nonzero().flatten().tolist()}
        yield query.subject, query.image_id or query.concept, repeats, answers
