"""Whether a run that is there already is the one that would be trained: the same command, given once more."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers.utils import SAFE_WEIGHTS_NAME

from neuroclip_hf.checkpoints import read_facts
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json
from neuroclip_hf.logging import get_logger
from neuroclip_hf.protocols.unfinished import differences
from neuroclip_hf.run_files import CONFIG_FILE, CONTROL, LAST_EPOCH, RECIPE_FILE, RUN_FILE
from neuroclip_hf.training.sections import OF_THE_MACHINE
from neuroclip_hf.training.settings import Recipe, load_recipe

_FINGERPRINT = "fingerprint"


def job_settings(recipe: Recipe) -> dict[str, Any]:
    """The settings on which a run's bytes depend; workers, times of checkpoints and trackers do not."""
    settings = recipe.to_dict()
    settings["training"] = {name: value for name, value in settings["training"].items() if name not in OF_THE_MACHINE}
    return settings


def is_finished(out: Path) -> bool:
    """Whether a finished run lies there, of whatever settings."""
    return (out / RUN_FILE).is_file()


def already_trained(out: Path, job: dict[str, Any]) -> bool:
    """Whether a finished run is there and has these settings, store, tower and parts; if it has, that is said.

    Versions of libraries, the device and the number of processes are not compared: they move the last bits, and nobody
    would train again for those.

    Args:
        out (`Path`): the run.
        job (`dict`): all that its bytes would depend on.

    Raises:
        InputError: if a finished run is there that differs, a file of it cannot be read, or its weights were cut.
    """
    if not is_finished(out):
        return False
    try:
        found = _job_of(out, job)
    except InputError as error:
        raise _refusal(out, str(error)) from None
    wanted = {**{name: job[name] for name in found}, "tower": _fingerprints(job)}
    if found != wanted:
        raise _refusal(out, f"{differences(found, wanted)}.")
    for folder in (out, out / LAST_EPOCH, out / CONTROL):
        if is_finished(folder):
            _check_weights(folder, out)
    get_logger().info(
        "%s is finished: it was trained with the same settings on the same store; nothing is to be done.", out
    )
    return True


def _check_weights(folder: Path, out: Path) -> None:
    """Raise [`InputError`] unless the weights are there whole, as far as their header says how long they are."""
    path = folder / SAFE_WEIGHTS_NAME
    try:
        with safe_open(path, "np"):
            pass
    except (OSError, SafetensorError) as error:
        raise _refusal(out, f"{path} is damaged ({error}).") from None


def _job_of(out: Path, job: dict[str, Any]) -> dict[str, Any]:
    """What a finished run was made of, as far as it is compared."""
    config = read_json(out / CONFIG_FILE)
    fields = {name: f"tower_{name}" if name == _FINGERPRINT else name for name in _fingerprints(job)}
    return {
        **job_settings(load_recipe(out / RECIPE_FILE)),
        "tower": {name: config.get(field) for name, field in fields.items()},
        "store": read_facts(out)["store"],
        "control": is_finished(out / CONTROL),
        "keep_last": is_finished(out / LAST_EPOCH),
    }


def _fingerprints(job: dict[str, Any]) -> dict[str, str]:
    """Of the parts of the tower, by what a job calls them; none of a tower with random weights."""
    return {name: value for name, value in (job["tower"] or {}).items() if name.endswith(_FINGERPRINT)}


def _refusal(out: Path, reason: str) -> InputError:
    return InputError(
        f"{out} already exists: pass --overwrite to replace it, or name another output; it is not taken for the run "
        f"that was asked for: {reason}"
    )
