"""What the sections of a page share: who was recorded, captions, and the figures that every result can have."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from neuroclip_hf import columns
from neuroclip_hf.data.rankings import SavedRanking
from neuroclip_hf.figures.families import concept_families
from neuroclip_hf.figures.matrices import MAX_FAMILIES, confusion_matrix, similarity_matrix
from neuroclip_hf.figures.page.content import PageFigure, PageTable, Section
from neuroclip_hf.figures.page.numbers import number, repeat_points, spreads
from neuroclip_hf.figures.page.reading import RUN, Result
from neuroclip_hf.figures.ranking import confusion, joined, sorted_scores
from neuroclip_hf.figures.repeats import repeats_curve
from neuroclip_hf.figures.style import to_png
from neuroclip_hf.figures.training import training_curves
from neuroclip_hf.run_files import HISTORY_FILE, RANKING_FILE

_RECORDED_WORDS = {
    columns.SIMULATED: "Simulated recordings: these numbers say nothing about real brains.",
    columns.RECORDED: "Recorded brains.",
}
CHOSEN_EPOCH = "at the epoch that validation chose"
"""What the folders of a reproduction's runs hold; its main row may be of the last epoch."""
Families = Mapping[str, str] | None


def recorded_words(data: Any) -> str:
    """Whether the recordings are simulated, as a sentence."""
    return _RECORDED_WORDS.get(str(data), f"Recordings: {data}.")


def readable(concept: str) -> str:
    """A concept as one reads it: "aircraft carrier" for "00001_aircraft_carrier"."""
    return re.sub(r"^\d+_", "", concept).replace("_", " ") or concept


def percent(value: Any) -> str:
    """A fraction in percent: "0.5 %"."""
    return f"{100 * number(value):.3g} %"


def chance_words(report: dict[str, Any]) -> str:
    """Chance and the size of the gallery, as a sentence."""
    top5 = report.get("chance_top5")
    also = "" if top5 is None else f", {percent(top5)} (top-5)"
    return f"Chance: {percent(report['chance'])} (top-1){also}, gallery of {report['gallery_size']}."


def caption(*sentences: str) -> str:
    """Sentences, without those that are empty."""
    return " ".join(sentence for sentence in sentences if sentence)


def counted(count: int, one: str, several: str | None = None) -> str:
    """So many of something: "1 seed", "3 seeds"."""
    return f"{count} {one if count == 1 else several or one + 's'}"


def facts_table(facts: Mapping[str, Any]) -> PageTable:
    """Names and values; what is None or empty is left out."""
    rows = [(name, _text(value)) for name, value in facts.items() if value not in (None, "", [], {})]
    return PageTable("How it came about", (), rows)


def _text(value: Any) -> str:
    if not value and isinstance(value, (Mapping, list, tuple)):
        return "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(entry)}" for name, entry in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def n_way_table(n_way: Mapping[str, Any], whitening: str = "") -> PageTable:
    """Accuracy in smaller galleries; of another whitening than the report's, which is then named."""
    rows = []
    for size, entry in sorted(n_way.items(), key=lambda item: int(item[0])):
        found = [_mean(entry.get(name)) for name in ("top1", "top5")]
        rows.append((f"{size}-way", *found, f"{1 / int(size):.3f}"))
    words = "Exact expectation over random galleries of that size that hold the right picture."
    title = f"Smaller galleries, {whitening}" if whitening else "Smaller galleries"
    return PageTable(title, ("gallery", "top-1", "top-5", "chance, top-1"), rows, words)


def _mean(entry: Any) -> str:
    if entry is None:
        return ""
    return f"{number(entry['mean'] if isinstance(entry, dict) else entry):.3f}"


def add_repeats(section: Section, entries: Sequence[dict[str, Any]], report: dict[str, Any]) -> None:
    """The repeats curve, where a report has one."""
    if not entries:
        section.left_out.append("repeats curve: the report has none; evaluate again with this version.")
        return
    points = repeat_points(entries)
    counts = sorted({int(number(entry["num_queries"])) for entry in entries if entry.get("num_queries")})
    n = "" if not counts else f"n = {' to '.join(map(str, sorted({counts[0], counts[-1]})))} queries a point."
    text = caption(
        "Queries whose picture was found, against how many trials of a picture were averaged into a query "
        "(logarithmic axis).",
        spreads([score for point in points for score in (point.top1, point.top5)]),
        chance_words(report),
        n,
        recorded_words(report["data"]),
    )
    figure = repeats_curve(points, number(report["chance"]), report.get("chance_top5"))
    section.figures.append(PageFigure("repeats", "Averaged repeats", text, to_png(figure)))


