"""Epochs of all sessions merged, as the field's preprocessed containers hold them."""

import math
import tempfile
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import mne
import numpy as np
from numpy.typing import DTypeLike, NDArray

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data.cutting import cut_epochs
from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.repeats import REPEATS_PER_SESSION, choose_repeats
from neuroclip_hf.data.simulation.formats.base import Format, Simulation
from neuroclip_hf.data.simulation.settings import SimulationSettings
from neuroclip_hf.data.subject_names import subject_folder
from neuroclip_hf.data.things_eeg2 import FACTS, read_events
from neuroclip_hf.errors import InputError
from neuroclip_hf.logging import progress

_BLOCK = 256  # epochs whitened at once


@dataclass(frozen=True)
class MergedEpochs:
    """What a container holds of one subject and split.

    Args:
        subject (`int`): whose.
        split (`str`): "train" or "test".
        values (`numpy.ndarray`): (pictures, repeats, channels, samples), mapped from a file that is deleted later; in
            standard deviations. Pictures in the order of the metadata, repeats in that of the sessions and, within a
            session, of the shuffle that chose them.
        sessions (`numpy.ndarray`): (pictures, repeats), counted from 0.
    """

    subject: int
    split: str
    values: NDArray[np.floating]
    sessions: NDArray[np.int64]


