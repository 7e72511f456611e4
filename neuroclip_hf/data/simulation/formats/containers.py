"""The four preprocessed containers of THINGS-EEG2 that are found in the wild."""

from pathlib import Path
from typing import Any

import numpy as np

from neuroclip_hf.columns import TEST, TRAIN
from neuroclip_hf.data._torch_container import save_torch
from neuroclip_hf.data.containers import (
    NEUROBRIDGE_FILES,
    NEUROBRIDGE_INFO,
    NEUROBRIDGE_KEYS,
    NEUROBRIDGE_WHITENED,
    PICKLED_FILES,
    PICKLED_KEYS,
    UBP_FILES,
    UBP_FURTHER_KEYS,
    UBP_KEYS,
)
from neuroclip_hf.data.simulation.formats import pickles
from neuroclip_hf.data.simulation.formats.base import Simulation
from neuroclip_hf.data.simulation.formats.epoched import EpochedFormat, MergedEpochs
from neuroclip_hf.data.simulation.settings import SimulationSettings
from neuroclip_hf.data.things_eeg2 import FACTS
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import write_json


class Release(EpochedFormat):
    """The dataset's own release: `sub-XX/preprocessed_eeg_{training,test}.npy`, a pickled dictionary in an array.

    Occipital channels, 100 Hz, -0.2 to 0.8 s, float64. As in the dataset's code, the whitening of a session is fitted
    on the mean of the covariances of its training *and test* epochs: the test epochs leak into the training epochs.
    That is a known fault of the release, kept here because readers must cope with such files.
    """

    name = "release"
    dtype = np.float64
    rate = 100.0
    window = (-0.2, 0.8)
    whitening_splits = (TRAIN, TEST)

    def channels(self, settings: SimulationSettings) -> tuple[str, ...]:
        """The occipital ones."""
        return tuple(name for name in settings.channels if name in FACTS.occipital_channels)

    def check(self, settings: SimulationSettings) -> None:
        """Refuse simulations without an occipital channel too."""
        super().check(settings)
        if not self.channels(settings):
            raise InputError(
                f"channels are {', '.join(settings.channels)}: the format {self.name} keeps the occipital ones, so "
                f"name some of {', '.join(FACTS.occipital_channels)}."
            )

    def times(self, settings: SimulationSettings) -> np.ndarray:
        """Times in seconds of the samples that are kept; this container drops none."""
        return super().times(settings)[: self.epoch_settings(settings).num_timesteps(settings.sampling_rate)]

    def write_epochs(self, folder: Path, simulation: Simulation, merged: MergedEpochs) -> None:
        """Write the dictionary of one split."""
        content = _pickled_content(self, simulation.settings, merged)
        pickles.write_object(folder / PICKLED_FILES[merged.split], content)


class Nice(EpochedFormat):
    """NICE and ATM: the release's file names and keys, but a plain pickle of the dictionary.

    All channels, 250 Hz, 0 to 1 s, float64, in standard deviations. `times` belongs to the epoch before its first 50
    samples were dropped, and is longer than the data.
    """

    name = "nice"
    dtype = np.float64

    def write_epochs(self, folder: Path, simulation: Simulation, merged: MergedEpochs) -> None:
        """Write the dictionary of one split."""
        content = _pickled_content(self, simulation.settings, merged)
        pickles.write_plain(folder / PICKLED_FILES[merged.split], content)


class Ubp(EpochedFormat):
    """UBP: `sub-XX/{train,test}.pt`, a dictionary of arrays by `torch.save`.

    `eeg` is float16 (pictures, repeats, channels, samples). For each picture and repeat: `label`, the place of its
    concept's folder; `img`, its path below the picture folders' parent; `text`, its concept in the file's words;
    `session`, counted from 0. `times` is longer than the data, as NICE's.
    """

    name = "ubp"
    dtype = np.float16
    trial_bytes = 640

    def write_epochs(self, folder: Path, simulation: Simulation, merged: MergedEpochs) -> None:
        """Write the dictionary of one split."""
        split, metadata = merged.split, simulation.metadata
        codes = range(1, metadata.size(split) + 1)
        folders = [metadata.concept(split, code) for code in codes]
        labels = {name: place for place, name in enumerate(sorted(set(folders)))}
        images = [metadata.image_id(split, code) for code in codes]
        eeg, image, session, channels, times = UBP_KEYS
        label, text = UBP_FURTHER_KEYS
        columns = {
            label: np.array([labels[name] for name in folders]),
            image: np.array(images),
            text: np.array([Path(name).name.rpartition("_")[0] for name in images]),
        }
        content: dict[str, Any] = {eeg: merged.values}
        content |= {name: np.tile(values[:, None], merged.sessions.shape[1]) for name, values in columns.items()}
        content[session] = merged.sessions.astype(np.float64)
        content[channels] = list(self.channels(simulation.settings))
        content[times] = self.times(simulation.settings)
        save_torch(folder / UBP_FILES[split], content)


class NeuroBridge(EpochedFormat):
    """NeuroBridge and SAMGA: `info.json`, and `sub-XX/{train,test}.npy` as plain float32 arrays.

    (concepts, pictures, repeats, channels, samples); the index [c, i] is the i-th sorted file of the c-th sorted
    folder. `info.json` has the keys of NeuroBridge but for the shapes of one session; its `times` is longer than the
    data, as NICE's.
    """

    name = "neurobridge"
    dtype = np.float32

    def write(self, folder: Path, simulation: Simulation) -> None:
        """Write the arrays and what they share."""
        super().write(folder, simulation)
        channels, times, normalization = NEUROBRIDGE_KEYS
        content = {
            channels: list(self.channels(simulation.settings)),
            times: self.times(simulation.settings).tolist(),
            "baseline_duration": -FACTS.epoch_start,
            "after_duration": self.window[1],
            normalization: NEUROBRIDGE_WHITENED,
            "sfreq": self.rate,
            "precision": "fp32",
            "seed": FACTS.repeat_seed,
        }
        write_json(folder / NEUROBRIDGE_INFO, content)

    def write_epochs(self, folder: Path, simulation: Simulation, merged: MergedEpochs) -> None:
        """Write the array of one split."""
        settings = simulation.settings
        concepts = settings.concepts if merged.split == TRAIN else settings.test_concepts
        np.save(
            folder / NEUROBRIDGE_FILES[merged.split], merged.values.reshape(concepts, -1, *merged.values.shape[1:])
        )


def _pickled_content(form: EpochedFormat, settings: SimulationSettings, merged: MergedEpochs) -> dict[str, Any]:
    return dict(zip(PICKLED_KEYS, (merged.values, list(form.channels(settings)), form.times(settings)), strict=True))
