"""Writes a simulated THINGS-EEG2 in the dataset's own layout, or in one of the containers made of it."""

from pathlib import Path
from typing import Any

import numpy as np

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data.simulated import CAPTIONS_FILE, SIMULATION_FILE
from neuroclip_hf.data.simulation.checks import check_disk, explain_failed_writes, settings_from
from neuroclip_hf.data.simulation.drawing import (
    PlannedPicture,
    bytes_of_pictures,
    draw_codes,
    part_concepts,
    write_pictures,
)
from neuroclip_hf.data.simulation.formats import DEFAULT_FORMAT, Format, Simulation, choose_format, pickles
from neuroclip_hf.data.simulation.settings import SimulationSettings
from neuroclip_hf.data.things_eeg2 import FACTS, METADATA_FILE, PICTURE_FOLDERS, ImageMetadata
from neuroclip_hf.files import new_folder, write_json


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
    out = Path(out)
    with new_folder(out, overwrite, SIMULATION_FILE) as folder:
        pictures = checked.concepts * checked.images_per_concept + checked.test_concepts * FACTS.test_pictures
        check_disk(out, folder, form.size(checked) + bytes_of_pictures(pictures, checked.image_size))
        with explain_failed_writes(out):
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
    write_json(folder / CAPTIONS_FILE, captions)
    content = {"simulated": True, "layout": "things-eeg2", "format": form.name, "settings": settings.to_dict()}
    write_json(folder / SIMULATION_FILE, content)


def _plan_pictures(settings: SimulationSettings) -> dict[str, list[PlannedPicture]]:
    """The pictures of "train" and "test", in the order of the metadata."""
    counts = {TRAIN: settings.images_per_concept, TEST: FACTS.test_pictures}
    return {
        split: [
            PlannedPicture(concept, count, _image_id(split, number, concept.name, count), settings.seed)
            for number, concept in enumerate(concepts, start=1)
            for count in range(1, 1 + counts[split])
        ]
        for split, concepts in part_concepts(settings.concepts, settings.test_concepts, settings.seed).items()
    }


def _image_id(split: str, number: int, concept: str, count: int) -> str:
    return f"{PICTURE_FOLDERS[split]}/{number:05d}_{concept}/{concept}_{count:02d}s.jpg"


def _metadata(pictures: dict[str, list[PlannedPicture]]) -> dict[str, list[str]]:
    names = sorted({planned.concept.name for planned in pictures[TRAIN] + pictures[TEST]})
    numbered = {name: f"{number:05d}_{name}" for number, name in enumerate(names, start=1)}
    content: dict[str, list[str]] = {}
    for split in (TEST, TRAIN):
        content[f"{split}_img_concepts"] = [planned.folder for planned in pictures[split]]
        content[f"{split}_img_concepts_THINGS"] = [numbered[planned.concept.name] for planned in pictures[split]]
        content[f"{split}_img_files"] = [planned.file for planned in pictures[split]]
    return content


def _image_metadata(pictures: dict[str, list[PlannedPicture]]) -> ImageMetadata:
    names = {
        f"{split}_{what}": tuple(getattr(planned, attribute) for planned in pictures[split])
        for split in (TRAIN, TEST)
        for what, attribute in (("concepts", "folder"), ("files", "file"))
    }
    return ImageMetadata(**names)
