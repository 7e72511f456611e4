"""`neuroclip export`: a trial store -> Parquet and a card, which `load_dataset` reads."""

from pathlib import Path

import typer

from neuroclip_hf.cli.options import print_result


def export(
    store: Path = typer.Argument(..., help="The trial store."),
    to: Path = typer.Option(..., "--to", help="Folder of the dataset to make."),
    pictures: bool = typer.Option(
        True,
        "--pictures/--without-pictures",
        "--images/--without-images",
        help="Whether the pictures' files go along; without them, for sharing.",
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an existing export."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON line."),
) -> None:
    """Write a trial store as a dataset: Parquet, a config a subject, the pictures once, and a card."""
    from neuroclip_hf.data.parquet.card import configs
    from neuroclip_hf.data.parquet.export import export_store
    from neuroclip_hf.data.parquet.layout import read_export_info

    made = export_store(store, to, images=pictures, overwrite=overwrite)
    info = read_export_info(made)
    files = [path for path in made.rglob("*") if path.is_file()]
    result = {
        "dataset": str(made),
        "store": str(store),
        "fingerprint": info.fingerprint,
        "configs": [config["config_name"] for config in configs(info)],
        "images": info.images,
        "files": len(files),
        "megabytes": round(sum(path.stat().st_size for path in files) / 1e6, 1),
    }
    print_result(result, as_json)