def add_training(section: Section, result: Result, data: Any) -> None:
    """Training curves of all runs of a result."""
    histories = [history for history in result.histories() if history]
    if not histories:
        section.left_out.append(f"training curves: no {HISTORY_FILE} lies there.")
        return
    best = [result.facts["best_epoch"]] if result.facts.get("best_epoch") else []
    best += [run["best_epoch"] for run in (result.report or {}).get("runs", ()) if run.get("best_epoch")]
    number_of = "One training." if len(histories) == 1 else f"{len(histories)} trainings (thin) and their mean (bold)."
    kept = "Dotted: the epochs that were kept." if best else ""
    text = caption(number_of, "Training loss, and loss and top-1 on validation, by epoch.", kept, recorded_words(data))
    section.figures.append(
        PageFigure("training", "Training", text, to_png(training_curves(histories, [int(number(e)) for e in best])))
    )


def add_rankings(section: Section, result: Result, given: Families, data: Any) -> None:
    """Confusion by family and the similarity matrix, of all runs of a result whose gallery is the first one's."""
    rankings = result.rankings()
    if not rankings:
        section.left_out.append(
            f"confusion and similarity: no {RANKING_FILE} lies there; evaluate again with this version."
        )
        return
    used, runs = joined(rankings)
    of_runs = "" if result.kind == RUN else f"{counted(runs, 'run')} together, {CHOSEN_EPOCH}."
    if runs < len(rankings):
        section.left_out.append(f"{len(rankings) - runs} runs have another gallery than the first: not among these.")
    ways = concept_families(
        [*used.concepts, *(query.concept for query in used.queries)], dict(given) if given else None
    )
    if not ways:
        section.left_out.append("confusion by family: concepts have no families; name some with --families.")
    for kind, families in ways.items():
        _add_confusion(section, used, kind, families, of_runs, recorded_words(data))
    _add_similarity(section, used, next(iter(ways.items()), None), of_runs, recorded_words(data))


def _add_confusion(
    section: Section, ranking: SavedRanking, kind: str, families: Mapping[str, str], of_runs: str, recorded: str
) -> None:
    found = confusion(ranking, {name: readable(family) for name, family in families.items()})
    if len(found.families) > MAX_FAMILIES:
        section.left_out.append(f"confusion by {kind}: {len(found.families)} are more than fit a figure.")
        return
    text = caption(
        f"For each {kind} that was shown (row), which {kind} the picture found first had (column); rows sum to 100 %. "
        "The strip below is what a random ranking would give.",
        f"The {kind} is right for {percent(found.agreement)}, by chance for {percent(found.chance)}.",
        f"n = {counted(len(ranking.queries), 'query', 'queries')}.",
        of_runs,
        recorded,
    )
    figure = confusion_matrix(found, kind)
    section.figures.append(PageFigure(f"confusion-{kind}", f"Confusion by {kind}", text, to_png(figure)))


def _add_similarity(
    section: Section,
    ranking: SavedRanking,
    way: tuple[str, Mapping[str, str]] | None,
    of_runs: str,
    recorded: str,
) -> None:
    families = None if way is None else way[1]
    scores = sorted_scores(ranking, families)
    groups = None if families is None else [readable(families[concept]) for concept in scores.gallery]
    if groups is not None and len(set(groups)) > MAX_FAMILIES:
        groups = None
    text = caption(
        "Mean cosine of what was shown (rows) with every gallery picture (columns), both sorted "
        f"{'by ' + way[0] + ' and ' if way and way[0] != 'concept' else 'by '}concept: a bright diagonal is what a "
        "model that finds everything has.",
        f"n = {counted(scores.queries, 'query', 'queries')}, {counted(len(ranking.image_ids), 'picture')}.",
        of_runs,
        recorded,
    )
    figure = similarity_matrix(scores, groups)
    section.figures.append(PageFigure("similarity", "Similarity of queries and gallery", text, to_png(figure)))
