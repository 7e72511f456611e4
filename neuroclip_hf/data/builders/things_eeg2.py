"""THINGS-EEG2 (Gifford et al., NeuroImage 2022) as a `datasets` builder, from its own files or from a trial store."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuroclip_hf.data.builders.trial_store import TrialStoreBuilder, TrialStoreConfig, content_key
from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.parquet import layout
from neuroclip_hf.data.sources.layouts import recognise
from neuroclip_hf.data.sources.things_eeg2 import prepare_things_eeg2
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_layout import STORE_FILE
from neuroclip_hf.data.things_eeg2 import FACTS, subject_number
from neuroclip_hf.errors import InputError


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

    def settings(self) -> tuple[Any, ...]:
        """What besides the folder decides about the result."""
        return (*super().settings(), *self.preparation().values())

    def refuse_preparation(self) -> None:
        """Raise [`InputError`] for a setting that only files of the dataset could follow."""
        defaults = type(self)().preparation()
        for name, value in self.preparation().items():
            if value != defaults[name]:
                raise InputError(
                    f"{name} is {value!r}, and {self.data_dir} is a trial store, whose trials are made already: leave "
                    f"{name} out, or name the dataset's own folder as data_dir."
                )

    def preparation(self) -> dict[str, Any]:
        """What `prepare_things_eeg2` is told."""
        return {"channels": tuple(self.channels), "epochs": self.epochs, "whitening": self.whitening}


class ThingsEEG2(TrialStoreBuilder):
    """Builds one subject of THINGS-EEG2, or its pictures.

    From the dataset's own files a trial store of the subject is prepared first, below `trial_stores` of the cache; one
    that is there already is taken. It holds the pictures too, so that several subjects take less room from one store
    that `neuroclip prepare things-eeg2` made, which also has more choices. The pictures' config has those of the first
    subject that the folder holds, which are everybody's.

    Raises:
        InputError: as `prepare_things_eeg2`, for other configs, and for settings of the preparation where `data_dir`
            is a store.
    """

    BUILDER_CONFIG_CLASS = ThingsEEG2Config

    def open_store(self) -> TrialStore:
        """The store that is built from, made where it is not there yet."""
        source = Path(self.config.data_dir)
        if (source / STORE_FILE).is_file():
            self.config.refuse_preparation()
            return super().open_store()
        subject = self._subject(source)
        settings = self.config.preparation()
        key = hashlib.sha256(repr((content_key(source), settings)).encode()).hexdigest()[:16]
        out = Path(self._cache_dir_root) / "trial_stores" / f"things_eeg2-sub-{subject:02d}-{key}"
        if not (out / STORE_FILE).is_file():
            prepare_things_eeg2(source, out, subjects=(subject,), **settings)
        return TrialStore(out)

    def _subject(self, source: Path) -> int:
        if self.config.name == layout.PICTURES_CONFIG:
            return min(recognise(source).files(source))
        found = subject_number(self.config.name)
        if found is None:
            raise InputError(
                f"config_name is {self.config.name!r}: name a subject (sub-01 to sub-{FACTS.subjects:02d}) or "
                f"{layout.PICTURES_CONFIG}."
            )
        return found
