"""`neuroclip push`: a run -> a model on the Hub."""

from pathlib import Path
from typing import Annotated, Any

import typer

from neuroclip_hf.cli.options import print_result, table

RepoId = Annotated[str, typer.Option("--repo-id", help="Where to, as in user/name; made if it is not there.")]
Private = Annotated[bool, typer.Option("--private", help="Make the repository private.")]
Revision = Annotated[str | None, typer.Option("--revision", help="Branch, made if it is not there; main by default.")]
Licence = Annotated[
    str | None, typer.Option("--license", help="Stated in the card, as the Hub spells it: cc-by-4.0; none by default.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only list what would go up, and how large it is.")]


def push(
    run: Path = typer.Argument(..., help="Folder of a run."),
    repo_id: RepoId = ...,  # type: ignore[assignment]
    private: Private = False,
    include_backbone: bool = typer.Option(
        False, "--include-backbone", help="Push the vision tower too, where the checkpoint only names it."
    ),
    revision: Revision = None,
    data: Path | None = typer.Option(
        None,
        "--data",
        help="The run's trial store, for figures that need it; pictures only if it says they may be shown.",
    ),
    licence: Licence = None,
    dry_run: DryRun = False,
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON line."),
) -> None:
    """Push weights, processor, recipe, report, figures and card in one commit; a push that was cut is gone on with.

    No token, no absolute path and no picture that may not be redistributed goes up.
    """
    from neuroclip_hf.data.store import TrialStore

    store = None if data is None else TrialStore(data)

    from neuroclip_hf.sharing.hub import push_run

    pushed = push_run(
        run,
        repo_id,
        private=private,
        include_backbone=include_backbone,
        revision=revision,
        store=store,
        licence=licence,
        dry_run=dry_run,
    )
    print_push(pushed, as_json)


def print_push(pushed: Any, as_json: bool) -> None:
    """Print what went up, or would go up: a row a file, then what stays behind and where all lies."""
    from rich.console import Group

    total = sum(pushed.files.values())
    values = {**vars(pushed), "bytes": total}
    rows = [(name, f"{size:,}") for name, size in pushed.files.items()]
    listed = table(("file", "bytes"), [*rows, (f"{len(rows)} files", f"{total:,}")])
    left_out = [f"Left out: {words}" for words in pushed.left_out]
    where = f"{pushed.url}, commit {pushed.commit}" if pushed.commit else "A dry run: nothing was pushed."
    print_result(values, as_json, Group(listed, *left_out, where))
