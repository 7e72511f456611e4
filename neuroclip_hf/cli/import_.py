"""`neuroclip import`: what `neuroclip export` wrote -> the same trial store."""

from pathlib import Path

import typer

from neuroclip_hf.cli.options import print_result


def import_(
    dataset: Path = typer.Argument(..., help="Folder that `neuroclip export` made."),
    out: Path = typer.Option(..., "--out", help="The trial store to make."),
    pictures: Path | None = typer.Option(
        None,
        "--pictures",
        "--images",
        help="Folder of the pictures, where the export has none; named as they were.",
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an existing store."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON line."),
) -> None:
    """Rebuild the trial store that was exported, byte by byte."""
    from neuroclip_hf.data.description import summarise_store
    from neuroclip_hf.data.parquet.importing import import_store

    made = import_store(dataset, out, pictures=pictures, overwrite=overwrite)
    print_result(summarise_store(made), as_json)
