"""Which results lie in a folder, and what their files say."""

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuroclip_hf.data.rankings import SavedRanking, read_ranking
from neuroclip_hf.errors import InputError
from neuroclip_hf.figures.page.unfinished import is_ablation
from neuroclip_hf.figures.training import History
from neuroclip_hf.files import read_json
from neuroclip_hf.run_files import HISTORY_FILE, PLAN_FILE, REPORT_FILE, REPORT_SCHEMA, RUN_FILE

RUN, REPRODUCTION, ABLATION = "run", "reproduction", "ablation"
DEPTH = 3
"""Folders below the one that was named in which results are looked for."""


@dataclass(frozen=True)
class Result:
    """One result as it lies on disk.

    Args:
        kind (`str`): "run", "reproduction" or "ablation".
        folder (`Path`): where.
        name (`str`): its place below the folder that was named; that folder's own name for itself.
        report (`dict` or None): report.json; None for a run that was not evaluated, and an ablation under way.
        facts (`dict`): run.json of a run; empty for others.
    """

    kind: str
    folder: Path
    name: str
    report: dict[str, Any] | None
    facts: dict[str, Any]

    @property
    def runs(self) -> list[Path]:
        """Folders of the single trainings behind it, as far as they are there.

        Itself for a run. Those that the report of a reproduction names, each with the epoch that validation chose;
        its last epoch, its control and trainings that the report leaves out lie beside them. None for an ablation,
        whose trainings are of different models.

        Raises:
            KeyError, TypeError, ValueError: if the report does not say which, or names a folder outside its own.
        """
        if self.kind != REPRODUCTION:
            return [self.folder] if self.kind == RUN else []
        folders = [self.folder / run["folder"] for run in (self.report or {})["runs"]]
        outside = [path for path in folders if not path.resolve().is_relative_to(self.folder.resolve())]
        if outside:
            raise ValueError(f"run {outside[0]} lies outside")
        return [path for path in folders if (path / RUN_FILE).is_file()]

    def histories(self) -> list[History]:
        """training.jsonl of its runs, those that have one."""
        files = (folder / HISTORY_FILE for folder in self.runs)
        return [_read_history(path) for path in files if path.is_file()]

    def rankings(self) -> list[SavedRanking]:
        """Rankings of its runs, those that have one."""
        return [found for found in map(read_ranking, self.runs) if found is not None]


def find_results(folder: str | Path) -> list[Result]:
    """All results in a folder: its own, or else those of folders in it, in the order of their names.

    Raises:
        InputError: if there is none, or a report cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: name a run, a reproduction, an ablation, or a folder of them.")
    found = [_read(one, folder) for one in _search(folder, DEPTH)]
    if not found:
        raise InputError(
            f"{folder} holds no {REPORT_FILE} and no {RUN_FILE}: name a folder that `neuroclip train`, `evaluate`, "
            "`reproduce` or `ablate` wrote, or one that holds such folders."
        )
    return found


def _search(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / REPORT_FILE).is_file() or (folder / RUN_FILE).is_file() or is_ablation(folder):
        yield folder
    elif depth:
        for child in sorted(folder.iterdir()):
            if child.is_dir() and not child.is_symlink() and not child.name.startswith("."):
                yield from _search(child, depth - 1)


def _read(folder: Path, root: Path) -> Result:
    report_file, facts_file = folder / REPORT_FILE, folder / RUN_FILE
    report = _clean(read_json(report_file)) if report_file.is_file() else None
    facts = _clean(read_json(facts_file)) if facts_file.is_file() else {}
    name = _clean(folder.resolve().name if folder == root else folder.relative_to(root).as_posix())
    if report is None and is_ablation(folder):
        return Result(ABLATION, folder, name, None, _clean(read_json(folder / PLAN_FILE)))
    if report is None:
        return Result(RUN, folder, name, None, facts if isinstance(facts, dict) else {})
    kind = report.get("kind", RUN) if isinstance(report, dict) else None
    if kind not in (RUN, REPRODUCTION, ABLATION):
        raise InputError(f"{report_file} is of kind {kind!r}: a page is made of a run, a reproduction or an ablation.")
    if report.get("schema") != REPORT_SCHEMA:
        raise InputError(
            f"{report_file} has schema {report.get('schema')!r}, this version reads {REPORT_SCHEMA}: evaluate again."
        )
    return Result(kind, folder, name, report, facts if isinstance(facts, dict) else {})


def _read_history(path: Path) -> History:
    try:
        entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return [{str(name): float(value) for name, value in entry.items()} for entry in entries if entry["epoch"]]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} cannot be read ({error}): train again, or remove it.") from None


def _clean(value: Any) -> Any:
    """Texts without what neither HTML nor a figure can hold: control characters and halves of characters."""
    if isinstance(value, str):
        kept = (letter if unicodedata.category(letter) not in ("Cc", "Cs") else "\ufffd" for letter in value)
        return "".join(kept)
    if isinstance(value, dict):
        return {_clean(name): _clean(entry) for name, entry in value.items()}
    return [_clean(entry) for entry in value] if isinstance(value, list) else value
