"""Writes simulated MEG as FIF files, with pictures and captions."""

from pathlib import Path
from typing import Any

import mne
import numpy as np
from mne.io.constants import FIFF

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
from neuroclip_hf.data.simulation.eeg import (
    SessionPlan,
    count_samples,
    list_recordings,
    plan_session,
    simulate_session,
)
from neuroclip_hf.data.simulation.fif_ids import neutralise_ids
from neuroclip_hf.data.simulation.meg_settings import MegSettings
from neuroclip_hf.data.simulation.output import new_simulation, write_facts
from neuroclip_hf.data.subject_names import subject_folder
from neuroclip_hf.data.things_eeg2 import FACTS
from neuroclip_hf.logging import progress

PICTURES_FOLDER = "pictures"
CATCH = "catch"
"""Annotation of a catch trial, which shows no picture of the set."""

_HEAD_RADIUS = 0.1  # metres


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
    signal = count_samples(checked) * len(checked.channels) * 4
    needed = signal + bytes_of_pictures(count_pictures(checked), checked.image_size)
    with new_simulation(out, overwrite, needed) as folder:
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
    for subject, session, split in progress(list_recordings(settings), desc="recordings"):
        path = recording_path(folder, subject, session, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        data = simulate_session(settings, subject, session, split, codes[split])
        raw = _raw(settings, subject, data, plan_session(settings, subject, session, split), pictures[split])
        raw.save(path, verbose="ERROR")
        for part in path.parent.glob(f"{path.stem}*.fif"):  # MNE goes on in another file after two gigabytes
            neutralise_ids(part)
    write_facts(folder, "meg", settings.to_dict(), captions)


def _plan_pictures(settings: MegSettings) -> dict[str, list[PlannedPicture]]:
    return plan_pictures(settings, _image_id)


def _image_id(split: str, number: int, concept: Concept, count: int) -> str:
    return f"{PICTURES_FOLDER}/{concept.name}/{concept.name}_{count:02d}s.jpg"


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
    info["description"] = SIMULATED_DESCRIPTION
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
