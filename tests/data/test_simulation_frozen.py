"""The settings on which methods are compared do not move, nor what is planted and recorded with them."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data.simulation import planted_codes
from neuroclip_hf.data.simulation.eeg import response_kernel, simulate_session
from neuroclip_hf.data.simulation.frozen import BENCHMARK, PREPARATION
from neuroclip_hf.data.things_eeg2 import FACTS

SMALL = replace(BENCHMARK, concepts=3, test_concepts=4, images_per_concept=1)


def test_every_value_is_what_it_was():
    values = asdict(BENCHMARK)
    assert (values.pop("channels"), values.pop("bad_channels")) == (FACTS.channels, ())
    assert values == {
        "subjects": (1, 2),
        "concepts": 400,
        "test_concepts": 200,
        "images_per_concept": 10,
        "train_repeats": 4,
        "test_repeats": 80,
        "sessions": 4,
        "snr": 0.11,
        "seed": 0,
        "image_size": 96,
        "sampling_rate": 250,
    }
    assert dict(PREPARATION) == {"channels": FACTS.occipital_channels, "whitening": "session"}


FOUND = {"codes": [0.838501, 0.803878], "kernel": [0.312021, 0.0146275], "recorded": [15.19876, 13.09640]}


def test_codes_responses_and_recordings_are_what_they_were():
    codes = {split: planted_codes(SMALL, split) for split in (TRAIN, TEST)}
    kernel = response_kernel(SMALL, 1)
    recorded = simulate_session(SMALL, 1, 1, TEST, codes[TEST])[:-1]
    found = {
        "codes": [float(np.abs(codes[split]).mean()) for split in (TRAIN, TEST)],
        "kernel": [float(np.abs(kernel[0]).mean()), float(np.abs(kernel[1:]).mean())],
        "recorded": [float(recorded.std() * 1e6), float(np.abs(recorded[60]).mean() * 1e6)],
    }
    assert found == {name: pytest.approx(values, rel=1e-3) for name, values in FOUND.items()}
