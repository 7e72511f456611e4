"""What a run depends on, and what it says of itself."""

import platform
from importlib.metadata import version
from typing import Any

from accelerate import PartialState

from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.protocols.building import to_share, tower_facts
from neuroclip_hf.protocols.finished import job_settings
from neuroclip_hf.training.result import TrainingResult
from neuroclip_hf.training.settings import Recipe


def job_of(recipe: Recipe, store: TrialStore, control: bool, keep_last: bool, state: PartialState) -> dict[str, Any]:
    """All that the bytes of a run depend on; workers, times of checkpoints and trackers do not."""
    return {
        **job_settings(to_share(recipe)),
        "tower": tower_facts(recipe.model),
        "store": store.info.fingerprint,
        "control": control,
        "keep_last": keep_last,
        "processes": state.num_processes,
        "device": state.device.type,
        "versions": _versions(),
    }


def facts_of(recipe: Recipe, store: TrialStore, result: TrainingResult) -> dict[str, Any]:
    """What run.json says of a training, beside whose trials it was."""
    return {
        "recipe": recipe.name,
        "seed": recipe.training.seed,
        "store": store.info.fingerprint,
        "data": store.info.data,
        "source": store.info.source,
        "modality": store.info.modality,
        "protocol": store.info.protocol,
        "selection": recipe.training.selection,
        "best_epoch": result.best_epoch,
        "epochs": recipe.training.epochs,
        "trainable_parameters": result.trainable_parameters,
        "seconds": round(result.seconds, 1),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    names = ("neuroclip-hf", "torch", "transformers", "peft", "accelerate", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
