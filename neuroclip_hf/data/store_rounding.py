"""Values -> the float16 numbers of a store, refused where float16 would lose what was measured."""

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.data.store_channels import SubjectChannels
from neuroclip_hf.errors import InputError

MAX_ROUNDING = 0.02
"""Largest rounding error of float16, relative to a channel's standard deviation, that a store accepts (ours)."""

FLAT = 1e-3
"""A channel whose standard deviation is below this part of the largest has no signal to lose (ours)."""


def to_float16(values: NDArray[np.floating], channels: SubjectChannels, unit: str, origin: str) -> NDArray[np.float16]:
    """Trials as a store keeps them: value = number x scale + offset of its channel.

    Args:
        values (`numpy.ndarray` of shape `(trials, channels, samples)` or `(trials, voxels)`): in `unit`.
        channels ([`SubjectChannels`]): whose scale and offset are taken.
        unit (`str`): of the values, for error messages.
        origin (`str`): the file they come from, likewise.

    Raises:
        InputError: for values that float16 cannot hold, or rounds away.
    """
    shape = (-1,) + (1,) * (values.ndim - 2)
    scale = channels.scale.reshape(shape)
    exact = (values - channels.offset.reshape(shape)) / scale
    with np.errstate(over="ignore"):
        stored = exact.astype(np.float16)
    if not np.isfinite(stored).all():
        channel = channels.names[int(np.argwhere(~np.isfinite(stored))[0][1])]
        raise InputError(
            f"{origin}: channel {channel} holds NaN or {np.nanmax(np.abs(exact)):.3g} times what a store counts "
            f"in ({scale.flat[0]:g} {unit}), beyond what it can hold: check the unit, filter or reject."
        )
    if len(values) > 1 or values.ndim == 3:
        _check_rounding(exact, stored, channels, unit, origin)
    return stored


def _check_rounding(
    exact: NDArray[np.float64], stored: NDArray[np.float16], channels: SubjectChannels, unit: str, origin: str
) -> None:
    samples = (0, 2) if exact.ndim == 3 else 0
    # Few patterns may be alike by chance; what a pattern is stored in has a standard deviation of about one.
    spread = exact.std(axis=-1).mean(axis=0) if exact.ndim == 3 else np.maximum(exact.std(axis=0), 1.0)
    rounding = np.abs(stored.astype(np.float64) - exact).mean(axis=samples)
    lost = (rounding > MAX_ROUNDING * spread) & (spread > FLAT * spread.max())
    if exact.ndim == 2:
        lost |= rounding > MAX_ROUNDING * np.abs(exact).mean(axis=0)  # below what float16 counts in
    if not lost.any():
        return
    worst = int(np.flatnonzero(lost)[0])
    name, level = channels.names[worst], np.abs(exact.mean(axis=samples)[worst])
    if level < spread[worst]:
        size = f"{exact.std(axis=samples)[worst] * channels.scale[worst]:.3g} {unit}"
        raise InputError(
            f"{origin}: the values of channel {name} (standard deviation {size}) are so small that float16 would "
            "round them away: check the unit."
        )
    raise InputError(
        f"{origin}: channel {name} sits so far from zero that float16 would round its signal away: subtract a "
        "baseline or filter the drift out."
    )
