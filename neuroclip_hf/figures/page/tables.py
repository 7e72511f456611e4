"""Tables of the numbers of a result."""

from collections.abc import Mapping, Sequence
from typing import Any

from neuroclip_hf.figures.page.content import PageTable
from neuroclip_hf.figures.page.numbers import accuracies, difference, notation, number, p_value, score
from neuroclip_hf.figures.page.shared import caption, counted, recorded_words
from neuroclip_hf.figures.scores import Accuracies, Score

_RESULT_WORDS = ("tier", "method", "whitening", "selection")


def run_table(report: dict[str, Any]) -> PageTable:
    """A run: every subject, all queries, chance and control."""
    names = ("top1", "top5", "pairwise")
    rows = [
        (name, *(f"{number(entry[key]):.3f}" for key in names), str(entry["num_queries"]))
        for name, entry in report["subjects"].items()
    ]
    rows.append(("all queries", *(f"{number(report[key]):.3f}" for key in names), str(report["num_queries"])))
    rows.append(("chance", f"{number(report['chance']):.3f}", f"{number(report['chance_top5']):.3f}", "0.500", ""))
    if report.get("control_top1") is not None:
        rows.append(("control (shuffled pairs)", f"{number(report['control_top1']):.3f}", "", "", ""))
    words = ("", "top-1", "top-5", "pairwise", "queries")
    return PageTable("Accuracy", words, rows, recorded_words(report["data"]))


def tiers_table(tiers: Sequence[dict[str, Any]]) -> PageTable:
    """Tiers of a run."""
    rows, scores = [], []
    for tier in tiers:
        top1, top5 = score(tier["top1"], tier.get("interval")), tier.get("top5")
        scores.append(top1)
        numbers = [str(top1), "" if top5 is None else f"{number(top5):.3f}", _word(tier, "num_trials")]
        # What takes most room comes last: a narrow screen shows the numbers first.
        words = [_word(tier, name) for name in ("whitening", "fitted_on")]
        rows.append((_word(tier, "tier"), _word(tier, "method"), *numbers, *words))
    header = ("tier", "method", "top-1", "top-5", "trials", "whitening", "fitted on")
    note = "Inductive numbers first. Calibrated and transductive ones use no label; matching is never retrieval."
    return PageTable("Tiers", header, rows, caption(note, notation(scores)))


def results_table(results: Sequence[dict[str, Any]]) -> PageTable:
    """All rows of a reproduction."""
    rows, scores = [], []
    for row in results:
        mean = accuracies("", row["mean"])
        scores += [mean.top1, mean.top5]
        tier, method, whitening, selection = (_word(row, name) for name in _RESULT_WORDS)
        # As for the tiers: numbers before what takes room.
        numbers = (str(mean.top1), str(mean.top5 or ""), _word(row, "num_trials"))
        rows.append((tier, method, *numbers, selection, whitening))
    header = ("tier", "method", "top-1", "top-5", "trials", "epoch by", "whitening")
    note = "Means over subjects. Inductive numbers first; matching is never retrieval."
    return PageTable("Results", header, rows, caption(note, notation(scores)))


def by_subject_table(main: dict[str, Any], seeds: Sequence[Any]) -> PageTable:
    """Every subject of the row of a reproduction that speaks for it."""
    rows, scores = [], []
    for name, entry in main["subjects"].items():
        found = [None if entry.get(key) is None else score(entry[key]) for key in ("top1", "top5", "pairwise")]
        scores += found
        rows.append((name, *(str(one or "") for one in found)))
    words = caption(f"Means over {counted(len(seeds), 'seed')}.", notation(scores))
    return PageTable("By subject", ("subject", "top-1", "top-5", "pairwise"), rows, words)


def rows_table(rows: Sequence[dict[str, Any]], scores: Sequence[Accuracies]) -> PageTable:
    """Variants of an ablation; `scores` are theirs."""
    cells, gaps = [], []
    for row, one in zip(rows, scores, strict=True):
        found = difference(row)
        gaps.append(None if found is None else found.score)
        p = "" if found is None or found.p is None else p_value(found.p)
        gap = "" if found is None else str(found.score)
        cells.append((one.label, str(one.top1), str(one.top5 or ""), gap, p, f"{number(row.get('seconds') or 0):.0f}"))
    header = ("variant", "top-1", "top-5", "difference in top-1", "p", "seconds")
    words = "Differences are paired, on the same queries, against the first row."
    return PageTable("Variants", header, cells, caption(words, notation([*both(scores), *gaps])))


def log_loss_table(rows: Sequence[dict[str, Any]], blind: float) -> PageTable | None:
    """Log-losses of the variants of an ablation; None where no model learned a scale."""
    cells, scores = [], []
    for row in rows:
        if row.get("log_loss") is None:
            continue
        mine, found = score(row["log_loss"]), difference(row, "log_loss_difference")
        scores += [mine, None if found is None else found.score]
        p = "" if found is None or found.p is None else p_value(found.p)
        cells.append((str(row["name"]), str(mine), "" if found is None else str(found.score), p))
    if not cells:
        return None
    header = ("variant", "log-loss", "difference in log-loss", "p")
    words = (
        "Log-loss of the right picture at the scale that each model learned: lower is better; blind guessing gives "
        f"{blind:.3f}. Differences are paired, on the same queries, against the first row."
    )
    return PageTable("Log-loss", header, cells, caption(words, notation(scores)))


def _word(entry: Mapping[str, Any], name: str) -> str:
    return "" if entry.get(name) is None else str(entry[name])


def both(scores: Sequence[Accuracies]) -> list[Score | None]:
    """Top-1 and top-5 of all."""
    return [one for row in scores for one in (row.top1, row.top5)]
