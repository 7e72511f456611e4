"""The README.md of a run or a reproduction: what it is, how to load it, what it found, and what it is not for."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import jinja2
from huggingface_hub import ModelCardData

from neuroclip_hf import columns
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import write_text
from neuroclip_hf.models.towers import describe_tower
from neuroclip_hf.run_files import GENERATION_KINDS, RUN_FILE, TASKS
from neuroclip_hf.sharing.described import Described, describe, is_reproduction
from neuroclip_hf.sharing.licences import tower_licence, training_data
from neuroclip_hf.sharing.model_index import main_rows, reproduction_results, run_results, task_results

TEMPLATES = Path(__file__).parent / "templates"
_UNITS = {"V": "volts", "T": "tesla", "sd": "standard deviations (whitened)", "au": "the units of the training trials"}
_PROTOCOLS = {
    columns.NEW_CONCEPTS: "no concept of the test was trained on",
    columns.NEW_PICTURES: "concepts of the test were trained on, with other pictures",
    columns.NEW_TRIALS: "pictures of the test were trained on, in other trials",
}
_VERSIONS = ("neuroclip-hf", "transformers", "peft", "torch")


def write_card(
    folder: str | Path, place: str = "RUN", revision: str | None = None, licence: str | None = None
) -> Path:
    """Write README.md into the folder of a run or a reproduction, from its files.

    Args:
        folder (path): of the run or reproduction.
        place (`str`): what the card calls it in the lines that load it: the repository that it goes to, or the
            folder's name. Of an absolute path only the last part, since a card is made to be shared.
        revision (`str`, *optional*): branch of that repository, where it is not the one that is loaded by default.
        licence (`str`, *optional*): of these weights, as the Hub spells it: "cc-by-4.0".

    Raises:
        InputError: if a file is damaged.
    """
    folder = Path(folder)
    place = Path(place).name if Path(place).is_absolute() else place
    try:
        text = _render(describe(folder, place, revision), licence)
    except (KeyError, TypeError, IndexError, jinja2.UndefinedError) as error:
        raise InputError(
            f"{folder}: no card can be written, since config.json, processor_config.json, run.json, report.json or a "
            f"task's report lacks an entry ({error}): train or evaluate again."
        ) from None
    write_text(folder / "README.md", text)
    return folder / "README.md"


def refresh_card(folder: str | Path) -> None:
    """Write the card of a folder anew, where it is a run or a finished reproduction; others have none of ours.

    Args:
        folder (path): where something was found just now.

    Raises:
        InputError: if a file is damaged.
    """
    folder = Path(folder)
    if (folder / RUN_FILE).is_file() or is_reproduction(folder):
        write_card(folder, str(folder))


def _render(found: Described, licence: str | None) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "score": _score,
        "level": lambda level: f"{100 * level:g} %",
        "bounds": lambda interval: f"{_score(interval['low'])} to {_score(interval['high'])}",
        "cells": lambda cells: f"| {' | '.join(cells)} |",
        "quoted": lambda text: json.dumps(text, ensure_ascii=False),
        "figure_title": lambda path: PurePosixPath(path).stem.replace("_", " "),
    }
    text = environment.get_template("card.md").render(
        **vars(found),
        front=_front(found, licence).to_yaml().rstrip(),
        licence=licence,
        simulated=found.simulated,
        flags=found.flags,
        **_of_trials(found),
        **_of_report(found),
        protocol=_PROTOCOLS[found.facts["protocol"]],
        versions=", ".join(f"{name} {found.facts['versions'][name]}" for name in _VERSIONS),
        tower=describe_tower(found.config["tower"]),
        tower_licence=tower_licence(found.config["tower"]),
        training_data=training_data(found.facts.get("source"), found.facts["data"]),
        task_titles=TASKS,
        generation_table=None if found.generation is None else _generation_table(found.generation),
    )
    return text.rstrip() + "\n"


def _front(found: Described, licence: str | None) -> ModelCardData:
    """What the Hub reads of the card."""
    source, report = found.facts.get("source"), found.report
    results = [] if report is None else (reproduction_results if found.reproduction else run_results)(report, source)
    results += task_results(found.tasks, source)
    tower, on_the_hub = found.config["tower"], found.config["tower_revision"] is not None
    tags = ["brain-decoding", found.modality, "image-retrieval", found.kind.name]
    tags += [columns.SIMULATED] if found.simulated else []
    return ModelCardData(
        license=licence,
        library_name=__name__.partition(".")[0],
        tags=[tag for tag in tags if tag],
        base_model=tower if on_the_hub else None,
        model_name=PurePosixPath(found.place).name,
        eval_results=results or None,
    )


def _of_trials(found: Described) -> dict[str, Any]:
    """What a trial is, in words and for the lines that embed one."""
    trials = found.trials
    count, timesteps = len(trials["channel_names"]), trials["num_timesteps"]
    patterns = timesteps is None
    return {
        "trial": f"patterns of {count} voxels"
        if patterns
        else f"{timesteps} samples of {count} channels at {trials['sampling_rate']:g} Hz",
        "shape": [count] if patterns else [count, timesteps],
        "axes": "(trials, voxels)" if patterns else "(trials, channels, samples)",
        "unit": _UNITS[trials["unit"]],
        "argument": "fmri" if patterns else "eeg",
        "batch_key": columns.FMRI_VALUES if patterns else columns.EEG_VALUES,
    }


def _of_report(found: Described) -> dict[str, Any]:
    report = found.report
    if report is None:
        return {}
    said: dict[str, Any] = {"tested_protocol": _PROTOCOLS[report["protocol"]]}
    if not found.reproduction:
        tested = columns.TESTED_SUBJECTS.get(report.get("tested_subjects") or "")
        return said | {"tested_subjects": tested, "other_tiers": (report.get("tiers") or [])[1:]}
    rows = main_rows(report)
    subjects = list(rows[0]["subjects"])
    return said | {"rows": rows, "subjects": subjects, "table": _reproduction_table(report, rows, subjects)}


def _reproduction_table(
    report: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], subjects: Sequence[str]
) -> list[list[str]]:
    """A row a subject, then their mean, its interval and chance; columns for the ways to choose the epoch."""
    shown = [(row, name) for row in rows for name in ("top1", "top5")]
    intervals = [row["mean"][name]["interval"] for row, name in shown]
    level = f"{100 * intervals[0]['level']:g} % interval"
    return [
        ["", *(f"{name.replace('top', 'top-')}, {row['selection']}" for row, name in shown)],
        ["---"] * (1 + len(shown)),
        *([subject, *(_spread(row["subjects"][subject][name]) for row, name in shown)] for subject in subjects),
        ["mean", *(_spread(row["mean"][name]) for row, name in shown)],
        [level, *(f"{_score(one['low'])} to {_score(one['high'])}" for one in intervals)],
        ["chance", *(_score(report["chance" if name == "top1" else "chance_top5"]) for _, name in shown)],
    ]


def _generation_table(generation: Mapping[str, Any]) -> list[list[str]]:
    """A row a score: what was generated, its controls, and chance."""
    kinds, chance = generation["scores"], generation["chance"]
    rows = {
        name: [each[name]["estimate"] for each in kinds.values()] + [chance.get(name)]
        for name in next(iter(kinds.values()))
    }
    return [
        ["score", *(GENERATION_KINDS[kind] for kind in kinds), "chance"],
        ["---"] * (2 + len(kinds)),
        *([name.replace("_", " "), *map(_score, values)] for name, values in rows.items()),
    ]


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _spread(found: Mapping[str, Any]) -> str:
    """A mean over seeds, with its standard deviation where there are several."""
    deviation = "" if found["std"] is None else f" ± {_score(found['std'])}"
    return f"{_score(found['mean'])}{deviation}"
