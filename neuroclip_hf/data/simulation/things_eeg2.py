"""Writes a simulated THINGS-EEG2 in the dataset's own layout, pickles included."""

import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data.simulation.concepts import Concept, list_concepts
from neuroclip_hf.data.simulation.eeg import plan_session, simulate_session
from neuroclip_hf.data.simulation.pictures import draw_picture, make_look, picture_code
from neuroclip_hf.data.simulation.settings import SimulationSettings, make_settings
from neuroclip_hf.data.things_eeg2 import FACTS, METADATA_FILE, PICTURE_FOLDERS, SIMULATION_FILE, raw_path
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import new_folder, write_json
from neuroclip_hf.logging import progress

CAPTIONS_FILE = "captions.json"
"""Captions of the pictures by image id; the real dataset has no such file."""

_QUALITY = 92


@dataclass(frozen=True)
class PlannedPicture:
    """One picture to draw.

    Args:
        split (`str`): "train" or "test".
        concept (`Concept`): what it shows.
        folder, file (`str`): its names on disk.
        seed (`tuple` of `int`): from which its look is drawn.
    """

    split: str
    concept: Concept
    folder: str
    file: str
    seed: tuple[int, ...]

    @property
    def image_id(self) -> str:
        """The picture's path in the dataset."""
        return f"{PICTURE_FOLDERS[self.split]}/{self.folder}/{self.file}"

    def draw(self, size: int) -> tuple[Image.Image, str]:
        """The picture and its caption."""
        look = make_look(self.concept, np.random.default_rng(np.random.SeedSequence(self.seed)))
        return draw_picture(self.concept, look, size), look.caption


def simulate_things_eeg2(out: str | Path, *, overwrite: bool = False, **settings: Any) -> SimulationSettings:
    """Write a simulated dataset into a new folder: raw recordings, metadata and pictures as THINGS-EEG2 has them.

    `simulation.json` beside them says that they are simulated and with what settings; `captions.json` holds a caption
    for every picture. The folder appears when everything is written: an interrupted simulation leaves nothing. One
    recording is in memory at a time, once (64 x samples x 8 bytes), and about 200 MB more.

    Args:
        out (`str` or `Path`): the folder to make.
        overwrite (`bool`): replace an existing one.
        settings: fields of [`SimulationSettings`].

    Returns:
        All settings, defaults filled in.

    Raises:
        InputError: for an unknown or impossible setting, an existing folder, or a disk that is too full.
    """
    checked = make_settings(**settings)
    out = Path(out)
    with new_folder(out, overwrite, SIMULATION_FILE) as folder:
        _check_disk(out, folder, checked)
        try:
            _write(folder, checked)
        except OSError as error:
            raise InputError(f"{out} cannot be written: {error}. Name a folder on a disk with room.") from None
    return checked


def planted_codes(settings: SimulationSettings, split: str) -> np.ndarray:
    """The planted codes (pictures, code size) in the order of the metadata; the pictures are drawn again."""
    pictures = _plan_pictures(settings, split)
    return np.array([picture_code(one.draw(settings.image_size)[0], one.concept) for one in pictures])


def _write(folder: Path, settings: SimulationSettings) -> None:
    pictures = {split: _plan_pictures(settings, split) for split in (TRAIN, TEST)}
    captions: dict[str, str] = {}
    codes = {split: _write_pictures(folder, pictures[split], settings, captions) for split in pictures}
    _write_pickle(folder / METADATA_FILE, _metadata(pictures))
    recordings = [
        (subject, session, split)
        for subject in settings.subjects
        for session in range(1, settings.sessions + 1)
        for split in (TRAIN, TEST)
    ]
    for subject, session, split in progress(recordings, desc="recordings"):
        path = raw_path(folder, subject, session, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        data = simulate_session(settings, subject, session, split, codes[split])
        _write_pickle(path, _raw_content(settings, data))
    write_json(folder / CAPTIONS_FILE, captions)
    write_json(folder / SIMULATION_FILE, {"simulated": True, "layout": "things-eeg2", "settings": settings.to_dict()})


def _plan_pictures(settings: SimulationSettings, split: str) -> list[PlannedPicture]:
    # Test concepts come first in the list, so that more training concepts leave them as they are.
    concepts = list_concepts(settings.test_concepts + settings.concepts, settings.seed)
    test = split == TEST
    chosen = concepts[: settings.test_concepts] if test else concepts[settings.test_concepts :]
    planned = []
    for number, concept in enumerate(sorted(chosen, key=lambda concept: concept.name), start=1):
        for count in range(1, 1 + (FACTS.test_pictures if test else settings.images_per_concept)):
            file = f"{concept.name}_{count:02d}s.jpg"
            seed = (settings.seed, count, *concept.name.encode())
            planned.append(PlannedPicture(split, concept, f"{number:05d}_{concept.name}", file, seed))
    return planned


def _write_pictures(
    folder: Path, pictures: list[PlannedPicture], settings: SimulationSettings, captions: dict[str, str]
) -> np.ndarray:
    codes = []
    for planned in progress(pictures, desc="pictures"):
        picture, captions[planned.image_id] = planned.draw(settings.image_size)
        path = folder / planned.image_id
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, quality=_QUALITY, subsampling=0)
        codes.append(picture_code(picture, planned.concept))
    return np.array(codes)


def _metadata(pictures: dict[str, list[PlannedPicture]]) -> dict[str, list[str]]:
    names = sorted({planned.concept.name for planned in pictures[TRAIN] + pictures[TEST]})
    numbered = {name: f"{number:05d}_{name}" for number, name in enumerate(names, start=1)}
    content: dict[str, list[str]] = {}
    for split in (TEST, TRAIN):
        content[f"{split}_img_concepts"] = [planned.folder for planned in pictures[split]]
        content[f"{split}_img_concepts_THINGS"] = [numbered[planned.concept.name] for planned in pictures[split]]
        content[f"{split}_img_files"] = [planned.file for planned in pictures[split]]
    return content


def _raw_content(settings: SimulationSettings, data: np.ndarray) -> dict[str, Any]:
    return {
        "raw_eeg_data": data,
        "ch_names": [*settings.channels, FACTS.stimulus_channel],
        "ch_types": ["eeg"] * len(settings.channels) + ["stim"],
        "sfreq": settings.sampling_rate,
        "highpass": FACTS.highpass,
        "lowpass": min(FACTS.lowpass, settings.sampling_rate / 2),
    }


def _write_pickle(path: Path, content: dict[str, Any]) -> None:
    """Write what `np.save` writes for a dictionary, in pickle protocol 5: the older ones copy the array first."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump(np.array(content, dtype=object), file, protocol=5)


def _check_disk(out: Path, folder: Path, settings: SimulationSettings) -> None:
    samples = sum(
        plan_session(settings, subject, session, split).length
        for subject in settings.subjects[:1]
        for session in range(1, settings.sessions + 1)
        for split in (TRAIN, TEST)
    )
    needed = samples * len(settings.subjects) * (len(settings.channels) + 1) * 8
    needed += (settings.concepts * settings.images_per_concept + settings.test_concepts) * settings.image_size**2
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{out} would take {needed / 1e9:.1f} GB and its disk has {free / 1e9:.1f} GB free: simulate less, or "
            "name a folder on another disk."
        )
