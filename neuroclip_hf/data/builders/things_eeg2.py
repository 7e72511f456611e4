"""THINGS-EEG2 (Gifford et al., NeuroImage 2022) as a `datasets` builder, from its own files or from a trial store."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuroclip_hf.data.builders.subject import SubjectBuilder
from neuroclip_hf.data.builders.trial_store import TrialStoreConfig
from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.sources.layouts import recognise
from neuroclip_hf.data.sources.things_eeg2 import prepare_things_eeg2
from neuroclip_hf.data.things_eeg2 import FACTS


@dataclass
class ThingsEEG2Config(TrialStoreConfig):
    """One subject of THINGS-EEG2, or its pictures.

    Args:
        name (`str`): "sub-01" to "sub-10", or "pictures".
        data_dir (`str`): folder of the dataset (anything that `neuroclip prepare things-eeg2` takes), or a store.
        images (`bool`): whether the pictures' config holds the files.
        channels, epochs, whitening: as `prepare_things_eeg2` has them; refused where `data_dir` is a store, whose
            trials are cut and whitened already.
    """

    channels: Sequence[str] = ("occipital",)
    epochs: EpochSettings | None = None
    whitening: str | None = None

    def preparation(self) -> dict[str, Any]:
        """What `prepare_things_eeg2` is told."""
        return {"channels": tuple(self.channels), "epochs": self.epochs, "whitening": self.whitening}


class ThingsEEG2(SubjectBuilder):
    """Builds one subject of THINGS-EEG2, or its pictures.

    From the dataset's own files a trial store of the subject is prepared first (see [`TrialStoreBuilder`]). It holds
    the pictures too, so that several subjects take less room from one store that `neuroclip prepare things-eeg2` made,
    which also has more choices. The pictures' config has those of the first subject that the folder holds, which are
    everybody's.

    Raises:
        InputError: as `prepare_things_eeg2`, for other configs, and for settings of the preparation where `data_dir`
            is a store.
    """

    BUILDER_CONFIG_CLASS = ThingsEEG2Config
    DATASET, SUBJECTS = "things_eeg2", FACTS.subjects

    def first_subject(self, source: Path) -> int:
        """See [`SubjectBuilder`]."""
        return min(recognise(source).files(source))

    def prepare_store(self, source: Path, out: Path, settings: dict[str, Any]) -> None:
        """See [`TrialStoreBuilder`]."""
        prepare_things_eeg2(source, out, subjects=(self.subject(source),), **settings)
