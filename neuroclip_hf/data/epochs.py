"""How epochs are cut: window, baseline, filter, rate, rejection; and which channels are kept."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import mne
import numpy as np

from neuroclip_hf.errors import InputError

MODALITIES = {"eeg": ("eeg", "eog", "ecg", "emg", "ecog", "seeg", "dbs"), "meg": ("mag", "grad", "ref_meg")}
"""Channel types that are measured in volts, and in tesla (gradiometers: tesla per metre)."""


@dataclass(frozen=True)
class EpochSettings:
    """How epochs are cut. Everything that the numbers in a store depend on is here, and is saved with a checkpoint.

    Args:
        window (`tuple[float, float]`): seconds around the onset that are kept, the end not included.
        baseline (`tuple[float, float]` or None): seconds whose mean is subtracted from each channel; may begin
            before the window. None subtracts nothing.
        sampling_rate (`float` or None): rate in Hz that epochs are resampled to; None keeps the recording's.
        band (`tuple[float | None, float | None]`): pass band in Hz of a zero-phase FIR filter applied to the
            continuous recording; None leaves that side open.
        reject (`float` or None): an epoch in which a channel's peak-to-peak exceeds this, in volts, is dropped; not
            for MEG.
        channels (`tuple[str, ...]`): names in the order they are kept; empty takes all EEG (or MEG) channels.
    """

    window: tuple[float, float] = (0.0, 1.0)
    baseline: tuple[float, float] | None = (-0.2, 0.0)
    sampling_rate: float | None = None
    band: tuple[float | None, float | None] = (None, None)
    reject: float | None = None
    channels: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.window[0] < self.window[1]:
            raise InputError(f"window {self.window} s is empty: its end must come after its start.")
        if not np.isfinite([*self.window, *(self.baseline or ())]).all():
            raise InputError(f"window {self.window} and baseline {self.baseline}: edges must be seconds.")
        if self.baseline is not None and not self.baseline[0] < self.baseline[1]:
            raise InputError(f"baseline {self.baseline} s is empty: its end must come after its start.")
        for name, value in (("sampling_rate", self.sampling_rate), ("reject", self.reject)):
            if value is not None and not 0 < value < np.inf:
                raise InputError(f"{name} is {value}: it must be a number above zero.")
        low, high = self.band
        if (low is not None and low <= 0) or (high is not None and high <= (low or 0)):
            raise InputError(f"band {self.band} Hz: both edges must be above zero and the second above the first.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "EpochSettings":
        """The inverse of [`to_dict`], also after a way through JSON, which has no tuples."""
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**plain)

    def num_timesteps(self, sampling_rate: float) -> int:
        """Samples an epoch keeps at `sampling_rate` (that of the recording) or at the rate asked for."""
        rate = self.sampling_rate or sampling_rate
        return round((self.window[1] - self.window[0]) * rate)


def choose_channels(raw: mne.io.BaseRaw, channels: Sequence[str], path: object) -> list[str]:
    """Names of the channels to keep, in order: those asked for, or all EEG channels (MEG where there is no EEG).

    Raises:
        InputError: for a name that the recording does not have, names of different kinds, or a recording without EEG
            and MEG.
    """
    if channels:
        modality_of(raw, named_channels(raw.ch_names, channels, path), path)
        return list(channels)
    for kinds in ({"eeg": True}, {"meg": True}):
        picks = mne.pick_types(raw.info, **kinds, exclude=())
        if picks.size:
            return [raw.ch_names[index] for index in picks]
    kinds_found = ", ".join(sorted(set(raw.get_channel_types()))) or "none"
    raise InputError(
        f"{path} has no EEG or MEG channel (types of its channels: {kinds_found}): set their types with MNE and save "
        "the file."
    )


def named_channels(known: Sequence[str], names: Sequence[str], path: object) -> list[str]:
    """The channels asked for, all that there are if none is named.

    Raises:
        InputError: for a name that is not there, or that comes twice.
    """
    missing = [name for name in names if name not in known]
    if missing:
        raise InputError(
            f"{path} has no channel {', '.join(missing)}; it has {_some(known)}. Correct --channels, or leave the "
            "file out."
        )
    if len(set(names)) != len(names):
        raise InputError(f"channels {', '.join(names)}: a name occurs twice, name it once.")
    return list(names or known)


def modality_of(raw: mne.io.BaseRaw, channels: Sequence[str], path: object) -> str:
    """Whether channels are in volts ("eeg") or in tesla ("meg").

    Raises:
        InputError: for channels that are neither, or of both kinds.
    """
    picks = [raw.ch_names.index(name) for name in channels]  # MNE takes a name like "stim" for a type
    kinds = dict(zip(channels, raw.get_channel_types(picks=picks), strict=True))
    found = {}
    for name, kind in kinds.items():
        modality = next((one for one, members in MODALITIES.items() if kind in members), None)
        if modality is None:
            raise InputError(
                f"{path}: channel {name} is of type {kind}, neither EEG nor MEG: leave it out of --channels, or set "
                "its type with MNE and save the file."
            )
        found[modality] = name
    if len(found) > 1:
        raise InputError(
            f"{path}: channels {' and '.join(found.values())} are EEG and MEG: name one kind in --channels."
        )
    return next(iter(found))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:40]) + (f" and {len(names) - 40} more" if len(names) > 40 else "")
