"""`neuroclip simulate things-eeg2`: made-up recordings in a real dataset's layout."""

from dataclasses import asdict
from pathlib import Path

import typer

from neuroclip_hf.cli.options import as_list, print_result

app = typer.Typer(help="Write simulated recordings with a planted signal.", no_args_is_help=True)


@app.callback()
def _simulate() -> None:
    """Keeps `things-eeg2` a verb of its own while it is the only one."""
