"""Writes a simulated THINGS-EEG2 in the dataset's own layout, or in one of the containers made of it."""

from pathlib import Path
from typing import Any

import numpy as np

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data.simulated import SIMULATED_DESCRIPTION
from neuroclip_hf.data.simulation.checks import settings_from
from neuroclip_hf.data.simulation.concepts import Concept
from neuroclip_hf.data.simulation.drawing import (
    PlannedPicture,
    bytes_of_pictures,
    count_pictures,
    draw_codes,
    plan_pictures,
    write_pictures,
)
from neuroclip_hf.data.simulation.formats import DEFAULT_FORMAT, Format, Simulation, choose_format, pickles
from neuroclip_hf.data.simulation.output import new_simulation, write_facts
from neuroclip_hf.data.simulation.settings import SimulationSettings
from neuroclip_hf.data.things_eeg2 import METADATA_FILE, PICTURE_FOLDERS, ImageMetadata


def simulate_things_eeg2(
    out: str | Path, *, format: str = DEFAULT_FORMAT, overwrite: bool = False, **settings: Any
) -> SimulationSettings:
    """Write a simulated dataset into a new folder: recordings, metadata and pictures as THINGS-EEG2 has them.

    `simulation.json` beside them says that they are simulated, in what format and with what settings; `captions.json`
    holds a caption for every picture. The folder appears when everything is written: an interrupted simulation leaves
    nothing. One recording is in memory at a time, once (64 x samples x 8 bytes), and about 200 MB more; the epochs of
    the formats that hold some lie in temporary files under the folder until they are written.

    Args:
        out (`str` or `Path`): the folder to make.
        format (`str`): how the recordings are written, one of [`formats.FORMATS`]; the dataset's raw files by default.
        overwrite (`bool`): replace an existing one.
        settings: fields of [`SimulationSettings`].

    Returns:
        All settings, defaults filled in.

    Raises:
        InputError: for an unknown or impossible setting, a format that is unknown or cannot hold the settings, an
            existing folder, or a disk that is too full.
    """
    form = choose_format(format)
    checked = settings_from(SimulationSettings, settings)
    form.check(checked)
    needed = form.size(checked) + bytes_of_pictures(count_pictures(checked), checked.image_size)
    with new_simulation(out, overwrite, needed) as folder:
        _write(folder, form, checked)
    return checked


def planted_codes(settings: SimulationSettings, split: str) -> np.ndarray:
    """The planted codes (pictures, code size) in the order of the metadata; the pictures are drawn again."""
    return draw_codes(_plan_pictures(settings)[split], settings.image_size)


def _write(folder: Path, form: Format, settings: SimulationSettings) -> None:
    pictures = _plan_pictures(settings)
    captions: dict[str, str] = {}
    codes = {split: write_pictures(folder, part, settings.image_size, captions) for split, part in pictures.items()}
    pickles.write_object(folder / METADATA_FILE, _metadata(pictures))
    form.write(folder, Simulation(settings, _image_metadata(pictures), codes))
    write_facts(folder, "things-eeg2", settings.to_dict(), captions, format=form.name)


def _plan_pictures(settings: SimulationSettings) -> dict[str, list[PlannedPicture]]:
    return plan_pictures(settings, _image_id)


def _image_id(split: str, number: int, concept: Concept, count: int) -> str:
    return f"{PICTURE_FOLDERS[split]}/{number:05d}_{concept.name}/{concept.name}_{count:02d}s.jpg"


def _metadata(pictures: dict[str, list[PlannedPicture]]) -> dict[str, Any]:
    names = sorted({planned.concept.name for planned in pictures[TRAIN] + pictures[TEST]})
    numbered = {name: f"{number:05d}_{name}" for number, name in enumerate(names, start=1)}
    content: dict[str, Any] = {}
    for split in (TEST, TRAIN):
        content[f"{split}_img_concepts"] = [planned.folder for planned in pictures[split]]
        content[f"{split}_img_concepts_THINGS"] = [numbered[planned.concept.name] for planned in pictures[split]]
        content[f"{split}_img_files"] = [planned.file for planned in pictures[split]]
    content["description"] = SIMULATED_DESCRIPTION  # no such key in the real table; it goes with every format
    return content


def _image_metadata(pictures: dict[str, list[PlannedPicture]]) -> ImageMetadata:
    return ImageMetadata(
        train_concepts=tuple(planned.folder for planned in pictures[TRAIN]),
        train_files=tuple(planned.file for planned in pictures[TRAIN]),
        test_concepts=tuple(planned.folder for planned in pictures[TEST]),
        test_files=tuple(planned.file for planned in pictures[TEST]),
    )
