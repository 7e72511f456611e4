"""Reports -> the metrics that the Hub shows beside a model: `EvalResult`s for the card's `model-index`.

Only what the model does by itself goes there (the inductive tier); numbers that need more than the query stand in the
card, with what they need.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from huggingface_hub import EvalResult

from neuroclip_hf.columns import IMAGERY, INDUCTIVE, SIMULATED, TEST
from neuroclip_hf.data.terms import PUBLISHED

_MEASURES = {"top1": "top-1", "top5": "top-5", "pairwise": "pairwise identification"}
HUB_TASKS = {
    "retrieval": ("brain-image-retrieval", "Picture retrieval from brain recordings"),
    "categories": ("brain-category-decoding", "Category decoding from brain recordings"),
    "matching": ("brain-matching", "Matching of brain recordings with pictures or texts"),
}
"""Retrieval, and every task of `neuroclip_hf.run_files.TASKS` -> type and name of it on the Hub (ours)."""
_PAIRWISE_CHANCE = 0.5


def run_results(report: Mapping[str, Any], source: str | None) -> list[EvalResult]:
    """Metrics of the report of a run.

    Args:
        report (mapping): what report.json says.
        source (`str`, *optional*): of the store, as its store.json says it.

    Raises:
        KeyError, TypeError: if the report lacks an entry.
    """
    intervals = report.get("intervals") or {}
    values = {name: (report[name], intervals.get(name)) for name in _MEASURES}
    said = {"num_queries": report["num_queries"], "selection": report["selection"], "tier": report["tier"]}
    return list(_retrieval(report, values, source, said))


def reproduction_results(report: Mapping[str, Any], source: str | None) -> list[EvalResult]:
    """Metrics of the report of a reproduction: means over subjects and seeds, for each way to choose the epoch.

    Args:
        report (mapping): what report.json says.
        source (`str`, *optional*): of the store, as its store.json says it.

    Raises:
        KeyError, TypeError: if the report lacks an entry.
    """
    results: list[EvalResult] = []
    for row in main_rows(report):
        values = {
            name: (mean["mean"], mean.get("interval")) for name, mean in row["mean"].items() if name in _MEASURES
        }
        said = {"seeds": len(report["seeds"]), "subjects": len(row["subjects"])}
        said |= {"subject_protocol": report["subject_protocol"], "selection": row["selection"], "tier": row["tier"]}
        results += _retrieval(report, values, source, said)
    return results


def main_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of a reproduction that use nothing of the test split but the query, in the whitening that comes first.

    One for each way to choose the epoch.
    """
    rows = [row for row in report["results"] if row["tier"] == INDUCTIVE]
    return [row for row in rows if row["whitening"] == rows[0]["whitening"]]


def task_results(reports: Iterable[Mapping[str, Any]], source: str | None) -> list[EvalResult]:
    """Metrics of reports of categories.json and matching.json: one for each direction, way to average and measure.

    Args:
        reports (iterable of mappings): their results.
        source (`str`, *optional*): of the store, as its store.json says it.

    Raises:
        KeyError, TypeError: if one lacks an entry.
    """
    return [result for report in reports for row in report["rows"] for result in _task(report, row, source)]


@dataclass(frozen=True)
class _Question:
    """What was asked of which recordings; every measure answers it."""

    task: str
    report: Mapping[str, Any]
    source: str | None
    asked: dict[str, Any]
    config: str | None = None

    def answer(
        self, name: str, value: float, interval: Mapping[str, Any] | None, said: Mapping[str, Any]
    ) -> EvalResult:
        task_type, task_name = HUB_TASKS[self.task]
        dataset_type, dataset_name = _dataset(self.source, self.report["data"])
        bounds = {} if interval is None else {bound: interval[bound] for bound in ("low", "high", "level")}
        return EvalResult(
            task_type=task_type,
            task_name=task_name,
            dataset_type=dataset_type,
            dataset_name=dataset_name,
            dataset_config=self.config,
            dataset_split=IMAGERY if self.report.get("trials") == IMAGERY else TEST,
            dataset_revision=self.report["store"],
            dataset_args=self.asked,
            metric_type="accuracy",
            metric_name=_MEASURES[name],
            metric_value=value,
            metric_args={**said, **bounds},
        )


def _retrieval(
    report: Mapping[str, Any],
    values: Mapping[str, tuple[float, Mapping[str, Any] | None]],
    source: str | None,
    said: Mapping[str, Any],
) -> Iterator[EvalResult]:
    chance = {"top1": report["chance"], "top5": report["chance_top5"], "pairwise": _PAIRWISE_CHANCE}
    asked = {name: report[name] for name in ("protocol", "gallery", "gallery_size", "averaged_repeats")}
    question = _Question("retrieval", report, source, asked)
    for name, (value, interval) in values.items():
        yield question.answer(name, value, interval, {**said, "chance": chance[name]})


def _task(report: Mapping[str, Any], row: Mapping[str, Any], source: str | None) -> Iterator[EvalResult]:
    asked = {"protocol": report["protocol"], "candidates": report["candidates"], "gallery_size": row["gallery_size"]}
    config = f"{row['direction']}, {report['trials']}, against {report['against']}, {row['queries']}"
    question = _Question(report["task"], report, source, asked, config)
    for name in _MEASURES:
        said = {"num_queries": row["num_queries"], "chance": row["chance"][name]}
        yield question.answer(name, row[name], row["intervals"].get(name), said)


def _dataset(source: str | None, data: str) -> tuple[str, str]:
    """What the Hub may call the recordings, and what a reader does."""
    published = PUBLISHED.get(source or "")
    name = "own recordings" if published is None else published.title
    if data == SIMULATED:
        return SIMULATED, "simulated recordings" if published is None else f"{name} (simulated in its layout)"
    return source or "recordings", name
