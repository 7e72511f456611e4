"""`neuroclip space`: try a run in the browser, or write what a Space on the Hub needs."""

import importlib.util
import tempfile
from pathlib import Path

import typer

from neuroclip_hf.cli.options import print_result, table
from neuroclip_hf.errors import InputError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def space(
    run: Path = typer.Argument(..., help="Folder of a run on EEG or MEG."),
    data: Path | None = typer.Option(
        None,
        "--data",
        help="Trial store: its test pictures are the gallery, its test trials the examples; "
        "by default `store` beside the run, as `neuroclip demo` leaves it.",
    ),
    host: str = typer.Option(LOOPBACK[0], help="Address to listen on; the default serves this machine alone."),
    port: int | None = typer.Option(None, help="By default the first free one from 7860 on."),
    out: Path | None = typer.Option(
        None,
        help="Serve nothing, and write checkpoint, examples and pictures for hub/space/app.py into a new folder.",
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an earlier folder of --out."),
    as_json: bool = typer.Option(False, "--json", help="Print what --out wrote as one JSON line."),
) -> None:
    """Pick or upload a recording in the browser: its epochs, what is found, what averaging does, what mattered."""
    from neuroclip_hf.data.store import TrialStore

    if out is None and importlib.util.find_spec("gradio") is None:
        raise InputError("The page is made by gradio, which is not installed: pip install 'neuroclip-hf[space]'.")
    if data is None and not (run.parent / "store").is_dir():
        raise InputError(f"There is no {run.parent / 'store'}: name the run's trial store with --data.")
    store = TrialStore(data or run.parent / "store")

    from neuroclip_hf.space.shelf import shelf_of_store, write_shelf

    if out is not None:
        files = write_shelf(run, store, out, overwrite=overwrite)
        result = {"out": str(out), "files": files, "bytes": sum(files.values())}
        rows = [("files", f"{len(files):,}"), ("bytes", f"{result['bytes']:,}"), ("folder", str(out))]
        print_result(result, as_json, table((), rows))
        return
    from neuroclip_hf.space.app import serve

    with tempfile.TemporaryDirectory(prefix="neuroclip-space-") as folder:
        serve(shelf_of_store(run, store, Path(folder), public=host not in LOOPBACK), host=host, port=port)
