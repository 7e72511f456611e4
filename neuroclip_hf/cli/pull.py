"""`neuroclip pull`: a model or a dataset on the Hub -> a run or a trial store."""

from pathlib import Path

import typer

from neuroclip_hf.cli.options import print_result
from neuroclip_hf.errors import InputError


def pull(
    repo_id: str = typer.Argument(..., help="What to pull, as in user/name."),
    out: Path = typer.Option(..., "--out", help="Folder of the run, or the trial store, to make."),
    revision: str | None = typer.Option(None, "--revision", help="Branch, tag or commit; main by default."),
    dataset: bool = typer.Option(False, "--dataset", help="It is a dataset: make its trial store."),
    pictures: Path | None = typer.Option(
        None, "--pictures", help="With --dataset: folder of the pictures, where they did not go up."
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an existing run or store."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON line."),
) -> None:
    """Bring a run, or a trial store, back from the Hub, to the bit; without a connection from the cache."""
    if pictures is not None and not dataset:
        raise InputError(f"--pictures {pictures} goes with --dataset: a run holds no pictures.")

    from neuroclip_hf.sharing.hub import pull_data, pull_run

    if dataset:
        made = pull_data(repo_id, out, revision=revision, pictures=pictures, overwrite=overwrite)
    else:
        made = pull_run(repo_id, out, revision=revision, overwrite=overwrite)
    print_result({"repo_id": repo_id, "store" if dataset else "run": str(made)}, as_json)
