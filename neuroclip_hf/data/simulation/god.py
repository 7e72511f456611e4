"""Writes a simulated Generic Object Decoding in the dataset's own layout."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data.bdata import MetadataRow, new_bdata, require_h5py
from neuroclip_hf.data.god import (
    CATEGORY_NAMES_FILE,
    FACTS,
    PICTURE_FOLDERS,
    PICTURE_TABLES,
    image_file,
    roi_key,
    stimulus_id,
    subject_path,
)
from neuroclip_hf.data.simulated import SIMULATED_DESCRIPTION
from neuroclip_hf.data.simulation.checks import settings_from
from neuroclip_hf.data.simulation.concepts import COLOURS, PARTS, SHAPES, TEXTURES, Concept
from neuroclip_hf.data.simulation.drawing import (
    PlannedPicture,
    bytes_of_pictures,
    draw_codes,
    part_concepts,
    write_pictures,
)
from neuroclip_hf.data.simulation.fmri import SubjectBrain
from neuroclip_hf.data.simulation.god_settings import GodSettings
from neuroclip_hf.data.simulation.output import new_simulation, write_facts
from neuroclip_hf.data.simulation.randomness import random_of
from neuroclip_hf.files import write_json
from neuroclip_hf.logging import progress

_KINDS = {FACTS.training: "training", FACTS.perception: "perception", FACTS.imagery: "imagery"}
_BELOW_WORDNET, _ABOVE_WORDNET = 1739, 20_000_000  # WordNet's nouns begin at 1740 and end before 16 million
_PICTURE_NUMBERS = 6499  # tens, so that the largest number is 64,999
_MOST_PICTURES = 99


@dataclass(frozen=True)
class Run:
    """What is shown or imagined in one scan.

    Args:
        kind (`int`): a value of the column `DataType`.
        number (`int`): among the runs of its kind, from 1.
        pictures (`numpy.ndarray`): (trials,) rows of the training or test pictures.
    """

    kind: int
    number: int
    pictures: np.ndarray

    @property
    def split(self) -> str:
        """Whose pictures these are: what is imagined are test concepts."""
        return TRAIN if self.kind == FACTS.training else TEST


def simulate_god(out: str | Path, *, overwrite: bool = False, **settings: Any) -> GodSettings:
    """Write a simulated dataset into a new folder: one HDF5 file a subject, and the pictures with their tables.

    `simulation.json` says that it is simulated and with what settings, and so does the header of every file;
    `captions.json` holds a caption for every picture and `category_names.json` the categories in words. The folder
    appears when everything is written: an interrupted simulation leaves nothing. One run is in memory at a time.

    What is ours beside the contents: WordNet ids lie where WordNet has none; `Run` and `Block` count all runs and
    trials of a file; `Label` repeats `stimulus_id`; an imagined concept has the id of its test picture.

    Args:
        out (`str` or `Path`): the folder to make.
        overwrite (`bool`): replace an existing one.
        settings: fields of [`GodSettings`].

    Returns:
        All settings, defaults filled in.

    Raises:
        InputError: for an unknown or impossible setting, a missing h5py, an existing folder, or a disk that is too
            full.
    """
    checked = settings_from(GodSettings, settings)
    require_h5py()
    with new_simulation(out, overwrite, _needed_bytes(checked)) as folder:
        _write(folder, checked)
    return checked


def planted_codes(settings: GodSettings, split: str) -> np.ndarray:
    """The planted codes (pictures, code size) in the order of `image_index`; the pictures are drawn again."""
    return draw_codes([picture for _, picture in plan_pictures(settings, split)], settings.image_size)


def plan_pictures(settings: GodSettings, split: str) -> list[tuple[float, PlannedPicture]]:
    """Every picture of a split ("train" or "test") with its stimulus id, in the order of `image_index`.

    As in the dataset, categories are sorted by number, and the pictures of one by the text of their file names.
    """
    planned = []
    for concept in part_concepts(settings.concepts, settings.test_concepts, settings.seed)[split]:
        count = FACTS.test_pictures if split == TEST else settings.images_per_concept
        for number, picture_number in enumerate(_picture_numbers(concept, count, settings.seed), start=1):
            stimulus = stimulus_id(category_number(concept), picture_number)
            image_id = f"{PICTURE_FOLDERS[split]}/{image_file(stimulus)}"
            planned.append((stimulus, PlannedPicture(concept, number, image_id, settings.seed)))
    return sorted(planned, key=lambda pair: pair[1].image_id)


def category_number(concept: Concept) -> int:
    """The digits of a concept's made-up WordNet id, which no noun of WordNet has; some begin with zeros."""
    values = (concept.shape, concept.part, concept.colour, concept.texture)
    number = 0
    for value, table in zip(values, (SHAPES, PARTS, tuple(COLOURS), TEXTURES), strict=True):
        number = number * len(table) + table.index(value)
    return number + 1 if number < _BELOW_WORDNET else number + _ABOVE_WORDNET


