"""Made-up recordings of drawn pictures, in the real on-disk layouts; everything follows from a seed."""

from neuroclip_hf.data.simulation.settings import SimulationSettings
from neuroclip_hf.data.simulation.things_eeg2 import planted_codes, simulate_things_eeg2

__all__ = ["SimulationSettings", "planted_codes", "simulate_things_eeg2"]
