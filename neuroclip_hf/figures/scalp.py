"""Where on the scalp a value is high: MNE's topographies."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from neuroclip_hf.errors import InputError
from neuroclip_hf.figures.style import DIVERGING, new_figure, styled

FEWEST = 8
"""Channels for a map (ours): between fewer, most of the scalp would be guessed."""
METHODS = ("occlusion", "gradient")
"""How it can be asked which channels a model listens to."""
_WITH_NAMES = 32
_OUTLINE = ("Fpz", "Oz", "T7", "T8")


def placed_channels(channels: Sequence[str]) -> dict[str, str]:
    """Channels that have a place in MNE's 10-05 montage -> their names there, which may differ in capitals."""
    import mne  # takes a while, and few figures need it

    from neuroclip_hf.data.things_eeg2 import FACTS

    known = {name.lower(): name for name in mne.channels.make_standard_montage(FACTS.montage).ch_names}
    return {name: known[name.lower()] for name in channels if name.lower() in known}


def why_no_map(channels: Sequence[str]) -> str | None:
    """Why there is no scalp map of these channels, in words; None where there is one."""
    placed = placed_channels(channels)
    if len(placed) >= FEWEST:
        return None
    if not placed:
        return f"none of the {len(channels)} channels has a place on the scalp in MNE's 10-05 montage"
    return f"{len(placed)} of the {len(channels)} channels have a place on the scalp; a map needs {FEWEST}"


@cache
def head_sphere() -> tuple[float, float, float, float]:
    """Centre and radius in metres of a sphere on whose equator Fpz, Oz, T7 and T8 lie, or above it (ours).

    MNE's own sphere lies well behind and below this montage: electrodes of the forehead would be outside the outline,
    and occipital ones in the middle of the head.
    """
    import mne

    from neuroclip_hf.data.things_eeg2 import FACTS

    info = mne.create_info(list(_OUTLINE), 1.0, "eeg", verbose="error")
    info.set_montage(FACTS.montage, verbose="error")
    front, back, left, right = (channel["loc"][:3] for channel in info["chs"])
    lowest = min(place[2] for place in (front, back, left, right))
    radius = max(right[0] - left[0], front[1] - back[1]) / 2
    return float(left[0] + right[0]) / 2, float(front[1] + back[1]) / 2, float(lowest), float(radius)


@styled
def scalp_map(channels: Sequence[str], values: Sequence[float], label: str) -> Figure:
    """A scalp with one value a channel, and nothing painted far from any electrode.

    MNE imports `pyplot` for it; no window is opened.

    Args:
        channels (sequence of `str`): names; those without a place in the montage are left out.
        values (sequence of `float`): one a channel.
        label (`str`): what the values are, with their unit.

    Raises:
        InputError: if too few channels have a place, see [`why_no_map`].
    """
    reason = why_no_map(channels)
    if reason is not None:
        raise InputError(f"No scalp map: {reason}.")
    import mne

    from neuroclip_hf.data.things_eeg2 import FACTS

    placed = placed_channels(channels)
    info = mne.create_info(list(placed.values()), 1.0, "eeg", verbose="error")
    info.set_montage(FACTS.montage, verbose="error")
    shown = np.array([value for name, value in zip(channels, values, strict=True) if name in placed], dtype=float)
    limit = float(np.abs(shown).max()) or 1.0
    named = len(placed) <= _WITH_NAMES
    figure = new_figure(4.6)
    axes = figure.subplots()
    image, _ = mne.viz.plot_topomap(
        shown,
        info,
        axes=axes,
        show=False,
        extrapolate="local",
        names=list(placed) if named else None,
        sphere=head_sphere(),
        sensors="," if named else True,  # a dot would stand on each name; without any there are no names
        vlim=(-limit, limit),
        cmap=DIVERGING,
        contours=0,
    )
    for text in axes.texts:
        text.set(fontsize=7.5, color="black", path_effects=[withStroke(linewidth=2, foreground="white")])
    bar = figure.colorbar(image, ax=axes, location="bottom", shrink=0.8, aspect=30, label=label)
    bar.set_ticks([-limit, 0, limit], labels=[f"{value:.2g}" for value in (-limit, 0, limit)])
    return figure
