"""`neuroclip retrieve`: a run, a recording and a folder of pictures -> the pictures that fit best."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from neuroclip_hf.cli.options import as_list, as_mapping, print_result, table
from neuroclip_hf.errors import InputError


def retrieve(
    run: Path = typer.Argument(..., help="Folder of a run, or of a checkpoint."),
    recording: Path = typer.Option(..., "--recording", help="A recording with events at picture onsets."),
    gallery: Path = typer.Option(..., "--gallery", help="Folder of pictures to choose from."),
    sheet: Path | None = typer.Option(None, help="PNG with the pictures shown and found."),
    top_k: int = typer.Option(5, help="Pictures a query."),
    single_trials: bool = typer.Option(
        False, "--single-trials", help="One query an event; else equal events average."
    ),
    events: str | None = typer.Option(None, help="Meaning of events, as in 'Stimulus/S  1=face,Stimulus/S  2=house'."),
    ignore: str | None = typer.Option(None, help="Events to leave out: names or patterns with commas."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an existing sheet."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON line."),
) -> None:
    """Find, for each event of a recording, the pictures that fit best."""
    from neuroclip_hf.data.recordings import find_recordings, open_recording, rename_events
    from neuroclip_hf.files import refuse_existing

    if sheet is not None:
        _check_sheet(sheet)
        refuse_existing(sheet, overwrite)
    found_files = find_recordings([recording])
    if len(found_files) > 1:
        raise InputError(f"{recording} holds {len(found_files)} recordings: name one of them with --recording.")
    opened = open_recording(found_files[0], as_list(ignore, "--ignore"))
    opened = rename_events(opened, as_mapping(events, "--events"), as_list(ignore, "--ignore"))

    from neuroclip_hf.checkpoints import load_run
    from neuroclip_hf.galleries import load_gallery, retrieve, write_sheet

    pictures = load_gallery(gallery)
    model, processor = load_run(run)
    found = retrieve(model, processor, opened, pictures, top_k=top_k, single_trials=single_trials)
    if sheet is not None:
        write_sheet(found, pictures, sheet)
    result: dict[str, Any] = {
        "recording": str(recording),
        "queries": [asdict(one) for one in found],
        "sheet": None if sheet is None else str(sheet),
    }
    rows = [
        (
            one.name,
            str(one.trials),
            str(place),
            match.image_id,
            f"{match.score:.3f}",
            "right" if match.right else "",
        )
        for one in found
        for place, match in enumerate(one.matches, start=1)
    ]
    print_result(result, as_json, table(("event", "trials", "rank", "picture", "cosine", ""), rows))
    if sheet is not None and not as_json:
        typer.echo(f"Sheet: {sheet}")


def _check_sheet(sheet: Path) -> None:
    if sheet.suffix.lower() != ".png":
        raise InputError(f"--sheet {sheet}: the sheet is a PNG, so give it a name that ends in .png.")
    if sheet.is_dir():
        raise InputError(f"--sheet {sheet} is a folder: name a file in it.")
