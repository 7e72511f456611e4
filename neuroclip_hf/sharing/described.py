"""What a card says of a run or a reproduction, gathered from its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuroclip_hf import columns
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation import read_report
from neuroclip_hf.evaluation.task_report import read_task
from neuroclip_hf.files import read_json
from neuroclip_hf.kinds import Kind, find_kind
from neuroclip_hf.pushes import remote_code_files
from neuroclip_hf.run_files import (
    CONFIG_FILE,
    GENERATED_FOLDER,
    GENERATION_FILE,
    PAGE_FILE,
    PLAN_FILE,
    PROCESSOR_FILE,
    RUN_FILE,
    TASKS,
    VARIATIONS,
)

_REPRODUCTION = "reproduction"  # what report.json of one says that it is
_FIGURES = ("*.png", "figures/*.png", f"{GENERATED_FOLDER}/*.png")


@dataclass(frozen=True)
class Described:
    """A folder that is about to be shared.

    Args:
        place (`str`): what the card calls the folder in the lines that load it: a repository on the Hub, or a path.
        revision (`str` or None): branch of that repository, where it is not the one that is loaded by default.
        subfolder (`str`): where the checkpoint lies that these lines load; empty for the folder itself.
        kind (`Kind`): of the model.
        config (`dict`), trials (`dict`), facts (`dict`): what config.json, the brain side of processor_config.json
            and run.json of that checkpoint say.
        report (`dict` or None): report.json of the folder.
        reproduction (`bool`): whether it is a reproduction, else a run.
        tasks (`list[dict]`): results of categories.json and matching.json.
        generation (`dict` or None): generation.json.
        figures (`list[str]`): paths of pictures in the folder, as links say them.
        page (`str` or None): the same of the page with all tables and figures.
        remote_code (`bool`): whether Auto classes find the package through the folder.
    """

    place: str
    revision: str | None
    subfolder: str
    kind: Kind
    config: dict[str, Any]
    trials: dict[str, Any]
    facts: dict[str, Any]
    report: dict[str, Any] | None
    reproduction: bool
    tasks: list[dict[str, Any]]
    generation: dict[str, Any] | None
    figures: list[str]
    page: str | None
    remote_code: bool

    @property
    def simulated(self) -> bool:
        """Whether any number is of simulated recordings."""
        said = (self.facts["data"], (self.report or {}).get("data"), *(task["data"] for task in self.tasks))
        return columns.SIMULATED in said

    @property
    def modality(self) -> str | None:
        """What was recorded: as the run says, or as follows from its trials; `None` if neither tells EEG from MEG."""
        if self.trials["num_timesteps"] is None:
            return "fmri"
        return self.facts.get("modality") or {"V": "eeg", "T": "meg"}.get(self.trials["unit"])

    @property
    def flags(self) -> Sequence[str]:
        """What a reader must know, each once."""
        reports: list[Mapping[str, Any]] = [self.facts, self.report or {}, *self.tasks, self.generation or {}]
        return list(dict.fromkeys(flag for one in reports for flag in one.get("flags") or ()))


def is_reproduction(folder: Path) -> bool:
    """Whether a folder is a finished reproduction, rather than a run, an ablation, or one under way.

    Raises:
        InputError: if its report.json is damaged.
    """
    report = read_report(folder)
    return (folder / PLAN_FILE).is_file() and isinstance(report, dict) and report.get("kind") == _REPRODUCTION


def describe(folder: Path, place: str, revision: str | None = None) -> Described:
    """Gather what the files of a run or a reproduction say.

    Args:
        folder (`Path`): the run or reproduction.
        place (`str`): what the card calls it.
        revision (`str`, *optional*): branch of that repository.

    Raises:
        InputError: if a file is missing or damaged.
        KeyError, TypeError: if one lacks an entry.
    """
    reproduction = is_reproduction(folder)
    if (folder / PLAN_FILE).is_file() and not reproduction:
        raise InputError(
            f"{folder} is a reproduction under way, or an ablation: finish it with the same command, or name one of "
            f"the reproductions in {VARIATIONS}."
        )
    report = read_report(folder)
    subfolder = report["runs"][0]["folder"] if report is not None and reproduction else ""
    checkpoint = folder / subfolder
    config = read_json(checkpoint / CONFIG_FILE)
    generated = folder / GENERATED_FOLDER / GENERATION_FILE
    return Described(
        place=place,
        revision=revision,
        subfolder=subfolder,
        kind=find_kind(config["model_type"]),
        config=config,
        trials=read_json(checkpoint / PROCESSOR_FILE)["feature_extractor"],
        facts=read_json(checkpoint / RUN_FILE),
        report=report,
        reproduction=reproduction,
        tasks=[found for task in TASKS for found in read_task(folder, task)],
        generation=read_json(generated) if generated.is_file() else None,
        figures=[path.relative_to(folder).as_posix() for pattern in _FIGURES for path in sorted(folder.glob(pattern))],
        page=PAGE_FILE if (folder / PAGE_FILE).is_file() else None,
        remote_code=all((folder / name).is_file() for name in remote_code_files()),
    )
