"""The settings on which methods are compared, fixed before any prompted model was trained on them."""

from neuroclip_hf.data.simulation.settings import SimulationSettings

BENCHMARK = SimulationSettings(
    subjects=(1, 2),
    concepts=400,
    images_per_concept=10,
    test_concepts=200,
    train_repeats=4,
    test_repeats=80,
    sampling_rate=250,
)
"""Two subjects, 4,000 training pictures, 200-way test with 80 repeats. The signal-to-noise ratio, the default of every
simulation, was chosen by ridge regression and a linear encoder on frozen features. `benchmarks/simulation.py` says how
hard they are."""
