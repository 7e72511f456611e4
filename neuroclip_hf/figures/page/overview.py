"""Several results side by side: methods in both settings."""

from collections.abc import Sequence
from typing import Any

from neuroclip_hf import columns
from neuroclip_hf.figures.bars import Panel, accuracy_bars
from neuroclip_hf.figures.page.content import PageFigure
from neuroclip_hf.figures.page.names import names_of
from neuroclip_hf.figures.page.numbers import accuracies, number, score, spreads
from neuroclip_hf.figures.page.reading import REPRODUCTION, RUN, Result
from neuroclip_hf.figures.page.results import main_result
from neuroclip_hf.figures.page.shared import caption
from neuroclip_hf.figures.scores import Accuracies
from neuroclip_hf.figures.style import to_png

_SETTINGS = {"intra": "Within subject", "inter": "Across subjects", "pooled": "Pooled subjects"}


def methods_figure(results: Sequence[Result]) -> PageFigure | None:
    """Bars of all methods, a panel for each setting, kind of recordings and gallery; None for fewer than two methods.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: if a report lacks an entry or holds a wrong one.
    """
    panels: dict[tuple[str, str, int], Panel] = {}
    compared = [one for one in results if one.kind in (REPRODUCTION, RUN) and one.report is not None]
    if len(compared) < 2:
        return None
    members: dict[tuple[str, str, int], list[Result]] = {}
    for result in compared:
        report: dict[str, Any] = result.report or {}
        key = (_setting(result, report), str(report["data"]), int(report["gallery_size"]))
        members.setdefault(key, []).append(result)
    notes: list[str] = []
    for key, mine in members.items():
        names, alike = names_of(mine)
        report = mine[0].report or {}
        rows = [_row(name, result) for name, result in zip(names, mine, strict=True)]
        title = f"{_SETTINGS[key[0]]}, {key[2]}-way, {key[1]}"
        panels[key] = Panel(title, rows, number(report["chance"]), report.get("chance_top5"))
        notes += alike
    ordered = [panels[key] for key in sorted(panels, key=lambda key: (list(_SETTINGS).index(key[0]), key[1:]))]
    data = {key[1] for key in panels}
    text = caption(
        "Queries whose picture was found, by method, each with its own row of results below.",
        *dict.fromkeys(notes),
        spreads([one for panel in ordered for row in panel.rows for one in (row.top1, row.top5)]),
        "Dashed and dotted: chance in that gallery.",
        "Simulated recordings." if data == {columns.SIMULATED} else "",
        "Some recordings are simulated: the titles say which." if len(data) > 1 else "",
        "Recorded brains." if data == {columns.RECORDED} else "",
    )
    return PageFigure("methods", "Methods", text, to_png(accuracy_bars(ordered)))


def _setting(result: Result, report: dict[str, Any]) -> str:
    if result.kind == REPRODUCTION:
        protocol = str(report["subject_protocol"])
        if protocol not in _SETTINGS:
            raise ValueError(f"protocol is {protocol!r}: intra or inter")
        return protocol
    if report.get("split") == columns.INTRA_SUBJECT:
        return "intra"
    return "inter" if report.get("split") == columns.LEAVE_ONE_SUBJECT_OUT else "pooled"


def _row(name: str, result: Result) -> Accuracies:
    report: dict[str, Any] = result.report or {}
    if result.kind == REPRODUCTION:
        return accuracies(name, main_result(report)["mean"])
    intervals = report.get("intervals") or {}
    return Accuracies(name, *(score(report[measure], intervals.get(measure)) for measure in ("top1", "top5")))
