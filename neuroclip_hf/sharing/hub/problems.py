"""What goes wrong between this machine and the Hub, in words that name the repository and a remedy."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    XetDownloadError,
)
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined] # it says so nowhere, and exports it

from neuroclip_hf.errors import InputError

_ACCOUNT = "log in with `hf auth login`, or set HF_TOKEN to a token"
_AGAIN = "what has arrived there is kept: give the same command again, and only the rest is sent"


def check_repo_id(repo_id: str) -> None:
    """Raise [`InputError`] for what cannot name a repository of somebody."""
    try:
        validate_repo_id(repo_id)
        whole = repo_id.count("/") == 1
    except HFValidationError:
        whole = False
    if not whole:
        raise InputError(f"--repo-id {repo_id!r}: write the owner and a name, as in user/name.")


def check_licence(licence: str | None) -> None:
    """Raise [`InputError`] for what the Hub does not take as the identifier of a licence."""
    if licence is not None and not re.fullmatch(r"[a-z0-9]([a-z0-9.+-]*[a-z0-9+])?", licence):
        raise InputError(
            f"--license {licence!r}: write it as the Hub does, in small letters, as in cc-by-4.0 or apache-2.0."
        )


@contextmanager
def explained_push(repo_id: str) -> Iterator[None]:
    """Turn what stops a push into an [`InputError`]."""
    try:
        yield
    except (OfflineModeIsEnabled, LocalEntryNotFoundError):
        raise InputError(f"{repo_id} cannot be reached: HF_HUB_OFFLINE is set; unset it to push.") from None
    except RevisionNotFoundError as error:
        raise InputError(f"{repo_id}: there is no such revision ({_said(error)}): name a branch.") from None
    except HfHubHTTPError as error:
        raise InputError(f"{repo_id}: nothing was pushed. {_refusal(error)}") from None
    except (httpx2.HTTPError, ConnectionError, TimeoutError) as error:
        raise _cut(repo_id, error) from None
    except RuntimeError as error:  # what huggingface_hub makes of an error of one of many uploads
        if isinstance(error.__cause__, HfHubHTTPError):
            raise InputError(f"{repo_id}: nothing was pushed. {_refusal(error.__cause__)}") from None
        if isinstance(error.__cause__, httpx2.HTTPError | ConnectionError | TimeoutError):
            raise _cut(repo_id, error.__cause__) from None
        raise


def _cut(repo_id: str, error: Exception) -> InputError:
    return InputError(f"{repo_id}: the connection was cut ({_said(error)}); {_AGAIN}.")


def _refusal(error: HfHubHTTPError) -> str:
    code = error.response.status_code
    if code == 412:
        return (
            "Somebody has changed it since this push began: look at what changed there, and push again to put yours "
            "on top."
        )
    if code == 401:
        return f"There is no valid token: {_ACCOUNT} that may write there."
    if code in (403, 404):
        return f"The token has no right to write there: {_ACCOUNT} with write access, or push to your own account."
    if code >= 500:
        return f"The Hub does not answer as it should ({code}); {_AGAIN}."
    return f"The Hub refused it: {_said(error)}."


@contextmanager
def explained_pull(repo_id: str, revision: str | None, kind: str) -> Iterator[None]:
    """Turn what stops a pull into an [`InputError`].

    Args:
        repo_id (`str`): what is pulled.
        revision (`str`, *optional*): of it.
        kind (`str`): "model" or "dataset".
    """
    what = f"{kind} {repo_id}" if revision is None else f"{kind} {repo_id} at {revision}"
    try:
        yield
    except GatedRepoError:
        raise InputError(f"{what} is gated: accept its terms on the Hub, and {_ACCOUNT} of that account.") from None
    except RepositoryNotFoundError:
        other = "leave --dataset out for a model" if kind == "dataset" else "say --dataset for a dataset"
        raise InputError(
            f"{what} does not exist, or is private and not yours: correct its name, {other}, or {_ACCOUNT} that may "
            "read it."
        ) from None
    except RevisionNotFoundError:
        raise InputError(f"{what} does not exist: name a branch, a tag or a commit of {repo_id}.") from None
    except (IncompleteSnapshotError, LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise InputError(
            f"{what} is not whole in the cache of this machine, and the Hub cannot be reached ({_said(error)}): pull "
            "it once with a connection (and without HF_HUB_OFFLINE); afterwards it is there offline."
        ) from None
    except EntryNotFoundError as error:
        raise InputError(f"{what} lacks a file ({_said(error)}): push it again.") from None
    except HfHubHTTPError as error:
        raise InputError(f"{what} cannot be pulled: {_said(error)}.") from None
    except (httpx2.HTTPError, ConnectionError, TimeoutError, XetDownloadError) as error:
        raise InputError(
            f"{what}: the connection was cut ({_said(error)}): give the same command again, what has arrived is kept."
        ) from None


def _said(error: Exception) -> str:
    """The first line of an error; the libraries' own end with requests' ids and the like."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
