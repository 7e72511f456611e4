"""A run, or a store, from the Hub: whole and as it was pushed, or not at all."""

import hashlib
import shutil
from pathlib import Path

from huggingface_hub import snapshot_download

from neuroclip_hf.data.parquet.importing import import_store
from neuroclip_hf.data.parquet.layout import EXPORT_FILE
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import new_folder, refuse_existing
from neuroclip_hf.run_files import CONFIG_FILE
from neuroclip_hf.sharing.hub.problems import check_repo_id, explained_pull
from neuroclip_hf.sharing.hub.pushing import DATASET, MODEL

_GIT_FILES = (".gitattributes", ".gitignore")
_SHA1_LETTERS, _SHA256_LETTERS = 40, 64
_BLOCK = 1 << 20


def pull_run(repo_id: str, out: str | Path, *, revision: str | None = None, overwrite: bool = False) -> Path:
    """Bring a run back from the Hub.

    Every file is compared with the digest under which the Hub keeps it. Without a connection the cache is asked.

    Args:
        repo_id (`str`): "user/name".
        out (path): the run's folder.
        revision (`str`, *optional*): branch, tag or commit; main by default.
        overwrite (`bool`): replace an existing run.

    Raises:
        InputError: if there is no such repository or revision for this user, it holds no model, a file was damaged on
            its way, or the cache lacks it where there is no connection; nothing is left under `out`.
    """
    check_repo_id(repo_id)
    refuse_existing(out, overwrite, CONFIG_FILE)
    snapshot = _download(repo_id, revision, MODEL)
    if not (snapshot / CONFIG_FILE).is_file():
        raise InputError(
            f"model {repo_id} holds no {CONFIG_FILE}: name one that `neuroclip push` or push_to_hub made."
        )
    with new_folder(out, overwrite, CONFIG_FILE) as folder:
        shutil.copytree(snapshot, folder, ignore=shutil.ignore_patterns(*_GIT_FILES), dirs_exist_ok=True)
    return Path(out)


def pull_data(
    repo_id: str,
    out: str | Path,
    *,
    revision: str | None = None,
    pictures: str | Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Bring a trial store back from the Hub, byte by byte.

    Args:
        repo_id (`str`): "user/name" of a dataset that [`push_data`] made.
        out (path): the store.
        revision (`str`, *optional*): branch, tag or commit; main by default.
        pictures (path, *optional*): folder of the pictures, where they stayed behind, see [`import_store`].
        overwrite (`bool`): replace an existing store.

    Raises:
        InputError: as [`pull_run`], and if the dataset is no exported store.
    """
    check_repo_id(repo_id)
    refuse_existing(out, overwrite)
    snapshot = _download(repo_id, revision, DATASET)
    if not (snapshot / EXPORT_FILE).is_file():
        raise InputError(f"dataset {repo_id} holds no {EXPORT_FILE}: name one that `neuroclip push-data` made.")
    return import_store(snapshot, out, pictures=pictures, overwrite=overwrite)


def _download(repo_id: str, revision: str | None, kind: str) -> Path:
    with explained_pull(repo_id, revision, kind):
        snapshot = Path(snapshot_download(repo_id, revision=revision, repo_type=kind, library_name="neuroclip_hf"))
    damaged = [path for path in sorted(snapshot.rglob("*")) if path.is_file() and not _is_whole(path)]
    for path in damaged:  # so that they are fetched again
        path.resolve().unlink(missing_ok=True)  # files of equal content share a blob
        path.unlink()
    if damaged:
        names = ", ".join(path.relative_to(snapshot).as_posix() for path in damaged)
        raise InputError(
            f"{kind} {repo_id}: {names} was damaged on its way (not what the Hub has by its digest), and is removed "
            "from the cache: give the same command again."
        )
    return snapshot


def _is_whole(path: Path) -> bool:
    """Whether a file of the cache has the digest by which the Hub calls it, and the cache its blob.

    A cache without symbolic links (on Windows, without the right to make them) does not know the digests: there
    nothing is compared.
    """
    name = path.resolve().name
    if not path.is_symlink() or len(name) not in (_SHA1_LETTERS, _SHA256_LETTERS):
        return True
    digest = hashlib.sha256() if len(name) == _SHA256_LETTERS else hashlib.sha1(usedforsecurity=False)
    if len(name) == _SHA1_LETTERS:
        digest.update(b"blob %d\0" % path.stat().st_size)  # as git does
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest() == name
