"""A trial store read otherwise than it lies on the disk: the same tables and pictures, other numbers."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neuroclip_hf import columns
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_channels import SubjectChannels, refuse_unlike
from neuroclip_hf.data.store_info import StoreInfo
from neuroclip_hf.errors import InputError


class StoreView(TrialStore):
    """What another store holds, changed as it is read.

    Args:
        whole (`TrialStore`): read from the disk.
        info (`StoreInfo`): of what is read here.
    """

    def __init__(self, whole: TrialStore, info: StoreInfo) -> None:  # no folder is opened
        self.whole, self.info = whole, info
        self.path, self.trials, self.pictures = whole.path, whole.trials, whole.pictures

    @abstractmethod
    def change(self, values: NDArray[np.float32], trials: NDArray[np.int64]) -> NDArray[np.float32]:
        """Trials as `whole` reads them -> as they are read here; `values` may be changed in place."""

    def read(self, trials: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """See [`TrialStore`]."""
        return self.change(self.whole.read(trials), np.asarray(trials, dtype=np.int64))

    def read_stored(self, trials: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float16]:
        """Refused: what is stored is not what is read here."""
        raise InputError(f"{self.path} stores its trials otherwise: use read, which gives them in their unit.")

    @property
    def readable_subjects(self) -> list[str]:
        """See [`TrialStore`]."""
        return self.whole.readable_subjects

    def open_picture(self, image_id: str) -> Image.Image:
        """See [`TrialStore`]."""
        return self.whole.open_picture(image_id)

    def covariances(self, subjects: Sequence[str] | None = None) -> NDArray[np.float64] | None:
        """Those of `whole`."""
        return self.whole.covariances(subjects)

    def subject_channels(self, subject: str) -> SubjectChannels:
        """See [`TrialStore`]."""
        return self.whole.subject_channels(subject)


class SubjectsView(StoreView):
    """See [`TrialStore.of_subjects`].

    Where subjects have the same channels in other scales, `info` has the mean scale and offset.

    Args:
        whole (`TrialStore`): with a channel table.
        subjects (list of `str`): with the same channels.
    """

    def __init__(self, whole: TrialStore, subjects: list[str]) -> None:
        found = [whole.subject_channels(name) for name in subjects]
        scale, offset = (np.mean([getattr(one, name) for one in found], axis=0) for name in ("scale", "offset"))
        info = replace(whole.info, channels=found[0].names, scale=scale.tolist(), offset=offset.tolist())
        super().__init__(whole, info)
        self._alike = [name for name in whole.subjects if found[0].alike(whole.subject_channels(name))]
        self._readable = self.trials[columns.SUBJECT].isin(self._alike).to_numpy()

    @property
    def readable_subjects(self) -> list[str]:
        """See [`TrialStore`]."""
        return self._alike

    def change(self, values: NDArray[np.float32], trials: NDArray[np.int64]) -> NDArray[np.float32]:
        """See [`StoreView`]; trials of a subject with other channels are refused."""
        unreadable = trials[~self._readable[trials]]
        if len(unreadable):
            self.subject_channels(self.trials[columns.SUBJECT].iloc[unreadable[0]])
        return values

    def subject_channels(self, subject: str) -> SubjectChannels:
        """See [`TrialStore`]; a subject with other channels than those of the view is refused."""
        found = self.whole.subject_channels(subject)
        refuse_unlike(
            self.path, {self._alike[0]: self.whole.subject_channels(self._alike[0]), self.subject(subject): found}
        )
        return found
