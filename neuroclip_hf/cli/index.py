"""`neuroclip index`: a run and a folder of pictures -> an index that `neuroclip retrieve --index` searches."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from neuroclip_hf.cli.options import AsJson, print_result
from neuroclip_hf.errors import InputError

if TYPE_CHECKING:
    from neuroclip_hf.galleries.index.storing import IndexFacts


def index(
    run: Path = typer.Argument(..., help="Folder of a run, or of a checkpoint."),
    gallery: Path | None = typer.Option(
        None, "--gallery", help="Folder of pictures to embed; left out, an existing index is sent --to an engine."
    ),
    out: Path = typer.Option(..., "--out", help="Folder of the index."),
    to: str | None = typer.Option(
        None, "--to", help="Also send it to an engine: qdrant://HOST:PORT/COLLECTION (key: QDRANT_API_KEY)."
    ),
    batch_size: int = typer.Option(64, help="Pictures that are encoded at once in each process."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an existing index, or collection."),
    as_json: AsJson = False,
) -> None:
    """Embed a gallery once; interrupted, the same command goes on. Start it with torchrun for several processes."""
    from neuroclip_hf.files import refuse_existing
    from neuroclip_hf.galleries.index.storing import INDEX_FILE

    if gallery is not None:
        refuse_existing(out, overwrite, INDEX_FILE)
    elif to is None:
        raise InputError("There is nothing to do: pass --gallery, a folder, or --to for an existing index.")

    from neuroclip_hf.galleries.engines import check_reachable

    if to is not None and os.environ.get("RANK", "0") == "0":  # an engine's folder is opened by one process only
        check_reachable(to)

    from accelerate import PartialState

    facts = _made(run, gallery, out, batch_size, overwrite)
    if not PartialState().is_main_process:
        return
    sent = None if to is None else _send(out, to, overwrite)
    result: dict[str, Any] = {"index": str(out), **asdict(facts), "skipped": len(facts.skipped), "engine": to}
    print_result(result if to is None else {**result, "sent": sent}, as_json)


def _made(run: Path, gallery: Path | None, out: Path, batch_size: int, overwrite: bool) -> "IndexFacts":
    """The index, made now, or there already and of the same run."""
    from neuroclip_hf.checkpoints import load_run
    from neuroclip_hf.galleries.index import GalleryIndex, build_index

    model, processor = load_run(run)
    if gallery is not None:
        return build_index(model, processor, gallery, out, batch_size=batch_size, overwrite=overwrite)
    found = GalleryIndex(out)
    found.check(model, processor)
    return found.facts


def _send(out: Path, to: str, overwrite: bool) -> int:
    from neuroclip_hf.galleries.engines import send_index
    from neuroclip_hf.galleries.index import GalleryIndex

    return send_index(GalleryIndex(out), to, overwrite=overwrite)
