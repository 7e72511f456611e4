"""The dataset's raw files: a pickled dictionary a recording."""

from pathlib import Path

import numpy as np

from neuroclip_hf.data.containers import RAW_FILTERS, RAW_KEYS
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
        names, types = [*settings.channels, FACTS.stimulus_channel], ["eeg"] * len(settings.channels) + ["stim"]
        edges = (FACTS.highpass, min(FACTS.lowpass, settings.sampling_rate / 2))
        content = {
            **dict(zip(RAW_KEYS, (data, names, types, settings.sampling_rate), strict=True)),
            **dict(zip(RAW_FILTERS, edges, strict=True)),
            "description": SIMULATED_DESCRIPTION,  # no such key in the real files; a copy still says what it is
        }
        pickles.write_object(path, content)
