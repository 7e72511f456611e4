"""`neuroclip download`: published recordings, from where their authors keep them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from neuroclip_hf.cli.options import as_list, as_numbers, print_result, table

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _download() -> None:
    """Download published recordings; stopped and started again, it goes on."""


@app.command("things-eeg2")
def things_eeg2(
    to: Path = typer.Option(..., "--to", help="Folder to bring the files to; other files in it are not touched."),
    subjects: str = typer.Option("1", help="Numbers of the subjects, with commas; about 10 GB each."),
    what: str = typer.Option("raw,metadata,pictures", help="Which of raw, metadata and pictures, with commas."),
    mirror: str | None = typer.Option(None, help="Address below which sub-01.zip and the others lie."),
    timeout: float | None = typer.Option(None, min=0.1, help="Seconds of silence after which to connect again."),
    attempts: int | None = typer.Option(None, min=1, help="Tries that bring nothing new before giving up."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace files that differ from the published ones."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON line."),
) -> None:
    """THINGS-EEG2: raw recordings, the pictures and their table. The terms of use are printed first."""
    from neuroclip_hf.data.download import Patience, download, things_eeg2_sources

    sources = things_eeg2_sources(as_numbers(subjects, "--subjects"), as_list(what, "--what"), mirror)
    given: dict[str, Any] = {"attempts": attempts, "timeout": timeout}
    patience = Patience(**{name: value for name, value in given.items() if value is not None})
    done = download(sources, to, overwrite=overwrite, patience=patience)
    rows = [(one.path, one.state, str(one.files), f"{one.size / 1e6:.1f}") for one in done]
    result = {
        "folder": str(to),
        "files": [asdict(one) for one in done],
        "terms": list(dict.fromkeys(source.terms for source in sources)),
    }
    print_result(result, as_json, table(("downloaded", "state", "files", "MB"), rows, str(to)))
