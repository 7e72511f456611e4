"""A run, or a store, to the Hub: in one commit, and with nothing that must not go there."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import HfApi

from neuroclip_hf.errors import InputError
from neuroclip_hf.logging import get_logger
from neuroclip_hf.sharing.hub.contents import Contents
from neuroclip_hf.sharing.hub.data_contents import data_contents
from neuroclip_hf.sharing.hub.problems import check_licence, check_repo_id, explained_push

if TYPE_CHECKING:
    from neuroclip_hf.data.store import TrialStore

MODEL, DATASET = "model", "dataset"
MAIN = "main"


@dataclass(frozen=True)
class Push:
    """What was pushed, or would be.

    Args:
        repo_id (`str`): where.
        kind (`str`): "model" or "dataset".
        revision (`str`): the branch.
        files (`dict`): file -> bytes.
        left_out (`list[str]`): what stayed behind, and why.
        commit (`str` or None): the commit that holds it; None for a dry run.
        url (`str` or None): of the repository; None for a dry run.
    """

    repo_id: str
    kind: str
    revision: str
    files: dict[str, int]
    left_out: list[str]
    commit: str | None = None
    url: str | None = None


def push_run(
    run: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    include_backbone: bool = False,
    revision: str | None = None,
    store: "TrialStore | None" = None,
    licence: str | None = None,
    dry_run: bool = False,
) -> Push:
    """Push a run: checkpoint, processor, recipe, report, ranking, figures, page and card, in one commit.

    What was sent before a connection was cut is not sent again. What is already there as it is makes no commit.

    Args:
        run (path): of `neuroclip train`, evaluated or not.
        repo_id (`str`): "user/name"; made if it is not there.
        private (`bool`): make it private; a repository that is there and public is refused.
        include_backbone (`bool`): push the vision tower too, where the checkpoint only names it.
        revision (`str`, *optional*): the branch, made if it is not there; main by default.
        store (`TrialStore`, *optional*): of the run, for figures that need it. Pictures are shown if it says that they
            may be redistributed; tiles with id and concept otherwise, and without a store.
        licence (`str`, *optional*): of the weights, as the Hub spells it: "cc-by-4.0"; none is stated by default.
        dry_run (`bool`): only say what would go up; nothing is asked of the Hub.

    Raises:
        InputError: if the run is not whole, holds a secret or an absolute path, the Hub refuses, or the connection is
            cut.
    """
    check_repo_id(repo_id)
    check_licence(licence)

    from neuroclip_hf.sharing.hub.run_contents import run_contents  # torch, which a dataset does not need

    branch = None if revision == MAIN else revision
    made = run_contents(
        Path(run), repo_id, revision=branch, include_backbone=include_backbone, store=store, licence=licence
    )
    with made as contents:
        return _push(contents, repo_id, MODEL, private=private, revision=revision, dry_run=dry_run)


def push_data(
    store: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    licence: str | None = None,
    dry_run: bool = False,
) -> Push:
    """Push a trial store as a dataset that `load_dataset(repo_id, "sub-01")` reads.

    The pictures go along if the store says that they may be redistributed, and stay behind otherwise. The same store
    makes the same files, so that a push that was cut sends the rest alone. They are written before, into the system's
    folder for temporary files (TMPDIR), and take about the room of the store there.

    Args:
        store (path): the trial store.
        repo_id (`str`): "user/name"; made if it is not there.
        private (`bool`): make it private; a repository that is there and public is refused.
        revision (`str`, *optional*): the branch, made if it is not there; main by default.
        licence (`str`, *optional*): of the recordings, as the Hub spells it: "cc-by-4.0"; none is stated by default.
        dry_run (`bool`): only say what would go up; nothing is asked of the Hub.

    Raises:
        InputError: if the store is damaged, holds a secret or an absolute path, the Hub refuses, or the connection is
            cut.
    """
    check_repo_id(repo_id)
    check_licence(licence)
    branch = None if revision == MAIN else revision
    with data_contents(Path(store), repo_id, revision=branch, licence=licence) as contents:
        return _push(contents, repo_id, DATASET, private=private, revision=revision, dry_run=dry_run)


def _push(contents: Contents, repo_id: str, kind: str, *, private: bool, revision: str | None, dry_run: bool) -> Push:
    planned = Push(repo_id, kind, revision or MAIN, contents.sizes, contents.left_out)
    if dry_run:
        return planned
    api = HfApi(library_name="neuroclip_hf")
    with explained_push(repo_id):
        url = api.create_repo(repo_id, repo_type=kind, private=private or None, exist_ok=True)
        if private and not api.repo_info(repo_id, repo_type=kind).private:
            raise InputError(
                f"{repo_id} exists and is public: nothing was pushed. Make it private in its settings on the Hub, "
                "name another, or leave --private out."
            )
        if planned.revision != MAIN:
            api.create_branch(repo_id, branch=planned.revision, repo_type=kind, exist_ok=True)
        head = api.repo_info(repo_id, repo_type=kind, revision=planned.revision).sha
        made = api.upload_folder(
            repo_id=repo_id,
            repo_type=kind,
            folder_path=contents.folder,
            revision=planned.revision,
            parent_commit=head,
            delete_patterns=list(contents.replaced),
            commit_message=f"Push {'a run' if kind == MODEL else 'a trial store'} of neuroclip_hf",
        )
    get_logger().info("pushed %d files to %s", len(planned.files), url)
    return Push(**{**vars(planned), "commit": made.oid, "url": str(url)})
