"""The settings on which methods are compared, fixed before any prompted model was trained on them.

Nothing here follows a default: what others change elsewhere does not move it.
"""

from typing import Any

from neuroclip_hf.data.simulation.settings import SimulationSettings
from neuroclip_hf.data.things_eeg2 import FACTS

BENCHMARK = SimulationSettings(
    subjects=(1, 2),
    concepts=400,
    test_concepts=200,
    images_per_concept=10,
    train_repeats=4,
    test_repeats=80,
    sessions=4,
    snr=0.11,
    seed=0,
    image_size=96,
    sampling_rate=250,
    channels=FACTS.channels,
    bad_channels=(),
)
"""Two subjects, 4,000 training pictures, 200-way test with 80 repeats. The signal-to-noise ratio was chosen by ridge
regression and a linear encoder on frozen features; `benchmarks/simulation.py` says how hard this is."""

PREPARATION: dict[str, Any] = {"channels": FACTS.occipital_channels, "whitening": "session"}
"""How `prepare_things_eeg2` makes the store of it; epochs of 0 to 1 s at 250 Hz, as that function cuts them."""
