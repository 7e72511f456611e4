"""A trial store read otherwise than it lies on the disk: the same tables and pictures, other numbers."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neuroclip_hf.data.store import TrialStore
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

    def open_picture(self, image_id: str) -> Image.Image:
        """See [`TrialStore`]."""
        return self.whole.open_picture(image_id)

    def covariances(self, subjects: Sequence[str] | None = None) -> NDArray[np.float64] | None:
        """Those of `whole`."""
        return self.whole.covariances(subjects)
