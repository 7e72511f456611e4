"""Some channels and a shorter window of a trial store, read as if it had been prepared so."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_channels import SubjectChannels
from neuroclip_hf.data.store_info import StoreInfo
from neuroclip_hf.data.store_view import StoreView
from neuroclip_hf.data.things_eeg2 import FACTS
from neuroclip_hf.errors import InputError

OCCIPITAL = "occipital"
"""Stands for the 17 occipito-parietal channels that work on THINGS-EEG2 uses within a subject."""
_MOST_LISTED = 400  # more channels than any cap or helmet has
_TOLERANCE = 1e-3  # of a sample, by which a time may miss one


def part_of_store(
    store: TrialStore,
    channels: Sequence[str] | None = None,
    window: Sequence[float] | None = None,
    *,
    rois: Sequence[str] | None = None,
    subjects: Sequence[str] | None = None,
) -> TrialStore:
    """A store of which only some channels and samples are read; tables and pictures are the same.

    Args:
        store (`TrialStore`): the whole.
        channels (sequence of `str`, *optional*): names, in this order, or "occipital"; all by default. Channels are
            picked after whitening, as the field does.
        window (two `float`, *optional*): seconds from the onset, the end not included; all samples by default.
        rois (sequence of `str`, *optional*): regions of interest, whose channels are read, those in several once, in
            the store's order; in place of `channels`.
        subjects (sequence of `str`, *optional*): whose trials will be read, where channels are listed subject by
            subject, see [`TrialStore.of_subjects`]; all by default.

    Raises:
        InputError: for a channel, a region or a time that the store does not hold, and for subjects whose channels
            differ.
    """
    store = store.of_subjects(subjects)
    if rois is not None:
        if channels is not None:
            raise InputError(f"rois is {list(rois)} and channels {list(channels)}: give one of the two.")
        example = store.readable_subjects[0]
        channels = store.subject_channels(example).union(rois, f"{store.path}, {example},")
    info = store.info
    names = list(info.channels) if channels is None else _names(store, channels)
    samples = slice(0, info.num_timesteps) if window is None else _samples(store, window)
    if names == info.channels and samples == slice(0, info.num_timesteps):
        return store
    return _StorePart(store, names, samples)


class _StorePart(StoreView):
    """See [`part_of_store`]."""

    def __init__(self, whole: TrialStore, names: list[str], samples: slice) -> None:
        self._picks = np.array(_places(whole.info, names))
        super().__init__(whole, _part_info(whole.info, names, samples))
        self._samples = samples

    def change(self, values: NDArray[np.float32], trials: NDArray[np.int64]) -> NDArray[np.float32]:
        if self.info.channels != self.whole.info.channels:
            values = values[:, self._picks]
        return np.ascontiguousarray(values[..., self._samples] if values.ndim > 2 else values)

    def subject_channels(self, subject: str) -> SubjectChannels:
        """See [`TrialStore`]."""
        return super().subject_channels(subject).pick(self._picks)

    def covariances(self, subjects: Sequence[str] | None = None) -> NDArray[np.float64] | None:
        """None where channels were picked: nothing was whitened by the covariance of these alone."""
        return super().covariances(subjects) if self.info.channels == self.whole.info.channels else None


def _part_info(info: StoreInfo, names: list[str], samples: slice) -> StoreInfo:
    picks = _places(info, names)
    start = info.window_start
    if info.sampling_rate is not None:
        start = round(start + samples.start / info.sampling_rate, 9)
    return replace(
        info,
        channels=names,
        scale=[info.scale[pick] for pick in picks],
        offset=[info.offset[pick] for pick in picks],
        window_start=start,
        num_timesteps=None if info.num_timesteps is None else samples.stop - samples.start,
        epochs=None,  # another recording cannot be cut and whitened so: channels are picked afterwards
    )


def _places(info: StoreInfo, names: Sequence[str]) -> list[int]:
    place_of = {name: place for place, name in enumerate(info.channels)}
    return [place_of[name] for name in names]


def _names(store: TrialStore, channels: Sequence[str]) -> list[str]:
    names = list(FACTS.occipital_channels) if list(channels) == [OCCIPITAL] else list(channels)
    held = set(store.info.channels)
    missing = [name for name in names if name not in held]
    if missing or not names or len(set(names)) < len(names):
        what = f"lacks {listed(missing)}" if missing else "is asked for none, or for one of them twice"
        raise InputError(
            f"channels is {_short(channels)}, and {store.path} {what}; it has {listed(store.info.channels)}."
        )
    return names


def listed(names: Sequence[str]) -> str:
    """Names for a message: all of a cap's channels, of a brain's voxels the first few and how many there are."""
    if len(names) <= _MOST_LISTED:
        return ", ".join(names)
    return f"{', '.join(names[:3])}, ... ({len(names)} in all)"


def _short(names: Sequence[str]) -> list[str] | str:
    return list(names) if len(names) <= _MOST_LISTED else f"[{listed(names)}]"


def _samples(store: TrialStore, window: Sequence[float]) -> slice:
    info, held = store.info, store.info.window
    if held is None or info.sampling_rate is None or info.num_timesteps is None:
        raise InputError(f"window is {list(window)}, but {store.path} holds {info.modality} without samples in time.")
    edges = [(edge - info.window_start) * info.sampling_rate for edge in window]
    places = [round(edge) for edge in edges]
    if len(places) != 2 or not 0 <= places[0] < places[1] <= info.num_timesteps:
        raise InputError(
            f"window is {list(window)}: give a start and an end in seconds within {held[0]:g} to {held[1]:g}, which "
            f"{store.path} holds."
        )
    if max(abs(edge - place) for edge, place in zip(edges, places, strict=True)) > _TOLERANCE:
        near = [round(info.window_start + place / info.sampling_rate, 6) for place in places]
        raise InputError(f"window is {list(window)}, which lies between samples: {near} is the nearest that does not.")
    return slice(*places)
