"""`neuroclip compare`: two evaluated runs, query by query."""

from pathlib import Path
from typing import Any

import typer

from neuroclip_hf.cli.options import interval_text, print_result, table


def compare(
    first: Path = typer.Argument(..., help="Folder of a run that was evaluated."),
    second: Path = typer.Argument(..., help="Another one, evaluated on the same queries and gallery."),
    as_json: bool = typer.Option(False, "--json", help="Print the comparison as one JSON line."),
) -> None:
    """Say how much the first run is ahead of the second on the same queries, and whether that may be chance."""
    from neuroclip_hf.evaluation import compare_rankings, load_ranking

    found = compare_rankings(load_ranking(first), load_ranking(second), (str(first), str(second)))
    print_result(found, as_json, _table(found, first, second))


def _table(found: dict[str, Any], first: Path, second: Path) -> Any:
    rows = [
        (
            label,
            f"{one['first']:.3f}",
            f"{one['second']:.3f}",
            f"{one['difference']:+.3f}",
            interval_text(one, sign="+"),
            f"{one['p']:.3g}",
        )
        for label, one in (("top-1", found["top1"]), ("top-5", found["top5"]))
    ]
    title = f"{found['num_queries']} queries of {', '.join(found['subjects'])}, gallery of {found['gallery_size']}"
    level = f"{100 * found['top1']['level']:g} % interval"
    return table(("", str(first), str(second), "difference", level, "p"), rows, title)
