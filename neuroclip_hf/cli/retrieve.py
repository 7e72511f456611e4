"""`neuroclip retrieve`: a run, a recording and a folder of pictures, or an index -> the pictures that fit best."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from neuroclip_hf.cli.chosen_gallery import Approximate, Index, check_choice, open_index, open_pictures
from neuroclip_hf.cli.options import as_list, as_mapping, print_result, table
from neuroclip_hf.errors import InputError

if TYPE_CHECKING:
    from neuroclip_hf.data.recordings import Recording
    from neuroclip_hf.galleries import Retrieval


def retrieve(
    run: Path = typer.Argument(..., help="Folder of a run, or of a checkpoint."),
    recording: Path = typer.Option(..., "--recording", help="A recording with events at picture onsets."),
    gallery: Path | None = typer.Option(None, "--gallery", help="Folder of pictures to choose from."),
    index: Index = None,
    approximate: Approximate = False,
    sheet: Path | None = typer.Option(None, help="PNG with the pictures shown and found."),
    top_k: int = typer.Option(5, help="Pictures a query."),
    single_trials: bool = typer.Option(
        False, "--single-trials", help="One query an event; else equal events average."
    ),
    events: str | None = typer.Option(None, help="Meaning of events, as in 'Stimulus/S  1=face,Stimulus/S  2=house'."),
    ignore: str | None = typer.Option(None, help="Events to leave out: names or patterns with commas."),
    interpolate: bool = typer.Option(
        False, "--interpolate", help="Interpolate electrodes that are missing or cannot be used, as MNE does."
    ),
    calibrate: Path | None = typer.Option(
        None, help="A recording of the same person or session, to fit mean, scale and whitening on; no label is used."
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an existing sheet."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON line."),
) -> None:
    """Find, for each event of a recording, the pictures that fit best."""
    from neuroclip_hf.files import refuse_existing

    if sheet is not None:
        _check_sheet(sheet)
        refuse_existing(sheet, overwrite)
    check_choice(gallery, index, approximate)
    if gallery is None and sheet is not None:
        raise InputError("--sheet shows pictures, and an index holds none: pass --gallery, their folder, too.")
    opened = _open(recording, "--recording", ignore, events)
    itself = calibrate is not None and calibrate.exists() and calibrate.samefile(recording)
    unlabelled = None if calibrate is None or itself else _open(calibrate, "--calibrate", ignore, None)

    from neuroclip_hf.checkpoints import load_run
    from neuroclip_hf.galleries import retrieve, write_sheet

    pictures = open_pictures(gallery, index)
    searched = pictures if index is None else open_index(index, approximate)
    model, processor = load_run(run)
    found = retrieve(
        model,
        processor,
        opened,
        searched,
        top_k=top_k,
        single_trials=single_trials,
        interpolate=interpolate,
        calibrate=True if itself else unlabelled,
    )
    if sheet is not None and pictures is not None:
        write_sheet(found.queries, pictures, sheet)
    result: dict[str, Any] = {
        "recording": str(recording),
        **asdict(found),
        "sheet": None if sheet is None else str(sheet),
    }
    print_result(result, as_json, table(("event", "trials", "rank", "picture", "cosine", ""), _rows(found)))
    if not as_json:
        for note in _said(found):
            typer.echo(note)
    if sheet is not None and not as_json:
        typer.echo(f"Sheet: {sheet}")


def _open(path: Path, option: str, ignore: str | None, events: str | None) -> "Recording":
    from neuroclip_hf.data.recordings import find_recordings, open_recording, rename_events

    found = find_recordings([path])
    if len(found) > 1:
        raise InputError(f"{path} holds {len(found)} recordings: name one of them with {option}.")
    left_out = as_list(ignore, "--ignore")
    return rename_events(open_recording(found[0], left_out), as_mapping(events, "--events"), left_out)


def _rows(found: "Retrieval") -> list[tuple[str, ...]]:
    return [
        (one.name, str(one.trials), f"{place}", match.image_id, f"{match.score:.3f}", "right" if match.right else "")
        for one in found.queries
        for place, match in enumerate(one.matches, start=1)
    ]


def _said(found: "Retrieval") -> list[str]:
    """What was done to the recording, and to the processor."""
    said = [f"{note[0].upper()}{note[1:]}." for note in found.notes]
    if found.calibration is not None:
        said.append(f"Calibrated on {found.calibration['trials']} unlabelled trials: {found.tier}.")
    return said


def _check_sheet(sheet: Path) -> None:
    if sheet.suffix.lower() != ".png":
        raise InputError(f"--sheet {sheet}: the sheet is a PNG, so give it a name that ends in .png.")
    if sheet.is_dir():
        raise InputError(f"--sheet {sheet} is a folder: name a file in it.")
