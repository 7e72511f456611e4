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
    from neuroclip_hf.evaluation import compare_runs

    found = compare_runs(first, second)
    print_result(found, as_json, _table(found, first, second))


def _table(found: dict[str, Any], first: Path, second: Path) -> Any:
    from rich.console import Group

    words = {name: label for name, label in _MEASURES.items() if name in found}
    both = [found[name] for name in words]
    rows = [
        (str(first), *(f"{one['first']:.3f}" for one in both)),
        (str(second), *(f"{one['second']:.3f}" for one in both)),
        ("difference", *(f"{one['difference']:+.3f}" for one in both)),
        (f"{100 * both[0]['level']:g} % interval", *(interval_text(one, sign="+") for one in both)),
        ("p", *(f"{one['p']:.3g}" for one in both)),
    ]
    title = (
        f"{found['num_queries']} queries of {', '.join(found['subjects'])}, gallery of {found['gallery_size']}, "
        f"{found['tier']}"
    )
    notes = [f"intervals over {both[0]['over']}", *(f"Note: {flag}" for flag in found["flags"])]
    return Group(table(("", *words.values()), rows, title), *notes)


_MEASURES = {"top1": "top-1", "top5": "top-5", "log_loss": "log-loss (lower is better)"}
