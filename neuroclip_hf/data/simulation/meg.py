"""Writes simulated MEG as FIF files, with pictures and captions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mne
import numpy as np
from mne.io.constants import FIFF

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data.simulated import CAPTIONS_FILE, SIMULATED, SIMULATION_FILE
from neuroclip_hf.data.simulation.checks import check_disk, explain_failed_writes, settings_from
from neuroclip_hf.data.simulation.drawing import (
    PlannedPicture,
    bytes_of_pictures,
    draw_codes,
    part_concepts,
    write_pictures,
)
from neuroclip_hf.data.simulation.eeg import SessionPlan, plan_session, simulate_session
from neuroclip_hf.data.simulation.fif_ids import neutralise_ids
from neuroclip_hf.data.simulation.sensors import Sensors, meg_sensors
from neuroclip_hf.data.simulation.settings import SimulationSettings
from neuroclip_hf.data.things_eeg2 import FACTS, subject_folder
from neuroclip_hf.files import new_folder, write_json
from neuroclip_hf.logging import progress

PICTURES_FOLDER = "pictures"
CATCH = "catch"
"""Annotation of a catch trial, which shows no picture of the set."""

_HEAD_RADIUS = 0.1  # metres


@dataclass(frozen=True)
class MegSettings(SimulationSettings):
    """How much MEG is simulated, and how hard it is: the settings of [`SimulationSettings`], for a helmet of sensors.

    What the sensors see, and their number, is ours; pictures are shown as in THINGS-EEG2. (THINGS-MEG has 272
    gradiometers, 12 sessions, and a picture every 1.5 s.) A channel's 1/f activity, to which `snr` refers, is 160
    femtotesla.
    """

    channels: tuple[str, ...] = meg_sensors().names

    @property
    def sensors(self) -> Sensors:
        """All sensors from which `channels` are chosen."""
        return meg_sensors()


def simulate_meg(out: str | Path, *, overwrite: bool = False, **settings: Any) -> MegSettings:
    """Write simulated MEG into a new folder.

    It holds `sub-XX/ses-0Y/meg/sub-XX_ses-0Y_task-{train,test}_meg.fif` in tesla, `pictures/CONCEPT/FILE.jpg`,
    `captions.json` with a caption for every picture, and `simulation.json`. An annotation at each onset names its
    picture, as `CONCEPT/FILE.jpg`; catch trials are called "catch". `neuroclip prepare recordings` reads them with
    `--pictures OUT/pictures --ignore catch --test-files '*_task-test_meg.fif'`. The recordings' description says that
    they are simulated.

    The folder appears when everything is written: an interrupted simulation leaves nothing. One recording is in memory
    at a time.

    Args:
        out (`str` or `Path`): the folder to make.
        overwrite (`bool`): replace an existing one.
        settings: fields of [`MegSettings`].

    Returns:
        All settings, defaults filled in.

    Raises:
        InputError: for an unknown or impossible setting, an existing folder, or a disk that is too full.
    """
    checked = settings_from(MegSettings, settings)
    out = Path(out)
    with new_folder(out, overwrite, SIMULATION_FILE) as folder:
        check_disk(out, folder, _bytes_needed(checked))
        with explain_failed_writes(out):
            _write(folder, checked)
    return checked


def planted_meg_codes(settings: MegSettings, split: str) -> dict[str, np.ndarray]:
    """The planted code (code size,) of every picture of a split, by its name in the annotations."""
    pictures = _plan_pictures(settings)[split]
    return dict(zip(map(_event, pictures), draw_codes(pictures, settings.image_size), strict=True))


def recording_path(folder: str | Path, subject: int, session: int, split: str) -> Path:
    """Where the recording of a session and split ("train" or "test") lies."""
    who, when = subject_folder(subject), f"ses-{session:02d}"
    return Path(folder) / who / when / "meg" / f"{who}_{when}_task-{split}_meg.fif"


def _write(folder: Path, settings: MegSettings) -> None:
    pictures = _plan_pictures(settings)
    captions: dict[str, str] = {}
    codes = {split: write_pictures(folder, pictures[split], settings.image_size, captions) for split in (TRAIN, TEST)}
    recordings = [
        (subject, session, split)
        for subject in settings.subjects
        for session in range(1, settings.sessions + 1)
        for split in (TRAIN, TEST)
    ]
    for subject, session, split in progress(recordings, desc="recordings"):
        path = recording_path(folder, subject, session, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        data = simulate_session(settings, subject, session, split, codes[split])
        raw = _raw(settings, subject, data, plan_session(settings, subject, session, split), pictures[split])
        raw.save(path, verbose="ERROR")
        for part in path.parent.glob(f"{path.stem}*.fif"):  # MNE goes on in another file after two gigabytes
            neutralise_ids(part)
    write_json(folder / CAPTIONS_FILE, captions)
    write_json(folder / SIMULATION_FILE, {"simulated": True, "layout": "meg", "settings": settings.to_dict()})


def _plan_pictures(settings: MegSettings) -> dict[str, list[PlannedPicture]]:
    concepts = part_concepts(settings.concepts, settings.test_concepts, settings.seed)
    counts = {TRAIN: settings.images_per_concept, TEST: FACTS.test_pictures}
    return {
        split: [
            PlannedPicture(
                concept, count, f"{PICTURES_FOLDER}/{concept.name}/{concept.name}_{count:02d}s.jpg", settings.seed
            )
            for concept in part
            for count in range(1, counts[split] + 1)
        ]
        for split, part in concepts.items()
    }


def _event(picture: PlannedPicture) -> str:
    return f"{picture.folder}/{picture.file}"


def _raw(
    settings: MegSettings, subject: int, data: np.ndarray, plan: SessionPlan, pictures: list[PlannedPicture]
) -> mne.io.RawArray:
    info = mne.create_info(list(settings.channels), settings.sampling_rate, settings.sensors.kind, verbose="ERROR")
    for channel, place in zip(info["chs"], settings.sensors.pick(settings.channels).places, strict=True):
        channel["coil_type"] = FIFF.FIFFV_COIL_POINT_MAGNETOMETER
        channel["coord_frame"] = FIFF.FIFFV_COORD_DEVICE
        channel["loc"] = np.concatenate([place * _HEAD_RADIUS, *_axes(place)])
    info["dev_head_t"] = mne.transforms.Transform("meg", "head")
    info["description"] = SIMULATED
    info["subject_info"] = {"his_id": subject_folder(subject)}
    raw = mne.io.RawArray(data[:-1], info, verbose="ERROR")
    names = [CATCH if code == FACTS.catch_code else _event(pictures[code - 1]) for code in plan.codes]
    onsets = plan.onsets / settings.sampling_rate
    return raw.set_annotations(mne.Annotations(onsets, FACTS.picture_duration, names), verbose="ERROR")


def _axes(place: np.ndarray) -> np.ndarray:
    """The coil's three directions (3, 3): two along the helmet, and the one it measures, away from the head."""
    outward = place / np.linalg.norm(place)
    along = np.cross(outward, [1.0, 0.0, 0.0] if abs(outward[0]) < 0.9 else [0.0, 1.0, 0.0])
    along /= np.linalg.norm(along)
    return np.stack([along, np.cross(outward, along), outward])


def _bytes_needed(settings: MegSettings) -> int:
    samples = sum(
        plan_session(settings, settings.subjects[0], session, split).length
        for session in range(1, settings.sessions + 1)
        for split in (TRAIN, TEST)
    )
    pictures = settings.concepts * settings.images_per_concept + settings.test_concepts * FACTS.test_pictures
    signal = samples * len(settings.subjects) * len(settings.channels) * 4
    return signal + bytes_of_pictures(pictures, settings.image_size)
