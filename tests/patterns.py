"""A store of patterns whose subjects have other voxels and regions, with imagery: what tests of such stores share."""

from pathlib import Path

import numpy as np
from PIL import Image

from neuroclip_hf import columns
from neuroclip_hf.data.store_channels import SubjectChannels
from neuroclip_hf.data.store_info import StoreInfo
from neuroclip_hf.data.store_writer import new_store

INFO = StoreInfo(
    modality="fmri",
    channels=[],
    unit="au",
    scale=[],
    offset=[],
    sampling_rate=None,
    window_start=0.0,
    num_timesteps=None,
    protocol="new-concepts",
    target="image",
    data="simulated",
    source="arrays",
    settings={},
)
VOXELS = {"sub-01": 6, "sub-02": 8}
CONCEPTS = 6
TESTED = 2  # of them


def voxels_of(subject: str, count: int) -> SubjectChannels:
    """Each voxel has a scale and an offset of its own; V1 and V2 overlap, and only the larger brain has an FFA."""
    places = np.arange(count)
    rois = {"V1": places < 3, "V2": (places >= 2) & (places < 5)}
    if count > 6:
        rois["FFA"] = places == count - 1
    scale, offset = 1.0 + places, 100.0 * places
    return SubjectChannels(
        [f"{subject}_{place}" for place in places], scale, offset, rois, np.arange(count * 3.0).reshape(count, 3)
    )


def values_of(channels: SubjectChannels, count: int, seed: int) -> np.ndarray:
    """(trials, voxels) in the unit of the store."""
    generator = np.random.default_rng(seed)
    return generator.standard_normal((count, len(channels.names))) * channels.scale + channels.offset


def write_patterns(
    path: Path, voxels: dict[str, SubjectChannels] | None = None, info: StoreInfo = INFO, repeats: int = 3
) -> dict[tuple[str, str], np.ndarray]:
    """Write the store; returns what was written, by subject and split. Pictures 4 and 5 are tested, and imagined."""
    written = {}
    voxels = voxels or {name: voxels_of(name, count) for name, count in VOXELS.items()}
    pictures = {columns.TRAIN: range(CONCEPTS - TESTED), columns.TEST: range(CONCEPTS - TESTED, CONCEPTS)}
    pictures[columns.IMAGERY] = pictures[columns.TEST]
    with new_store(path, info) as writer:
        for number, (subject, channels) in enumerate(voxels.items()):
            writer.add_channels(subject, channels)
            for place, (split, shown) in enumerate(pictures.items()):
                rows = [
                    {
                        columns.IMAGE_ID: f"{picture}",
                        columns.CONCEPT: f"concept {picture}",
                        columns.SESSION: 1,
                        columns.RUN: 1,
                        columns.FILE: f"{subject}-{split}",
                        columns.SAMPLE: repeat * CONCEPTS + picture,
                    }
                    for repeat in range(repeats)
                    for picture in shown
                ]
                values = values_of(channels, len(rows), 10 * number + place)
                writer.add_trials(subject, split, values, rows, "a.h5")
                written[subject, split] = values
        for split in (columns.TRAIN, columns.TEST):
            for picture in pictures[split]:
                image = Image.fromarray(np.random.default_rng(picture).integers(0, 256, (8, 8, 3), dtype=np.uint8))
                writer.add_picture(f"{picture}", f"concept {picture}", split, image, "")
    return written