class EpochedFormat(Format):
    """A format with the whitened epochs of each subject and split, all sessions together.

    The steps are those of `prepare things-eeg2`: baseline before the onset, at most 2 training and 20 test repeats of
    a picture a session, a whitening matrix for each session, fitted on its training epochs. Everything but one
    recording lies in temporary files under the output: a session's epochs, and those of a subject.
    """

    dtype: ClassVar[DTypeLike]
    rate: ClassVar[float] = FACTS.epoch_sampling_rate
    """Of the epochs, in Hz."""
    window: ClassVar[tuple[float, float]] = (0.0, 1.0)
    """What is kept, in seconds from the onset, the end not included."""
    trial_bytes: ClassVar[int] = 0
    """About how many bytes each trial takes beside its epoch."""
    whitening_splits: ClassVar[tuple[str, ...]] = (TRAIN,)
    """On whose epochs the whitening is fitted; of several the mean covariance is taken."""

    def channels(self, settings: SimulationSettings) -> tuple[str, ...]:
        """The channels that are kept, in the order of the file."""
        return settings.channels

    def check(self, settings: SimulationSettings) -> None:
        """Refuse recordings that are sampled less often than the epochs."""
        if settings.sampling_rate < self.rate:
            raise InputError(
                f"sampling_rate is {settings.sampling_rate}: the format {self.name} holds {self.rate:g} Hz, so it "
                "must be that or more."
            )

    def epoch_settings(self, settings: SimulationSettings) -> EpochSettings:
        """How epochs are cut."""
        return EpochSettings(
            window=self.window,
            baseline=(FACTS.epoch_start, 0.0),
            sampling_rate=self.rate,
            channels=self.channels(settings),
        )

    def times(self, settings: SimulationSettings) -> NDArray[np.float64]:
        """Times in seconds of the samples of the epoch that the field cuts, before samples are dropped from it.

        It begins 0.2 s before the onset and its end is included, so that there are 300 from a recording of 1000 Hz,
        301 from one of 250 Hz, and 250 in the data.
        """
        recorded = round((self.window[1] - FACTS.epoch_start) * settings.sampling_rate) + 1
        return FACTS.epoch_start + np.arange(round(recorded * self.rate / settings.sampling_rate)) / self.rate

    def size(self, settings: SimulationSettings) -> int:
        """Bytes of the files of all subjects, and of the temporary ones of one."""
        epoch = len(self.channels(settings)) * self.epoch_settings(settings).num_timesteps(settings.sampling_rate)
        item = np.dtype(self.dtype).itemsize
        trials = sum(math.prod(self._shape(settings, split)[:2]) for split in (TRAIN, TEST))
        temporary = trials * epoch * item + math.ceil(trials / settings.sessions) * epoch * 8
        return trials * (epoch * item + self.trial_bytes) * len(settings.subjects) + temporary

    def write(self, folder: Path, simulation: Simulation) -> None:
        """Write the containers of all subjects."""
        for subject in progress(simulation.settings.subjects, desc="subjects"):
            target = folder / subject_folder(subject)
            target.mkdir()
            with tempfile.TemporaryDirectory(prefix=".epochs-", dir=folder) as scratch:
                self._write_subject(target, simulation, subject, Path(scratch))

    @abstractmethod
    def write_epochs(self, folder: Path, simulation: Simulation, merged: MergedEpochs) -> None:
        """Write the epochs of one subject and split into the subject's `folder`."""

    def _shape(self, settings: SimulationSettings, split: str) -> tuple[int, int, int, int]:
        channels = len(self.channels(settings))
        samples = self.epoch_settings(settings).num_timesteps(settings.sampling_rate)
        if split == TEST:
            repeats = settings.sessions * min(settings.test_repeats // settings.sessions, REPEATS_PER_SESSION[TEST])
            return settings.test_concepts * FACTS.test_pictures, repeats, channels, samples
        shares = settings.sessions_of_training_picture
        repeats = shares * min(settings.train_repeats // shares, REPEATS_PER_SESSION[TRAIN])
        return settings.concepts * settings.images_per_concept, repeats, channels, samples

    def _write_subject(self, target: Path, simulation: Simulation, subject: int, scratch: Path) -> None:
        settings = simulation.settings
        shapes = {split: self._shape(settings, split) for split in (TRAIN, TEST)}
        sessions = {split: np.full(shape[:2], -1) for split, shape in shapes.items()}
        for session in progress(range(settings.sessions), desc="sessions"):
            cut = {split: self._cut(simulation, subject, session + 1, split, scratch) for split in shapes}
            matrix = self._whitening_matrix(cut)
            for split, (values, codes, places) in cut.items():
                # The first free place of each picture: it has as many repeats as were merged from earlier sessions.
                places = places + (sessions[split][codes - 1] >= 0).sum(axis=1)
                sessions[split][codes - 1, places] = session
                rows = (codes - 1) * shapes[split][1] + places
                self._merge(scratch / f"{split}.merged", values, rows, matrix)
            del cut, values  # an open map cannot be deleted everywhere
        for split, shape in shapes.items():
            # Mapped for writing, though nothing writes: an array that is read-only would be read-only for its readers.
            mapped = np.memmap(scratch / f"{split}.merged", self.dtype, "r+", shape=shape)
            # A view without the map's class, so that a pickle names NumPy's array.
            self.write_epochs(target, simulation, MergedEpochs(subject, split, np.asarray(mapped), sessions[split]))
            del mapped

    def _cut(
        self, simulation: Simulation, subject: int, session: int, split: str, scratch: Path
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
        """Epochs of a session, mapped from a file: values (n, channels, samples), codes (n,), repeat of each (n,)."""
        settings = simulation.settings
        types = ["eeg"] * len(settings.channels) + ["stim"]
        info = mne.create_info([*settings.channels, FACTS.stimulus_channel], settings.sampling_rate, types)
        raw = mne.io.RawArray(simulation.record(subject, session, split), info, verbose="ERROR")
        samples, codes = read_events(raw)
        chosen = choose_repeats(codes.tolist(), REPEATS_PER_SESSION[split])
        repeats = np.full(len(codes), -1)
        for rows in chosen:
            repeats[rows] = np.arange(len(rows))
        used = np.flatnonzero(repeats >= 0)
        path = scratch / f"{split}.session"
        count = 0
        with path.open("wb") as file:
            cut = cut_epochs(raw, samples[used], self.epoch_settings(settings), self.channels(settings))
            for kept, values in cut:
                file.write(np.ascontiguousarray(values, np.float64).tobytes())
                count += len(kept)
        if count != len(used):
            raise RuntimeError(f"{len(used) - count} of {len(used)} simulated epochs were left out")
        shape = (count, *self._shape(settings, split)[2:])
        return np.asarray(np.memmap(path, np.float64, "r", shape=shape)), codes[used], repeats[used]

    def _whitening_matrix(
        self, cut: dict[str, tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]]
    ) -> NDArray[np.float64]:
        # Not on loading: scikit-learn takes a second, and `neuroclip --help` lists the formats.
        from neuroclip_hf.data.whitening import noise_covariance, whitening_matrix

        covariances = [noise_covariance(cut[split][0], cut[split][1].tolist()) for split in self.whitening_splits]
        try:
            return whitening_matrix(np.mean(covariances, axis=0))
        except ValueError as error:
            raise InputError(f"The epochs cannot be whitened: {error}. Simulate more pictures or repeats.") from None

    def _merge(
        self, path: Path, values: NDArray[np.float64], rows: NDArray[np.int64], matrix: NDArray[np.float64]
    ) -> None:
        """Whiten epochs and write each at its row of the merged file; a map would hold the file in memory."""
        from neuroclip_hf.data.whitening import whiten

        row_bytes = int(np.prod(values.shape[1:])) * np.dtype(self.dtype).itemsize
        path.touch()
        with path.open("r+b") as file:
            for start in range(0, len(values), _BLOCK):
                whitened = whiten(values[start : start + _BLOCK], matrix).astype(self.dtype)
                for row, epoch in zip(rows[start : start + _BLOCK], whitened, strict=True):
                    file.seek(int(row) * row_bytes)
                    file.write(epoch.tobytes())
