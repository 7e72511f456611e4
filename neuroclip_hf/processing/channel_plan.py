"""Which channels of a recording are read for a checkpoint's, and which of those are interpolated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.data.channel_names import match_channels, plain_name
from neuroclip_hf.data.interpolation import electrodes_known, interpolation_matrix
from neuroclip_hf.errors import InputError

MOST_INTERPOLATED = 0.5
"""Share of a checkpoint's electrodes that may be interpolated (ours): beyond it there is more guess than recording."""
HOW_TO_INTERPOLATE = "interpolate=True, --interpolate"
"""What a refusal of missing electrodes tells programs and the command line to pass."""
_MOST_NAMED = 400  # more channels than any cap or helmet has


@dataclass(frozen=True)
class ChannelPlan:
    """How a checkpoint's channels come from those that there are.

    Args:
        sources (`tuple[str, ...]`): names of the channels to read, in order.
        weights (`numpy.ndarray` of shape `(channels, sources)`, *optional*): what each source gives to each of the
            checkpoint's channels; `None` where the sources are these, in their order.
        notes (`tuple[str, ...]`): what was done beyond picking channels by their names, in words.
    """

    sources: tuple[str, ...]
    weights: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()

    def apply(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Sources `(..., sources, samples)` to the checkpoint's channels `(..., channels, samples)`."""
        return values if self.weights is None else self.weights @ values


def plan_channels(
    wanted: Sequence[str],
    found: Sequence[str],
    *,
    whose: str,
    electrodes: bool = True,
    unusable: Mapping[str, str] = MappingProxyType({}),
    interpolate: bool = False,
) -> ChannelPlan:
    """Find a checkpoint's channels, and say how those are made that are not there.

    Args:
        wanted (sequence of `str`): the checkpoint's channels, or voxels.
        found (sequence of `str`): those that there are.
        whose (`str`): what has them, for messages: "The trials".
        electrodes (`bool`): whether other spellings of a name are understood, see [`plain_name`]; voxels have none.
        unusable (`Mapping`): channels whose signal cannot be used -> what is wrong with it.
        interpolate (`bool`): make missing and unusable electrodes from all others, as MNE does.

    Raises:
        InputError: for channels that are missing or cannot be used, and are not, or cannot be, interpolated.
    """
    matched = match_channels(wanted, found, whose) if electrodes else _exactly(wanted, found)
    lacking = [name for name in wanted if name not in matched or matched[name] in unusable]
    notes = _spellings(matched)
    if not lacking:
        return ChannelPlan(tuple(matched[name] for name in wanted), notes=notes)
    if not interpolate:
        raise _refusal(lacking, matched, found, whose, electrodes, unusable)
    if not electrodes:
        raise InputError(f"{whose}: interpolate is for electrodes, and the checkpoint reads voxels: leave it out.")
    if len(lacking) > MOST_INTERPOLATED * len(wanted):
        raise InputError(
            f"{whose}: {len(lacking)} of the checkpoint's {len(wanted)} channels are missing or cannot be used "
            f"({_some(lacking)}): too many to interpolate; train on shared channels."
        )
    kept = {name: matched[name] for name in wanted if name not in lacking}
    others = [name for name in found if name not in unusable and name not in kept.values()]
    pool = list({plain_name(name): name for name in electrodes_known([*others, *kept.values()])}.values())
    sources = tuple(dict.fromkeys([*kept.values(), *pool]))
    weights = np.zeros((len(wanted), len(sources)))
    for row, name in enumerate(wanted):
        if name in kept:
            weights[row, sources.index(kept[name])] = 1.0
    rows = [list(wanted).index(name) for name in lacking]
    weights[np.ix_(rows, [sources.index(name) for name in pool])] = interpolation_matrix(pool, lacking)
    said = f"interpolated from {len(pool)} electrodes: {', '.join(lacking)}"
    return ChannelPlan(sources, weights, (*notes, said))


def _exactly(wanted: Sequence[str], found: Sequence[str]) -> dict[str, str]:
    there = set(found)
    return {name: name for name in wanted if name in there}


def _spellings(matched: Mapping[str, str]) -> tuple[str, ...]:
    other = [f"{name} ({theirs})" for name, theirs in matched.items() if name != theirs]
    return (f"channels found under other names: {', '.join(other)}",) if other else ()


def _refusal(
    lacking: Sequence[str],
    matched: Mapping[str, str],
    found: Sequence[str],
    whose: str,
    electrodes: bool,
    unusable: Mapping[str, str],
) -> InputError:
    remedy = f"interpolate them ({HOW_TO_INTERPOLATE}), or train" if electrodes else "train"
    missing = [name for name in lacking if name not in matched]
    if missing:
        return InputError(
            f"{whose}: the checkpoint's channels {_some(missing)} are missing; there are {_some(found)}: rename them, "
            f"{remedy} on shared channels."
        )
    problem = unusable[matched[lacking[0]]]
    alike = [matched[name] for name in lacking if unusable[matched[name]] == problem]
    return InputError(f"{whose}: channels {_some(alike)} {problem}: mend them, {remedy} without them.")


def _some(names: Sequence[str]) -> str:
    """All of them, or of a brain's voxels the first few."""
    return ", ".join(names) if len(names) <= _MOST_NAMED else f"{', '.join(names[:3])}, ... ({len(names)} in all)"
