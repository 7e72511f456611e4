"""Tables of category decoding and matching, from the files that their verbs left beside a report."""

from pathlib import Path
from typing import Any

from neuroclip_hf.errors import InputError
from neuroclip_hf.figures.page.content import PageTable
from neuroclip_hf.figures.page.numbers import notation, number, p_value, score
from neuroclip_hf.figures.page.shared import caption, recorded_words
from neuroclip_hf.figures.scores import Score
from neuroclip_hf.files import read_json
from neuroclip_hf.run_files import TASKS, task_file


def task_tables(folder: Path) -> list[PageTable]:
    """A table for each question that was asked of a run, or of all runs of a reproduction; none if none was.

    Raises:
        InputError: if a file is damaged.
    """
    found = []
    for name, title in TASKS.items():
        path = folder / task_file(name)
        if not path.is_file():
            continue
        try:
            found += [_table(title, result) for result in read_json(path)["results"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path} lacks or has a wrong entry ({error}): ask again with --overwrite.") from error
    return found


def _table(title: str, result: dict[str, Any]) -> PageTable:
    scores: list[Score] = []
    rows = []
    for row in result["rows"]:
        mine = [score(row[name], row["intervals"][name]) for name in ("top1", "top5", "pairwise")]
        scores += mine
        numbers = [*map(str, mine), f"{number(row['mean_rank']):.2f}", f"{number(row['chance']['top1']):.3f}"]
        p, count = p_value(row["permutation"]["top1"]["p"]), str(row["num_queries"])
        rows.append((row["direction"], row["queries"], *numbers, p, count))
    other = result["reference"]
    if other is not None:
        numbers = [f"{number(other[name]):.4f}" for name in ("top1", "top5")]
        rows.append((other["name"], other["described"], *numbers, "", "", "", "", ""))
    kind = "zero-shot" if result["zero_shot"] else "not zero-shot"
    words = f"{result['rows'][0]['gallery_size']} candidates: {result['candidates']}; {kind}."
    header = ("", "queries", "top-1", "top-5", "pairwise", "mean rank", "chance, top-1", "p", "n")
    return PageTable(
        f"{title}, {result['trials']}, against {result['against']}",
        header,
        rows,
        caption(recorded_words(result["data"]), words, notation(scores), f"{other['source']}." if other else ""),
    )
