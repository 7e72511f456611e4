"""One result -> a section of the page: its numbers, and the figures that need nothing but its files."""

from collections.abc import Mapping, Sequence
from typing import Any

from neuroclip_hf import columns
from neuroclip_hf.figures.bars import Difference, Panel, accuracy_bars, difference_plot
from neuroclip_hf.figures.page.content import PageFigure, PageTable, Section
from neuroclip_hf.figures.page.generation import add_generation
from neuroclip_hf.figures.page.numbers import (
    GROWING,
    SLIDING,
    accuracies,
    difference,
    notation,
    number,
    score,
    segment,
    spreads,
)
from neuroclip_hf.figures.page.reading import ABLATION, REPRODUCTION, Result
from neuroclip_hf.figures.page.shared import (
    Families,
    add_rankings,
    add_repeats,
    add_training,
    caption,
    chance_words,
    counted,
    facts_table,
    n_way_table,
    recorded_words,
)
from neuroclip_hf.figures.page.tables import (
    both,
    by_subject_table,
    log_loss_table,
    results_table,
    rows_table,
    run_table,
    tiers_table,
)
from neuroclip_hf.figures.page.tasks import task_tables
from neuroclip_hf.figures.page.unfinished import cells_flag, last_good_flag
from neuroclip_hf.figures.scores import LOG_LOSS, Accuracies
from neuroclip_hf.figures.segments import Segment, segment_curves
from neuroclip_hf.figures.style import to_png

_SEGMENTS = "segments"


def build_section(result: Result, families: Families) -> Section:
    """Tables and figures of one result.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: if its report lacks an entry or holds a wrong one.
    """
    section = _section(result, families)
    section.tables += task_tables(result.folder)
    return section


def _section(result: Result, families: Families) -> Section:
    if result.report is None:
        return _under_way(result) if result.kind == ABLATION else _unevaluated(result)
    if result.kind == REPRODUCTION:
        return _reproduction(result, result.report, families)
    if result.kind == ABLATION:
        return _ablation(result, result.report)
    return _run(result, result.report, families)


def main_result(report: Mapping[str, Any]) -> dict[str, Any]:
    """Of a reproduction, the row that speaks for it: the first inductive one."""
    rows: list[dict[str, Any]] = report["results"]
    return next((row for row in rows if row.get("tier") == "inductive"), rows[0])


def _under_way(result: Result) -> Section:
    lead = "No table yet: it is made when all cells are finished."
    section = Section(f"Ablation over {result.facts['over']} ({result.name})", lead, simulated=False)
    section.flags += cells_flag(result.folder)
    return section


def _unevaluated(result: Result) -> Section:
    data = result.facts.get("data")
    section = Section(
        f"{result.facts.get('recipe') or 'A checkpoint'}, one run ({result.name})",
        f"{recorded_words(data)} Not evaluated yet.",
        data == columns.SIMULATED,
    )
    section.flags += last_good_flag(result.folder)
    section.tables.append(facts_table(_training_facts(result.facts)))
    add_training(section, result, data)
    add_generation(section, result.folder)
    return section


def _run(result: Result, report: dict[str, Any], families: Families) -> Section:
    intervals = report.get("intervals") or {}
    top1, top5 = (score(report[name], intervals.get(name)) for name in ("top1", "top5"))
    recipe = report["run"].get("recipe") or "a checkpoint"
    found = caption(f"Top-1 {top1}, top-5 {top5}.", notation([top1, top5]))
    lead = caption(recorded_words(report["data"]), found, chance_words(report))
    section = Section(f"{recipe}, one run ({result.name})", lead, report["data"] == columns.SIMULATED)
    section.flags += [*map(str, report.get("flags") or ()), *last_good_flag(result.folder)]
    section.tables.append(run_table(report))
    if report.get("tiers"):
        section.tables.append(tiers_table(report["tiers"]))
    if report.get("n_way"):
        section.tables.append(n_way_table(report["n_way"]))
    section.tables += _other_n_way((report.get("tiers") or ())[1:])
    facts = {name: report.get(name) for name in _RUN_FACTS}
    section.tables.append(facts_table({**facts, **_training_facts({**result.facts, **report["run"]})}))
    if len(report["subjects"]) > 1:
        rows = [accuracies(name, entry) for name, entry in report["subjects"].items()]
        section.figures.append(_subjects_figure(rows, report, f"n = {report['num_queries']} queries in all."))
    add_repeats(section, report.get("repeats") or (), report)
    add_training(section, result, report["data"])
    add_rankings(section, result, families, report["data"])
    add_generation(section, result.folder)
    return section


_REPRODUCTION_FACTS = (
    "recipe",
    "subject_protocol",
    "protocol",
    "seeds",
    "tower",
    "gallery",
    "averaged_repeats",
    "whitening_fit",
    "store",
    "seconds",
    "hardware",
    "versions",
)

_RUN_FACTS = (
    "protocol",
    "split",
    "tested_subjects",
    "gallery",
    "averaged_repeats",
    "target",
    "tier",
    "whitening_fit",
    "selection",
    "tower",
    "seed",
    "store",
    "permutation",
)


def _training_facts(run: Mapping[str, Any]) -> dict[str, Any]:
    names = ("recipe", "best_epoch", "epochs", "trainable_parameters", "seconds", "subjects", "held_out_subject")
    lost = run.get("lost") or {}
    facts = {name: run.get(name) for name in (*names, "validation", "sampling", "versions")}
    return {**facts, "lost": lost.get("why"), "trials of the lost batch": lost.get("batch")}


def _other_n_way(rows: Sequence[Mapping[str, Any]]) -> list[PageTable]:
    """Of the other inductive rows, those of another whitening."""
    found = [row for row in rows if row.get("tier") == "inductive" and row.get("n_way")]
    return [n_way_table(row["n_way"], str(row["whitening"])) for row in found]