def plan_runs(settings: GodSettings, subject: int) -> list[Run]:
    """The runs of a subject in the order of the file: training, perception, imagery.

    Training pictures are shown once, in random order, in runs of at most 50. Every perception run shows every test
    picture once. Two imagery runs share the test concepts, and one has all where there is only one concept.
    """
    trained = settings.concepts * settings.images_per_concept
    order = random_of(settings.seed, subject, "order of training").permutation(trained)
    kinds = {FACTS.training: np.array_split(order, -(-trained // FACTS.trials_of_perception_run))}
    for kind, repeats, halves in (
        (FACTS.perception, settings.test_repeats, 1),
        (FACTS.imagery, settings.imagery_repeats, 2),
    ):
        random = random_of(settings.seed, subject, f"order of {_KINDS[kind]}")
        orders = [random.permutation(settings.test_concepts) for _ in range(repeats)]
        kinds[kind] = [half for one in orders for half in np.array_split(one, halves) if len(half)]
    return [Run(kind, number, run) for kind, runs in kinds.items() for number, run in enumerate(runs, start=1)]


def _picture_numbers(concept: Concept, count: int, seed: int) -> list[int]:
    """Numbers of a concept's pictures, all different. Every fourth ends in a zero, which the float id loses."""
    random = random_of(seed, 0, f"numbers of {concept.name}")
    tens = 1 + random.permutation(_PICTURE_NUMBERS)[:_MOST_PICTURES]
    ones = random.integers(1, 10, _MOST_PICTURES)
    ones[(category_number(concept) + np.arange(_MOST_PICTURES)) % 4 == 0] = 0
    return [int(number) for number in (10 * tens + ones)[:count]]


def _write(folder: Path, settings: GodSettings) -> None:
    captions: dict[str, str] = {}
    names: dict[str, str] = {}
    stimuli, codes = {}, {}
    for split in (TRAIN, TEST):
        planned = plan_pictures(settings, split)
        pictures = [picture for _, picture in planned]
        stimuli[split] = np.array([stimulus for stimulus, _ in planned])
        codes[split] = write_pictures(folder, pictures, settings.image_size, captions)
        names |= {picture.file.partition("_")[0]: picture.concept.phrase for picture in pictures}
        lines = [f'{stimulus:.6f},"{picture.file}"\n' for stimulus, picture in planned]
        (folder / PICTURE_TABLES[split]).write_text("".join(lines), encoding="utf-8", newline="\n")
    for subject in progress(settings.subjects, desc="subjects"):
        _write_subject(folder, settings, subject, stimuli, codes)
    write_json(folder / CATEGORY_NAMES_FILE, names)
    write_facts(folder, "god", settings.to_dict(), captions)


def _write_subject(
    folder: Path, settings: GodSettings, subject: int, stimuli: dict[str, np.ndarray], codes: dict[str, np.ndarray]
) -> None:
    brain = SubjectBrain(settings.seed, subject, settings.voxels, settings.snr)
    runs = plan_runs(settings, subject)
    trials = sum(len(run.pictures) for run in runs)
    header = {"description": SIMULATED_DESCRIPTION, "subject": f"Subject{subject}"}
    with new_bdata(subject_path(folder, subject), trials, _metadata(brain), header) as table:
        start = 0
        for place, run in enumerate(progress(runs, desc="runs"), start=1):
            stop = start + len(run.pictures)
            shown = codes[run.split][run.pictures]
            signal = brain.scan(_KINDS[run.kind], run.number, shown, imagined=run.kind == FACTS.imagery)
            ids = stimuli[run.split][run.pictures]
            trial = {
                "DataType": np.full(len(ids), run.kind),
                "Run": np.full(len(ids), place),
                "Block": np.arange(start, stop) + 1,
                "stimulus_id": ids,
                "image_index": run.pictures + 1,
                "Label": ids,
            }
            table[start:stop] = np.column_stack([signal, *(trial[key] for key in FACTS.trial_columns)])
            start = stop


def _metadata(brain: SubjectBrain) -> list[MetadataRow]:
    voxels, columns = len(brain.cortex.places), len(FACTS.trial_columns)

    def of_voxels(key: str, description: str, values: np.ndarray) -> MetadataRow:
        return MetadataRow(key, description, np.concatenate([values, np.full(columns, np.nan)]))

    rows = [of_voxels(FACTS.voxel_columns, f"1 = {FACTS.voxel_columns}", np.ones(voxels))]
    for name in FACTS.areas + FACTS.regions:
        rows.append(of_voxels(roi_key(name), f"1 = {roi_key(name)}", brain.cortex.masks[name]))
    for place, key in enumerate(FACTS.coordinate_rows):
        rows.append(of_voxels(key, f"{key} in mm", brain.cortex.places[:, place]))
    for place, key in enumerate(FACTS.trial_columns):
        values = np.full(voxels + columns, np.nan)
        values[voxels + place] = 1
        rows.append(MetadataRow(key, f"1 = {key}", values))
    return rows


def _needed_bytes(settings: GodSettings) -> int:
    trained = settings.concepts * settings.images_per_concept
    trials = trained + settings.test_concepts * (settings.test_repeats + settings.imagery_repeats)
    matrix = trials * (settings.voxels + len(FACTS.trial_columns)) * 8
    pictures = trained + settings.test_concepts * FACTS.test_pictures
    return matrix * len(settings.subjects) + bytes_of_pictures(pictures, settings.image_size)
