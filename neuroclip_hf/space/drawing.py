"""Figures of one recording: butterfly and scalps of its mean, and what an answer lived from."""

import threading
from collections.abc import Sequence

import mne
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.signal import find_peaks

from neuroclip_hf.data.things_eeg2 import FACTS
from neuroclip_hf.figures.inspection.one_query import QueryImportance
from neuroclip_hf.figures.scalp import head_sphere, placed_channels, scalp_map, why_no_map
from neuroclip_hf.figures.style import DIVERGING, FAINT_INK, OTHER, grid, new_figure, styled

SCALPS = 3
"""Moments whose scalps are drawn (ours): as many as a telephone shows."""
_SHOWN_IN = {"V": (1e6, "µV"), "T": (1e15, "fT"), "sd": (1.0, "sd of the noise"), "au": (1.0, "arbitrary units")}
_LEGEND = 0.4
"""Room above the lines, in parts of their height, for the head by which MNE says which colour is where."""
_PYPLOT = threading.Lock()  # MNE draws through pyplot, whose figures belong to the whole process


@styled
def epochs_figure(
    mean: NDArray[np.floating], channels: Sequence[str], sampling_rate: float, window_start: float, unit: str
) -> Figure:
    """The mean of trials: every channel over time, and above it the scalp at the strongest moments, by MNE.

    Args:
        mean (`numpy.ndarray`): (channels, samples), in `unit`.
        channels (sequence of `str`): their names; those without a place in the montage are left out of the scalps.
        sampling_rate (`float`): Hz.
        window_start (`float`): seconds from the onset to the first sample.
        unit (`str`): "V", "T", "sd" or "au".
    """
    factor, label = _SHOWN_IN[unit]
    evoked = _evoked(mean * factor, channels, sampling_rate, window_start)
    with_scalps = why_no_map(channels) is None
    moments = strongest_moments(evoked.data) if with_scalps else []
    figure = new_figure(4.4 if with_scalps else 2.9)
    placed = list(placed_channels(channels)) if with_scalps else []
    if with_scalps:  # MNE knows figures, and no subfigures
        grid_of = figure.add_gridspec(2, len(moments), height_ratios=(1, 1.9))
        axes = figure.add_subplot(grid_of[1, :])
        scalps = [figure.add_subplot(grid_of[0, column]) for column in range(len(moments))]
    else:
        axes, scalps = figure.subplots(), []
    with _PYPLOT:
        if with_scalps:
            _scalps(scalps, evoked, placed, moments)
        _butterfly(axes, evoked, placed, label)
    for moment in moments:
        axes.axvline(evoked.times[moment], color=FAINT_INK, linewidth=0.8, linestyle=":")
    return figure


def strongest_moments(values: NDArray[np.floating]) -> list[int]:
    """Samples at which the global field power, the standard deviation over channels, peaks highest, in time order."""
    power = values.std(axis=0)
    apart = max(1, len(power) // 12)
    peaks, _ = find_peaks(power, distance=apart)
    if not len(peaks):
        peaks = np.array([power.argmax()])
    return sorted(int(peak) for peak in peaks[np.argsort(-power[peaks], kind="stable")][:SCALPS])


def importance_scalp(found: QueryImportance) -> Figure | None:
    """A scalp with the fall of the right score without each channel; None for channels without a place on it."""
    if why_no_map(found.channels) is not None:
        return None
    with _PYPLOT:
        return scalp_map(found.channels, list(found.by_channel), "fall of the score without it")


@styled
def importance_times(found: QueryImportance) -> Figure:
    """Bars with the fall of the right score without each moment."""
    figure = new_figure(2.6)
    axes = figure.subplots()
    widths = np.diff(found.edges)
    axes.bar(found.edges[:-1], found.by_moment, widths * 0.9, align="edge", color=OTHER)
    axes.axhline(0, color=FAINT_INK, linewidth=0.8)
    axes.set(xlabel="time after the onset (s)", ylabel="fall of the score", xlim=(found.edges[0], found.edges[-1]))
    grid(axes)
    return figure


def _evoked(
    values: NDArray[np.floating], channels: Sequence[str], sampling_rate: float, window_start: float
) -> mne.EvokedArray:
    """All channels as electrodes, with the names of the montage, so that numbers in any unit are drawn alike."""
    known = placed_channels(channels)
    names = [known.get(name, name) for name in channels]
    info = mne.create_info(names, sampling_rate, "eeg", verbose="error")
    info.set_montage(FACTS.montage, on_missing="ignore", verbose="error")
    return mne.EvokedArray(values, info, tmin=window_start, verbose="error")


def _butterfly(axes: Axes, evoked: mne.EvokedArray, placed: Sequence[str], label: str) -> None:
    evoked.plot(
        axes=axes,
        show=False,
        spatial_colors=len(placed) == len(evoked.ch_names),
        scalings={"eeg": 1.0},
        units={"eeg": label},
        titles={"eeg": ""},
        time_unit="s",
        selectable=False,
        verbose="error",
    )
    for text in list(axes.texts):  # MNE's count of channels and averages stands on the lines
        text.remove()
    axes.set(xlabel="time after the onset (s)", ylabel=label, title="")
    low, high = axes.get_ylim()
    if placed:
        axes.set_ylim(low, high + _LEGEND * (high - low))


def _scalps(axes: Sequence[Axes], evoked: mne.EvokedArray, placed: Sequence[str], moments: Sequence[int]) -> None:
    known = set(placed_channels(placed).values())
    shown = evoked.copy().pick([name for name in evoked.ch_names if name in known])
    limit = float(np.abs(shown.data[:, moments]).max()) or 1.0
    for one, moment in zip(axes, moments, strict=True):
        mne.viz.plot_topomap(
            shown.data[:, moment],
            shown.info,
            axes=one,
            show=False,
            extrapolate="local",
            sphere=head_sphere(),
            vlim=(-limit, limit),
            cmap=DIVERGING,
            contours=0,
        )
        one.set_title(f"{evoked.times[moment]:.2f} s", loc="center", fontsize=9.5, fontweight="normal")
