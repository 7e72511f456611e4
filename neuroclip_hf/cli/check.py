"""`neuroclip check`: whether a trial store is whole and keeps its protocol."""

from pathlib import Path

import typer

from neuroclip_hf.cli.options import print_result, table


def check(
    store: Path = typer.Argument(..., help="The trial store."),
    as_json: bool = typer.Option(False, "--json", help="Print what was found as one JSON line."),
) -> None:
    """Read every byte of a store: checksums, tables, splits, values and pictures; exit code 2 if any is bad."""
    from neuroclip_hf.data.verification import check_store

    found = check_store(store)
    values = found.to_dict()
    if found.problems:
        rows = [(one.file, one.problem, one.remedy) for one in found.problems]
        print_result(values, as_json, table((), rows))
    else:
        print_result(values if as_json else {**values, "problems": "none"}, as_json)
    found.refuse()
