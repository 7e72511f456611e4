"""`neuroclip push-data`: a trial store -> a dataset on the Hub."""

from pathlib import Path

import typer

from neuroclip_hf.cli.push import DryRun, Licence, Private, RepoId, Revision, print_push


def push_data(
    store: Path = typer.Argument(..., help="The trial store."),
    repo_id: RepoId = ...,  # type: ignore[assignment]
    private: Private = False,
    revision: Revision = None,
    licence: Licence = None,
    dry_run: DryRun = False,
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON line."),
) -> None:
    """Push a trial store as Parquet with a card; the pictures only if the store says that they may be redistributed.

    A push that was cut is gone on with by the same command.
    """
    from neuroclip_hf.sharing.hub import push_data as push

    pushed = push(store, repo_id, private=private, revision=revision, licence=licence, dry_run=dry_run)
    print_push(pushed, as_json)
