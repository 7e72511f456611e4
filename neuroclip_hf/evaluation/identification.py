"""What rankings of several runs say together: measures, their chance, intervals and permutations."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch

from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation.measuring import n_way_of, n_ways, permute, shown_in
from neuroclip_hf.evaluation.ranking import Ranking
from neuroclip_hf.metrics.blocks import PAIRWISE, TOP1
from neuroclip_hf.metrics.chance import chance_level
from neuroclip_hf.metrics.retrieval import pairwise_from_scores, ranks_from_scores
from neuroclip_hf.metrics.significance import bootstrap_interval

MEASURES = ("top1", "top5", "pairwise", "mean_rank")


def describe(rankings: Sequence[Ranking], controls: Sequence[Ranking] = ()) -> dict[str, Any]:
    """Measures of all queries of all runs, each subject counting as much as any other.

    Intervals resample what was shown, with all its queries and seeds together, and subjects where there are five or
    more. Permutations deal out what was shown anew, to all queries of it together ([`permute`]).

    Args:
        rankings (sequence of `Ranking`): one a run, of the same candidates; runs may be of different subjects, or of
            one with different seeds.
        controls (sequence of `Ranking`): of the runs' models trained on shuffled pairs, as far as there are some.

    Returns:
        `top1`, `top5`, `pairwise`, `mean_rank` (1 is best): means over subjects. `chance`: the same for a random
        ranking. `control`: the same of the controls, or None. `intervals`: measure -> `low`, `high`, `level`,
        `resamples`, `over`. `permutation`: "top1" and "pairwise" -> `p`, `permutations`, `statistic`, `over` (None for
        pairwise identification where several candidates are right). `n_way`: number of candidates -> expected `top1`
        and, above five, `top5`; exact. `subjects`: subject -> the measures and `num_queries`. `num_queries`,
        `gallery_size`.

    Raises:
        InputError: if runs rank different candidates, or there is only one.
    """
    _check(rankings)
    values = [_values(ranking) for ranking in rankings]
    subjects = _by_subject(rankings, values)
    means = {name: _mean([found[name] for found in subjects.values()]) for name in MEASURES}
    masks = torch.cat([ranking.mask for ranking in rankings])
    return {
        **means,
        "num_queries": sum(int(found["num_queries"]) for found in subjects.values()),
        "gallery_size": masks.shape[1],
        "chance": _chance(masks),
        "control": _controls(controls),
        "intervals": {name: _interval(rankings, [each[name] for each in values], means[name]) for name in MEASURES},
        "permutation": _permutations(rankings, masks),
        "n_way": _n_way(rankings),
        "subjects": subjects,
    }


def _check(rankings: Sequence[Ranking]) -> None:
    first = rankings[0]
    if len(first.image_ids) < 2:
        raise InputError(f"there is one candidate only ({first.image_ids[0]}): nothing is to be told apart from it.")
    for other in rankings[1:]:
        if other.image_ids != first.image_ids:
            raise InputError(
                f"runs rank different candidates ({len(first.image_ids)} and {len(other.image_ids)}): put together "
                "runs on one store."
            )


def _values(ranking: Ranking) -> dict[str, torch.Tensor]:
    """(queries,) of each measure."""
    ranks = ranks_from_scores(ranking.scores, ranking.mask).double()
    return {
        "top1": (ranks < 1).double(),
        "top5": (ranks < 5).double(),
        "pairwise": pairwise_from_scores(ranking.scores, ranking.mask).cpu(),
        "mean_rank": ranks + 1,
    }


def _by_subject(rankings: Sequence[Ranking], values: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, Any]:
    names = list(dict.fromkeys(name for ranking in rankings for name in ranking.subjects))
    found: dict[str, Any] = {}
    for name in names:
        places = [torch.tensor([one == name for one in ranking.subjects]) for ranking in rankings]
        mine = {each: torch.cat([v[each][p] for v, p in zip(values, places, strict=True)]) for each in MEASURES}
        asked = max(int(place.sum()) for place in places)  # another seed asks the same queries
        found[name] = {each: float(mine[each].mean()) for each in MEASURES} | {"num_queries": asked}
    return found


def _interval(rankings: Sequence[Ranking], values: Sequence[torch.Tensor], mean: float) -> dict[str, Any]:
    together: dict[tuple[str, Hashable], list[float]] = {}
    for ranking, mine in zip(rankings, values, strict=True):
        for query, value in zip(ranking.queries, mine.tolist(), strict=True):
            together.setdefault((query.subject, shown_in(query)), []).append(value)
    found = bootstrap_interval(
        torch.tensor([_mean(each) for each in together.values()]), [subject for subject, _ in together]
    )
    return {
        "low": min(found.low, mean),
        "high": max(found.high, mean),
        "level": found.level,
        "resamples": found.resamples,
        "over": found.over.replace("queries", "pictures") if rankings[0].queries[0].image_id else found.over,
    }


def _permutations(rankings: Sequence[Ranking], masks: torch.Tensor) -> dict[str, Any]:
    one_is_right = bool((masks.sum(dim=1) == 1).all())
    return {TOP1: permute(rankings), PAIRWISE: permute(rankings, PAIRWISE) if one_is_right else None}


def _n_way(rankings: Sequence[Ranking]) -> dict[str, dict[str, float]]:
    """Means over subjects, as the other measures."""
    sizes = n_ways(rankings)
    names = dict.fromkeys(name for ranking in rankings for name in ranking.subjects)
    mine = [
        _mean_of([n_way_of(*_part(ranking, name), sizes) for ranking in rankings if name in ranking.subjects])
        for name in names
    ]
    return _mean_of(mine)


def _mean_of(found: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    return {
        size: {name: _mean([one[size][name] for one in found]) for name in values} for size, values in found[0].items()
    }


def _part(ranking: Ranking, subject: str) -> tuple[torch.Tensor, torch.Tensor]:
    mine = torch.tensor([name == subject for name in ranking.subjects])
    return ranking.scores[mine], ranking.mask[mine]


def _controls(controls: Sequence[Ranking]) -> dict[str, float] | None:
    if not controls:
        return None
    found = _by_subject(controls, [_values(ranking) for ranking in controls])
    return {name: _mean([each[name] for each in found.values()]) for name in MEASURES}


def _chance(masks: torch.Tensor) -> dict[str, float]:
    size, right = masks.shape[1], masks.sum(dim=1).double()
    return {
        "top1": chance_level(masks, size, 1),
        "top5": chance_level(masks, size, 5),
        "pairwise": 0.5,
        # Of m right entries among G, m + 1 gaps share the G - m wrong ones evenly.
        "mean_rank": float((1 + (size - right) / (right + 1)).mean()),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
