"""Tables of the numbers of a result."""

from collections.abc import Mapping, Sequence
from typing import Any

from neuroclip_hf.columns import INDUCTIVE
from neuroclip_hf.figures.page.content import PageTable
from neuroclip_hf.figures.page.numbers import accuracies, difference, notation, number, p_value, score
from neuroclip_hf.figures.page.shared import caption, counted, recorded_words
from neuroclip_hf.figures.scores import LOG_LOSS, Accuracies, Score

_RESULT_WORDS = ("tier", "whitening", "selection")
_PAIRED = "Differences are paired, on the same queries, against the first row."


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
    said = [recorded_words(report["data"])]
    if report.get("log_loss") is not None:
        said += [f"Log-loss {number(report['log_loss']):.3f}.", _log_loss_words(report)]
    return PageTable("Accuracy", words, rows, caption(*said))


def tiers_table(tiers: Sequence[dict[str, Any]]) -> PageTable:
    """Tiers of a run."""
    rows, scores, several = [], [], _several_whitenings(tiers)
    for tier in tiers:
        top1, top5 = score(tier["top1"], tier.get("interval")), tier.get("top5")
        scores.append(top1)
        numbers = [str(top1), "" if top5 is None else f"{number(top5):.3f}", _word(tier, "num_trials")]
        # What takes most room comes last: a narrow screen shows the numbers first.
        words = [_word(tier, name) for name in ("whitening", "fitted_on")]
        rows.append((_word(tier, "tier"), _method(tier, several), *numbers, *words))
    header = ("tier", "method", "top-1", "top-5", "trials", "whitening", "fitted on")
    note = "Inductive numbers first. Calibrated and transductive ones use no label; matching is never retrieval."
    return PageTable("Tiers", header, rows, caption(note, notation(scores)))


def results_table(report: dict[str, Any]) -> PageTable:
    """All rows of a reproduction."""
    rows, scores, losses, several = [], [], [], _several_whitenings(report["results"])
    for row in report["results"]:
        mean, loss = accuracies("", row["mean"]), row["mean"].get("log_loss")
        losses.append(None if loss is None else score(loss))
        scores += [mean.top1, mean.top5, losses[-1]]
        tier, whitening, selection = (_word(row, name) for name in _RESULT_WORDS)
        # As for the tiers: numbers before what takes room.
        numbers = (str(mean.top1), str(mean.top5 or ""), str(losses[-1] or ""), _word(row, "num_trials"))
        rows.append((tier, _method(row, several), *numbers, selection, whitening))
    header = ("tier", "method", "top-1", "top-5", LOG_LOSS, "trials", "epoch by", "whitening")
    note = "Means over subjects. Inductive numbers first; matching is never retrieval."
    explained = _log_loss_words(report) if any(losses) else ""
    return PageTable("Results", header, rows, caption(note, explained, notation(scores)))


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
        gap, *words = _gap(row, "difference")
        gaps.append(gap)
        seconds = f"{number(row.get('seconds') or 0):.0f}"
        cells.append((one.label, str(one.top1), str(one.top5 or ""), *words, seconds))
    header = ("variant", "top-1", "top-5", "difference in top-1", "p", "seconds")
    return PageTable("Variants", header, cells, caption(_PAIRED, notation([*both(scores), *gaps])))


def log_loss_table(rows: Sequence[dict[str, Any]], report: dict[str, Any]) -> PageTable | None:
    """Log-losses of the variants of an ablation; None where no model learned a scale."""
    cells: list[tuple[str, ...]] = []
    scores: list[Score | None] = []
    for row in rows:
        if row.get("log_loss") is None:
            continue
        mine, (gap, *words) = score(row["log_loss"]), _gap(row, "log_loss_difference")
        scores += [mine, gap]
        cells.append((str(row["name"]), str(mine), *words))
    if not cells:
        return None
    header = ("variant", LOG_LOSS, f"difference in {LOG_LOSS}", "p")
    return PageTable("Log-loss", header, cells, caption(_log_loss_words(report), _PAIRED, notation(scores)))


def _gap(row: dict[str, Any], name: str) -> tuple[Score | None, str, str]:
    """Difference of a variant from the first row, in words too, and its p; empty where it is the first."""
    found = difference(row, name)
    if found is None:
        return None, "", ""
    return found.score, str(found.score), "" if found.p is None else p_value(found.p)


def _log_loss_words(report: dict[str, Any]) -> str:
    return (
        "Log-loss is that of the right picture at the scale that each model learned: lower is better; blind guessing "
        f"gives {number(report['chance_log_loss']):.3f}."
    )


def _several_whitenings(rows: Sequence[Mapping[str, Any]]) -> bool:
    return len({row.get("whitening") for row in rows if row.get("tier") == INDUCTIVE}) > 1


def _method(row: Mapping[str, Any], several: bool) -> str:
    """With the whitening where that alone tells inductive rows apart: a telephone does not show the column of it."""
    method = _word(row, "method")
    return f"{method}, {_word(row, 'whitening')}" if several and row.get("tier") == INDUCTIVE else method


def _word(entry: Mapping[str, Any], name: str) -> str:
    return "" if entry.get(name) is None else str(entry[name])


def both(scores: Sequence[Accuracies]) -> list[Score | None]:
    """Top-1 and top-5 of all."""
    return [one for row in scores for one in (row.top1, row.top5)]
