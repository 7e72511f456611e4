"""`neuroclip report`: a folder of results -> one HTML page."""

from pathlib import Path

import typer

from neuroclip_hf.cli.options import print_result, table


def report(
    folder: Path = typer.Argument(..., help="A run, a reproduction, an ablation, or a folder of them."),
    out: Path | None = typer.Option(None, "--out", help="The HTML file; FOLDER/report.html by default."),
    data: Path | None = typer.Option(
        None, "--data", help="The trial store of the runs: adds retrieval sheets, filters, attention and scalp maps."
    ),
    families: Path | None = typer.Option(
        None, help="CSV file with the columns concept and family, for the confusion between families."
    ),
    without_pictures: bool = typer.Option(
        False, "--without-pictures", help="Names of pictures in their place, for stores that may not be passed on."
    ),
    scalp: str = typer.Option("occlusion", help="How channels are weighed: occlusion, or gradient (x input)."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an existing page."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON line."),
) -> None:
    """Write one self-contained HTML page with all tables and figures that the files allow."""
    from neuroclip_hf.data.store import TrialStore
    from neuroclip_hf.figures.page import PageSettings, write_page

    store = None if data is None else TrialStore(data)
    settings = PageSettings(store, families, pictures=not without_pictures, scalp=scalp)
    made = write_page(folder, out, settings, overwrite=overwrite)
    rows = [("page", made["page"]), *(("figure", name) for name in made["figures"])]
    rows += [("not shown", words) for words in made["left_out"]]
    print_result(made, as_json, table((), rows))