def _subjects_figure(rows: Sequence[Accuracies], report: dict[str, Any], n: str) -> PageFigure:
    panel = Panel("By subject", rows, number(report["chance"]), report.get("chance_top5"))
    spread = spreads(both(rows))
    text = caption(
        "Queries whose picture was found, by subject.", spread, chance_words(report), n, recorded_words(report["data"])
    )
    return PageFigure("subjects", "By subject", text, to_png(accuracy_bars([panel])))


def _reproduction(result: Result, report: dict[str, Any], families: Families) -> Section:
    main, seeds = main_result(report), report["seeds"]
    mean = accuracies("mean", main["mean"])
    lead = caption(
        recorded_words(report["data"]),
        f"Top-1 {mean.top1}, top-5 {mean.top5}, mean over subjects and seeds, {main['selection']}, "
        f"{main['whitening']}.",
        notation([mean.top1, mean.top5]),
        chance_words(report),
    )
    title = f"{report['recipe']}, {report['subject_protocol']}-subject ({result.name})"
    section = Section(title, lead, report["data"] == columns.SIMULATED)
    section.flags += map(str, report.get("flags") or ())
    section.tables.append(results_table(report))
    section.tables.append(by_subject_table(main, seeds))
    if main.get("n_way"):
        section.tables.append(n_way_table(main["n_way"]))
    others = [row for row in report["results"] if row is not main and row["selection"] == main["selection"]]
    section.tables += _other_n_way(others)
    section.tables.append(facts_table({name: report.get(name) for name in _REPRODUCTION_FACTS}))
    rows = [accuracies(name, entry) for name, entry in main["subjects"].items()]
    section.figures.append(
        _subjects_figure(rows, report, f"{counted(len(rows), 'subject')}, {counted(len(seeds), 'seed')}.")
    )
    add_repeats(section, main.get("repeats") or (), report)
    add_training(section, result, report["data"])
    add_rankings(section, result, families, report["data"])
    return section


def _ablation(result: Result, report: dict[str, Any]) -> Section:
    over, rows = report["over"], report["rows"]
    scores = [accuracies(str(row["name"]), row) for row in rows]
    recipe = report.get("recipe") or "a recipe"
    lead = caption(
        recorded_words(report["data"]), f"{counted(len(rows), 'variant')} of {recipe}.", chance_words(report)
    )
    section = Section(f"Ablation over {over} ({result.name})", lead, report["data"] == columns.SIMULATED)
    section.flags += [*map(str, report.get("flags") or ()), *cells_flag(result.folder)]
    section.tables.append(rows_table(rows, scores))
    losses = log_loss_table(rows, report)
    section.tables += [] if losses is None else [losses]
    facts = (
        "recipe",
        "over",
        "subject_protocol",
        "seeds",
        "selection",
        "tower",
        "gallery",
        "whitening_fit",
        "store",
        "seconds",
    )
    section.tables.append(facts_table({name: report.get(name) for name in facts}))
    found = [one for one in map(segment, rows) if one is not None] if over == _SEGMENTS else []
    if found:
        section.figures.append(_segments_figure(found, report))
    else:
        section.figures.append(_rows_figure(scores, report))
    for name, measure in (("difference", "top-1"), ("log_loss_difference", LOG_LOSS)):
        differences = [one for row in rows if (one := difference(row, name)) is not None]
        if differences:
            section.figures.append(_differences_figure(differences, str(rows[0]["name"]), report, measure))
    return section


def _segments_figure(found: Sequence[tuple[str, Segment]], report: dict[str, Any]) -> PageFigure:
    sliding, growing = ([one for kind, one in found if kind == wanted] for wanted in (SLIDING, GROWING))
    text = caption(
        "Queries whose picture was found by models that saw one stretch of time:",
        f"windows of {_lengths(sliding)} at different places{', and' if growing else '.'}" if sliding else "",
        "windows that grow from one start." if growing else "",
        spreads([score for _, one in found for score in (one.top1, one.top5)]).replace("Error bars", "Bands"),
        chance_words(report),
        recorded_words(report["data"]),
    )
    figure = segment_curves(sliding, growing, number(report["chance"]), report.get("chance_top5"))
    return PageFigure("segments", "Temporal segments", text, to_png(figure))


def _lengths(segments: Sequence[Segment]) -> str:
    lengths = sorted({round(one.stop - one.start, 3) for one in segments})
    return " to ".join(f"{length:g}" for length in dict.fromkeys((lengths[0], lengths[-1]))) + " s"


def _rows_figure(scores: Sequence[Accuracies], report: dict[str, Any]) -> PageFigure:
    over = report["over"]
    title = {"encoders": "Comparison of encoders"}.get(over, f"Ablation over {over}")
    panel = Panel(title, scores, number(report["chance"]), report.get("chance_top5"))
    text = caption(
        f"Queries whose picture was found, by variant ({over}).",
        spreads(both(scores)),
        chance_words(report),
        recorded_words(report["data"]),
    )
    return PageFigure(over, title, text, to_png(accuracy_bars([panel])))


def _differences_figure(
    differences: Sequence[Difference], reference: str, report: dict[str, Any], measure: str
) -> PageFigure:
    better = " Lower is better." if measure == LOG_LOSS else ""
    text = caption(
        f"Paired difference in {measure} from {reference!r}, the first row, on the same queries.{better} Filled: the "
        "interval leaves zero out.",
        spreads([one.score for one in differences]),
        recorded_words(report["data"]),
    )
    figure = to_png(difference_plot(differences, reference, measure))
    return PageFigure(f"differences-{measure}", f"Paired differences in {measure}", text, figure)
