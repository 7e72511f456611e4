"""What every format of a simulated THINGS-EEG2 has."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from neuroclip_hf.data.simulation.eeg import count_samples, list_recordings, simulate_session
from neuroclip_hf.data.simulation.settings import SimulationSettings
from neuroclip_hf.data.things_eeg2 import ImageMetadata, raw_path
from neuroclip_hf.logging import progress


@dataclass(frozen=True)
class Simulation:
    """What a format writes.

    Args:
        settings (`SimulationSettings`): all settings.
        metadata (`ImageMetadata`): the table of pictures.
        codes (mapping): of "train" and "test", the planted codes (pictures, code size) in the order of the table.
    """

    settings: SimulationSettings
    metadata: ImageMetadata
    codes: Mapping[str, np.ndarray]

    def record(self, subject: int, session: int, split: str) -> np.ndarray:
        """One recording (channels + 1, samples), see [`simulate_session`]; it is made anew each time."""
        return simulate_session(self.settings, subject, session, split, self.codes[split])


class Format(ABC):
    """How the recordings of a simulation lie on the disk; pictures and metadata lie beside them in every format.

    A new format is a subclass with a `name`, and a line in `formats/__init__.py`.
    """

    name: ClassVar[str]
    """What `--format` calls it."""

    def check(self, settings: SimulationSettings) -> None:
        """Refuse settings that the format cannot hold, with `InputError`; most hold all."""
        return

    @abstractmethod
    def size(self, settings: SimulationSettings) -> int:
        """Bytes that are on the disk at once when most are, pictures not counted."""

    @abstractmethod
    def write(self, folder: Path, simulation: Simulation) -> None:
        """Write all recordings under `folder`, bounded in memory by one recording."""


class RecordingFormat(Format):
    """A format with one recording for each subject, session and split."""

    sample_bytes: ClassVar[int]
    """Of one number on the disk."""
    stores_codes: ClassVar[bool] = False
    """Whether the stimulus codes are a channel too."""

    def size(self, settings: SimulationSettings) -> int:
        """Bytes of the recordings."""
        rows = len(settings.channels) + self.stores_codes
        return count_samples(settings) * rows * self.sample_bytes

    def write(self, folder: Path, simulation: Simulation) -> None:
        """Write the recordings one after the other."""
        settings = simulation.settings
        for subject, session, split in progress(list_recordings(settings), desc="recordings"):
            path = raw_path(folder, subject, session, split)
            path.parent.mkdir(parents=True, exist_ok=True)
            self.write_recording(path, settings, simulation.record(subject, session, split))

    @abstractmethod
    def write_recording(self, path: Path, settings: SimulationSettings, data: np.ndarray) -> None:
        """Write a recording.

        Args:
            path (`Path`): where the raw format has it; other formats change the suffix.
            settings (`SimulationSettings`): all settings.
            data (`numpy.ndarray`): (channels + 1, samples), EEG in volts and the stimulus channel.
        """
