"""The README.md of a run: how to load it, what it is, and the report in it."""

from pathlib import Path
from typing import Any

import jinja2

from neuroclip_hf import columns
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation import read_report
from neuroclip_hf.files import read_json, write_text
from neuroclip_hf.kinds import find_kind
from neuroclip_hf.models.towers import describe_tower
from neuroclip_hf.run_files import RUN_FILE

TEMPLATES = Path(__file__).parent / "templates"


def write_run_card(run: str | Path, folder: str = "RUN") -> Path:
    """Write README.md into a run's folder, from run.json, the configs and report.json (where there is one).

    Args:
        run (path): the run's folder.
        folder (`str`): what the card calls it in the lines that load it; of an absolute path only the last part,
            since a card is made to be shared.

    Raises:
        InputError: if a file of the run is damaged.
    """
    run = Path(run)
    folder = Path(folder).name if Path(folder).is_absolute() else folder
    try:
        text = _render(run, folder)
    except (KeyError, TypeError, jinja2.UndefinedError) as error:
        raise InputError(
            f"{run}: no card can be written, since config.json, processor_config.json, run.json or report.json lacks "
            f"an entry ({error}): train or evaluate again."
        ) from None
    write_text(run / "README.md", text)
    return run / "README.md"


def _render(run: Path, folder: str) -> str:
    config = read_json(run / "config.json")
    kind = find_kind(config["model_type"])
    trials = read_json(run / "processor_config.json")["feature_extractor"]
    facts, report = read_json(run / RUN_FILE), read_report(run)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template("run_card.md").render(
        kind=kind,
        folder=folder,
        simulated=columns.SIMULATED in (facts["data"], (report or {}).get("data")),
        modality=_modality(trials, facts),
        trial=_describe_trial(trials),
        encoder=config["encoder_config"]["model_type"],
        tower=describe_tower(config["tower"]),
        run=facts,
        report=report,
        tested_subjects=columns.TESTED_SUBJECTS.get((report or {}).get("tested_subjects") or ""),
    )


def _modality(trials: dict[str, Any], facts: dict[str, Any]) -> str | None:
    """What was recorded: as the run says, or else as follows from its trials; `None` if neither tells EEG from MEG."""
    if trials["num_timesteps"] is None:
        return "fmri"
    return facts.get("modality") or {"V": "eeg", "T": "meg"}.get(trials["unit"])


def _describe_trial(trials: dict[str, Any]) -> str:
    count, timesteps = len(trials["channel_names"]), trials["num_timesteps"]
    if timesteps is None:
        return f"patterns of {count} voxels"
    return f"{timesteps} samples of {count} channels at {trials['sampling_rate']:g} Hz"
