"""Pickled containers of epochs: the dataset's own release, and the files of NICE and ATM."""

from dataclasses import replace
from pathlib import Path

from neuroclip_hf.data import safe_load
from neuroclip_hf.data.containers import PICKLED_FILES, PICKLED_KEYS
from neuroclip_hf.data.sources.layouts.base import UNKNOWN_FIT, EpochedFile, EpochedLayout, make_epoched
from neuroclip_hf.data.things_eeg2 import ImageMetadata
from neuroclip_hf.errors import InputError

_ARRAY = b"\x93NUMPY"
_RELEASE_RATE = 100.0
_RELEASE_FIT = "release: whitened over training and test epochs by its makers (a known leak)"


class _PickledLayout(EpochedLayout):
    """`sub-XX/preprocessed_eeg_{training,test}.npy`, a dictionary; a file is read into memory whole, one at a time."""

    file_names = PICKLED_FILES

    def open(self, path: Path, split: str, metadata: ImageMetadata) -> EpochedFile:
        """Read a dictionary through `safe_load`."""
        content = safe_load.load(path)
        if not isinstance(content, dict) or any(key not in content for key in PICKLED_KEYS):
            found = list(content) if isinstance(content, dict) else type(content).__name__
            raise InputError(f"{path} holds {found} instead of {', '.join(PICKLED_KEYS)}: get the file again.")
        values, channels, times = (content[key] for key in PICKLED_KEYS)
        opened = make_epoched(path, values, channels, times, split, metadata, UNKNOWN_FIT)
        return self.described(opened)

    def described(self, opened: EpochedFile) -> EpochedFile:
        """The file with what is known of how it was made."""
        return opened


class ReleaseLayout(_PickledLayout):
    """The dataset's own release: the dictionary inside an array (`np.save`).

    Its makers fitted the whitening on training and test epochs. Files that others saved the same way are told by
    their rate, which is not the release's 100 Hz; of those nothing is known.
    """

    name = "release"
    description = "epochs of the dataset's own release (or others saved like it)"

    def name_of(self, opened: EpochedFile) -> str:
        """The release at its rate; at another one, epochs of NICE and ATM that were saved anew look the same."""
        return self.name if opened.sampling_rate == _RELEASE_RATE else f"{self.name} or {NiceLayout.name}"

    def is_mine(self, path: Path) -> bool:
        """Whether it begins as an array does."""
        return _starts(path) == _ARRAY

    def described(self, opened: EpochedFile) -> EpochedFile:
        """Say the leak where it is the release."""
        if opened.sampling_rate != _RELEASE_RATE:
            return opened
        return replace(opened, whitening_fit=_RELEASE_FIT)


class NiceLayout(_PickledLayout):
    """NICE and ATM: the same names and keys, but a plain pickle of the dictionary."""

    name = "nice"
    description = "epochs of NICE or ATM"

    def is_mine(self, path: Path) -> bool:
        """Whether it begins as a pickle does, or at least not as an array."""
        return _starts(path) != _ARRAY


def _starts(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(len(_ARRAY))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check its rights.") from None
