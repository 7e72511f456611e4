"""The dataset's raw files: a pickled dictionary a recording."""

from pathlib import Path

import numpy as np

from neuroclip_hf.data.simulated import SIMULATED_DESCRIPTION
from neuroclip_hf.data.simulation.formats import pickles
from neuroclip_hf.data.simulation.formats.base import RecordingFormat
from neuroclip_hf.data.simulation.settings import SimulationSettings
from neuroclip_hf.data.things_eeg2 import FACTS


class Raw(RecordingFormat):
    """`sub-XX/ses-0Y/raw_eeg_{training,test}.npy`, float64 in volts with the stimulus channel last."""

    name = "raw"
    sample_bytes = 8
    stores_codes = True

    def write_recording(self, path: Path, settings: SimulationSettings, data: np.ndarray) -> None:
        """Write the dictionary of one recording."""
        content = {
            "raw_eeg_data": data,
            "ch_names": [*settings.channels, FACTS.stimulus_channel],
            "ch_types": ["eeg"] * len(settings.channels) + ["stim"],
            "sfreq": settings.sampling_rate,
            "highpass": FACTS.highpass,
            "lowpass": min(FACTS.lowpass, settings.sampling_rate / 2),
            "description": SIMULATED_DESCRIPTION,  # no such key in the real files; a copy still says what it is
        }
        pickles.write_object(path, content)
