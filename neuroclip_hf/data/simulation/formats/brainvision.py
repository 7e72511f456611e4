"""The recordings as BrainVision files, as the amplifier wrote the dataset's originals."""

import re
from pathlib import Path

import numpy as np

from neuroclip_hf.data.simulation.formats.base import RecordingFormat
from neuroclip_hf.data.simulation.settings import SimulationSettings
from neuroclip_hf.data.things_eeg2 import FACTS

_STEP = 0.05  # microvolts; that of the simulated recorder, so that what fits is exact
_LARGEST = np.iinfo(np.int16).max
_BLOCK = 1 << 16


class BrainVision(RecordingFormat):
    """`sub-XX/ses-0Y/raw_eeg_{training,test}.{vhdr,vmrk,eeg}`: 16 bit, microvolts, codes as stimulus markers.

    A marker holds the code that the raw file has in its stimulus channel at that sample, catch trials included, as
    "S  1" to "S99999"; there is no stimulus channel. MNE by itself reads three digits as a code and numbers all other
    markers as it likes, so use [`things_eeg2.marker_code`].

    One step of a channel is 0.05 microvolts, so that the values are those of the raw format, or the smallest multiple
    of it with which the channel fits into 16 bits (beyond 1.6 millivolts, which only bad channels reach): its values
    are then rounded to that.
    """

    name = "brainvision"
    sample_bytes = 2

    def write_recording(self, path: Path, settings: SimulationSettings, data: np.ndarray) -> None:
        """Write the three files of one recording."""
        eeg, codes = data[:-1], data[-1]
        highest = np.maximum(eeg.max(axis=1), -eeg.min(axis=1)) * 1e6
        resolution = _STEP * np.maximum(1, np.ceil(np.rint(highest / _STEP) / _LARGEST))
        _write_header_and_markers(path, settings, codes, resolution)
        # pybv would hold two more copies of the recording, and cut values off instead of rounding them.
        with path.with_suffix(".eeg").open("wb") as file:
            for start in range(0, eeg.shape[1], _BLOCK):
                steps = np.rint(eeg[:, start : start + _BLOCK] * 1e6 / resolution[:, None])
                file.write(steps.T.astype("<i2").tobytes())


def _write_header_and_markers(
    path: Path, settings: SimulationSettings, codes: np.ndarray, resolution: np.ndarray
) -> None:
    from pybv import write_brainvision

    onsets = np.flatnonzero(codes)
    events = np.stack([onsets, codes[onsets].astype(np.int64)], axis=1)
    fixed = {
        "sfreq": settings.sampling_rate,
        "fname_base": path.stem,
        "folder_out": path.parent,
        "overwrite": True,
        "unit": "µV",
        "fmt": "binary_int16",
    }
    # The markers need the recording's length and the header its channels; a call with both would need its samples.
    write_brainvision(data=np.zeros((1, len(codes))), ch_names=[settings.channels[0]], events=events, **fixed)
    markers = path.with_suffix(".vmrk").read_text(encoding="utf-8")
    empty = np.zeros((len(settings.channels), 1))
    write_brainvision(
        data=empty, ch_names=list(settings.channels), ref_ch_names=FACTS.reference, resolution=resolution, **fixed
    )
    # pybv pads all codes to the longest of the file; three places are what recorders write and readers expect.
    markers = re.sub(r"(?<==Stimulus,S) *(\d+)", lambda code: f"{code.group(1):>3}", markers)
    path.with_suffix(".vmrk").write_text(markers, encoding="utf-8", newline="\n")
