"""generation.json: what was generated, how, and how it compares with its controls."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from neuroclip_hf import __version__
from neuroclip_hf.files import read_json, write_json
from neuroclip_hf.generation.controls import CONTROLS, GENERATED
from neuroclip_hf.metrics.significance import bootstrap_interval, compare_paired
from neuroclip_hf.run_files import GENERATION_FILE

SCHEMA = 1
_LIBRARIES = ("diffusers", "transformers", "torch", "scikit-image", "pillow")


@dataclass(frozen=True)
class GenerationReport:
    """What a generation found.

    Args:
        scores (`dict`): kind ("generated" and each control) -> score -> its `estimate` over queries with interval:
            `low`, `high`, `level`, `resamples`, `over`, see [`bootstrap_interval`].
        differences (`dict`): control -> score -> generated less control, query by query: `difference`, `low`, `high`,
            `p`, ..., see [`compare_paired`].
        chance (`dict`): score -> what chance gives, where that is known.
        num_queries, gallery_size, num_training_embeddings, num_recordings (`int`): how many there were: queries
            painted, pictures that identification chooses from, training pictures whose moments were put on, and
            (averaged) recordings whose moments were taken off.
        space (`dict`): how brain embeddings came into the pipeline's space, see [`SpaceMap`].
        settings (`dict`): what decides a picture's bytes: seed, steps, pipeline and its commit, run, store, device,
            library versions, ...
        samples (`list[dict]`): of each query `subject`, `image_id`, `concept`, `trials` averaged, `seed`, the file of
            its pictures, whose recording the shuffled control took, and its nearest training picture.
        protocol (`str`): what training and test share.
        trials (`str`): "test", or "imagery".
        tier (`str`): "inductive", or "transductive" where the moments of the queries themselves were used.
        data (`str`): "recorded" or "simulated".
        tower (`str`): the run's vision tower.
        features (`dict`): score -> whose features it compares.
        left_out (`list[str]`): what is not reported, and why.
        flags (`list[str]`): what a reader must know before trusting the numbers.
        redistribute_pictures (`bool`): whether the store's pictures, which the sheet shows, may be passed on.
    """

    scores: dict[str, dict[str, Any]]
    differences: dict[str, dict[str, Any]]
    chance: dict[str, float]
    num_queries: int
    gallery_size: int
    num_training_embeddings: int
    num_recordings: int
    space: dict[str, Any]
    settings: dict[str, Any]
    samples: list[dict[str, Any]]
    protocol: str
    trials: str
    tier: str
    data: str
    tower: str
    features: dict[str, str]
    left_out: list[str]
    flags: list[str]
    redistribute_pictures: bool
    schema: int = SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def write_generation(report: GenerationReport, folder: str | Path) -> Path:
    """Write `generation.json` and return its path."""
    path = Path(folder) / GENERATION_FILE
    write_json(path, report.to_dict())
    return path


def read_generation(folder: str | Path) -> dict[str, Any] | None:
    """What `generation.json` of a folder says; None if there is none."""
    path = Path(folder) / GENERATION_FILE
    return read_json(path) if path.is_file() else None


def summarise(
    values: Mapping[str, Mapping[str, Sequence[float]]], subjects: Sequence[str]
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Intervals of every score, and paired differences from every control.

    Args:
        values (mapping): kind -> score -> one number a query, the same queries in the same order everywhere.
        subjects (sequence of `str`): whose each query is.
    """
    scores = {
        kind: {name: bootstrap_interval(_doubles(found), subjects)._asdict() for name, found in each.items()}
        for kind, each in values.items()
    }
    mine = values[GENERATED]
    differences = {
        control: {
            name: compare_paired(_doubles(found), _doubles(values[control][name]), subjects)._asdict()
            for name, found in mine.items()
        }
        for control in CONTROLS
    }
    return scores, differences


def versions() -> dict[str, str]:
    """Of the libraries that shape a picture."""
    return {"neuroclip_hf": __version__, **{name: version(name) for name in _LIBRARIES}}


def _doubles(values: Sequence[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)
