"""Trial stores of noise at THINGS-EEG2's size, for the benchmarks of reading and sharing."""

from pathlib import Path

import numpy as np
from PIL import Image

from neuroclip_hf import columns
from neuroclip_hf.data.store_info import StoreInfo
from neuroclip_hf.data.store_writer import new_store

CHANNELS, SAMPLES = 63, 250
TRIALS_A_PICTURE = 100
SAMPLING_RATE = 250.0
PICTURE_SIZE = 64


def make_store(path: Path, trials: int, repeats: int = TRIALS_A_PICTURE) -> Path:
    """One subject whose training trials (63, 250) are noise, with a picture of noise for so many `repeats` of it."""
    info = StoreInfo(
        modality="eeg",
        channels=[f"E{number}" for number in range(CHANNELS)],
        unit="sd",
        scale=[1.0] * CHANNELS,
        offset=[0.0] * CHANNELS,
        sampling_rate=SAMPLING_RATE,
        window_start=0.0,
        num_timesteps=SAMPLES,
        protocol=columns.NEW_CONCEPTS,
        target=columns.IMAGE_TARGET,
        data=columns.SIMULATED,
        source="arrays",
        settings={},
    )
    generator = np.random.default_rng(0)
    with new_store(path, info) as writer:
        for picture, start in enumerate(range(0, trials, repeats)):
            count = min(repeats, trials - start)
            name = f"{picture}.png"
            own = {columns.IMAGE_ID: name, columns.CONCEPT: str(picture), columns.SESSION: 1, columns.RUN: 1}
            rows = [{**own, columns.FILE: "a.npz", columns.SAMPLE: start + number} for number in range(count)]
            values = generator.standard_normal((count, CHANNELS, SAMPLES), dtype=np.float32)
            writer.add_trials("sub-01", columns.TRAIN, values, rows, "noise")
            pixels = generator.integers(0, 256, (PICTURE_SIZE, PICTURE_SIZE, 3), dtype=np.uint8)
            writer.add_picture(name, str(picture), columns.TRAIN, Image.fromarray(pixels), "")
    return path
