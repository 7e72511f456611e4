"""What goes up of a run: its own files, and those that are made for readers of the repository."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from neuroclip_hf.errors import InputError
from neuroclip_hf.figures.page import PageSettings
from neuroclip_hf.figures.page.html import render
from neuroclip_hf.figures.page.write import build_page
from neuroclip_hf.files import write_text
from neuroclip_hf.privacy import refuse_private, shorten_paths
from neuroclip_hf.run_files import (
    CONFIG_FILE,
    CONTROL,
    GENERATED_FOLDER,
    GENERATION_FILE,
    HISTORY_FILE,
    OTHER_RANKING_FILE,
    PAGE_FILE,
    PLAN_FILE,
    PROCESSOR_FILE,
    RANKING_FILE,
    RECIPE_FILE,
    REPORT_FILE,
    RUN_FILE,
    RUNS,
    TASKS,
    TRAINED_ON_FILE,
    task_file,
)
from neuroclip_hf.sharing.card import write_card
from neuroclip_hf.sharing.hub.contents import CARD, Contents
from neuroclip_hf.sharing.remote_code import add_remote_code

if TYPE_CHECKING:
    from neuroclip_hf.data.store import TrialStore

FIGURES = "figures"
WEIGHTS = ("model*.safetensors", "model.safetensors.index.json")
_NEEDED = (CONFIG_FILE, PROCESSOR_FILE, RUN_FILE)
_TOKENIZER = ("tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt")
_CHECKPOINT = (*_NEEDED, *WEIGHTS, *_TOKENIZER, RECIPE_FILE, HISTORY_FILE, TRAINED_ON_FILE)
_RESULTS = (REPORT_FILE, RANKING_FILE, OTHER_RANKING_FILE, *map(task_file, TASKS))
COPIED = (
    *_CHECKPOINT,
    *_RESULTS,
    f"{GENERATED_FOLDER}/{GENERATION_FILE}",
    *(f"{CONTROL}/{name}" for name in _CHECKPOINT),
)
"""Patterns of a run's files that go up as they are; all else stays behind, unless it is made anew."""
_MADE = (CARD, PAGE_FILE)
_REPLACED = (*_RESULTS, *WEIGHTS, PAGE_FILE, f"{FIGURES}/*", f"{CONTROL}/*", f"{GENERATED_FOLDER}/*")


@contextmanager
def run_contents(
    run: Path,
    repo_id: str,
    *,
    revision: str | None = None,
    include_backbone: bool = False,
    store: "TrialStore | None" = None,
    licence: str | None = None,
) -> Iterator[Contents]:
    """Put together what goes up of a run, in a folder that is gone afterwards; the run stays as it is.

    Args:
        run (`Path`): of `neuroclip train`.
        repo_id (`str`): where it goes; the card says so.
        revision (`str`, *optional*): its branch, where that is not the one that is loaded by default.
        include_backbone (`bool`): write the vision tower too, where the checkpoint only names it.
        store (`TrialStore`, *optional*): of the run, for the figures that need it. Its pictures are shown if it says
            that they may be redistributed.
        licence (`str`, *optional*): of what is published, as the Hub spells it: "cc-by-4.0".

    Raises:
        InputError: if the folder holds no run, or a file of it a secret or an absolute path.
    """
    refuse_other_folders(run)
    with TemporaryDirectory(prefix="neuroclip-push-") as temporary:
        folder = Path(temporary) / repo_id.split("/")[-1]
        folder.mkdir()
        left_out = copy_run(run, folder)
        if include_backbone:
            _write_whole(run, folder)
        shorten_paths(folder)
        left_out += write_for_readers(folder, store)
        write_card(folder, repo_id, revision, licence)
        refuse_private(folder, run)
        yield Contents(folder, left_out, _REPLACED)


def refuse_other_folders(run: Path) -> None:
    """Raise [`InputError`] if a folder is no run that could be loaded again."""
    if not run.is_dir():
        raise InputError(f"{run} is not a folder: name one that `neuroclip train` wrote.")
    if (run / PLAN_FILE).is_file():
        some = next((path.parent for path in sorted((run / RUNS).rglob(RUN_FILE))), run / RUNS)
        raise InputError(f"{run} holds many runs, and a repository one model: push a run of it, such as {some}.")
    lacking = [name for name in _NEEDED if not (run / name).is_file()]
    lacking += [] if any(run.glob(WEIGHTS[0])) else ["model.safetensors"]
    if lacking:
        raise InputError(f"{run} holds no {lacking[0]}: name the folder that `neuroclip train` wrote.")


def copy_run(run: Path, folder: Path) -> list[str]:
    """Copy what goes up as it is; what else lies there is named."""
    found = {path for pattern in COPIED for path in run.glob(pattern) if path.is_file()}
    for path in found:
        target = folder / path.relative_to(run)
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)
    others = (path for path in run.rglob("*") if path.is_file() and path not in found)
    names = {path.relative_to(run).as_posix() for path in others} - set(_MADE)
    tops = sorted({f"{name.split('/')[0]}/" if "/" in name else name for name in names})
    return [f"{name}: stays here; figures are made anew, without pictures that may not be passed on." for name in tops]


def write_for_readers(folder: Path, store: "TrialStore | None") -> list[str]:
    """Write what is made for readers of a repository beside its card: figures, their page, the way for Auto classes.

    Args:
        folder (`Path`): the copy of the run that goes up.
        store (`TrialStore`, *optional*): see [`run_contents`].

    Returns:
        Figures that there are not, and why.
    """
    page = build_page(folder, PageSettings(store, pictures=store is not None and store.info.redistribute_pictures))
    (folder / FIGURES).mkdir()
    for figure in page.figures:
        (folder / FIGURES / f"{figure.name}.png").write_bytes(figure.png)
    write_text(folder / PAGE_FILE, render(page))
    add_remote_code(folder)
    return page.left_out


def _write_whole(run: Path, folder: Path) -> None:
    from neuroclip_hf.checkpoints import load_run

    model, _ = load_run(run)
    for pattern in WEIGHTS:
        for path in folder.glob(pattern):
            path.unlink()
    model.save_pretrained(folder, include_backbone=True)
