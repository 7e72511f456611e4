"""The dataset's continuous recordings: pickled raw files, and the BrainVision originals."""

from pathlib import Path

import mne
import numpy as np

from neuroclip_hf.data import things_eeg2
from neuroclip_hf.data.readers import named_pictures, read_with_mne
from neuroclip_hf.data.recordings import Recording, RecordingFile
from neuroclip_hf.data.sources.layouts.base import RecordedLayout
from neuroclip_hf.data.things_eeg2 import FACTS, RAW_FILES, ImageMetadata


class RawLayout(RecordedLayout):
    """`sub-XX/ses-0Y/raw_eeg_{training,test}.npy`: a pickled dictionary, codes in a stimulus channel."""

    name = "raw"
    description = "raw files"
    file_names = RAW_FILES

    def open(self, file: RecordingFile, split: str, metadata: ImageMetadata) -> Recording:
        """Read a recording into memory, once."""
        raw = things_eeg2.read_raw(file.path)
        return Recording(file, raw, named_pictures(*things_eeg2.read_events(raw), file.path, split, metadata))


class BrainVisionLayout(RecordedLayout):
    """`sub-XX/ses-0Y/raw_eeg_{training,test}.vhdr` with .eeg and .vmrk: codes as markers; the samples stay on disk."""

    name = "brainvision"
    description = "BrainVision recordings"
    file_names = {split: str(Path(name).with_suffix(".vhdr")) for split, name in RAW_FILES.items()}

    def sources(self, path: Path) -> list[Path]:
        """The header, and the markers and samples beside it."""
        return [path, *(one for suffix in (".vmrk", ".eeg") if (one := path.with_suffix(suffix)).is_file())]

    def open(self, file: RecordingFile, split: str, metadata: ImageMetadata) -> Recording:
        """Open a recording and read its markers."""
        raw = read_with_mne(file.path)
        described = [text for text in set(raw.annotations.description) if things_eeg2.marker_code(text) is not None]
        if described:
            events, _ = mne.events_from_annotations(raw, event_id=things_eeg2.marker_code, verbose="ERROR")
            events = events[events[:, 2] != FACTS.catch_code]
            samples, codes = events[:, 0] - raw.first_samp, events[:, 2]
        else:
            samples, codes = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        return Recording(file, raw, named_pictures(samples, codes, file.path, split, metadata))
