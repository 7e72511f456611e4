"""Missing electrodes from their neighbours, as MNE interpolates them."""

from collections.abc import Sequence
from functools import lru_cache

import mne
import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.data.channel_names import plain_name
from neuroclip_hf.errors import InputError

TEMPLATE = "colin27_1005"
"""MNE's template of electrode positions (ours): where a missing electrode would have been is known from it alone."""
FEWEST_SOURCES = 4
"""Electrodes that others can be interpolated from (ours): through fewer no sphere goes."""


def electrodes_known(names: Sequence[str]) -> list[str]:
    """Those of the names that [`TEMPLATE`] has a position for, in order."""
    positions = _positions()
    return [name for name in names if plain_name(name) in positions]


def interpolation_matrix(sources: Sequence[str], missing: Sequence[str]) -> NDArray[np.float64]:
    """The weights that give missing electrodes from others, `(missing, sources)`.

    They are those of `mne.Epochs.interpolate_bads` (spherical splines, Perrin et al., Electroencephalography and
    Clinical Neurophysiology 1989) at the positions of [`TEMPLATE`]: MNE is given unit impulses, since interpolating is
    linear in the values.

    Args:
        sources (sequence of `str`): electrodes that were recorded, known to the template.
        missing (sequence of `str`): electrodes that were not.

    Raises:
        InputError: for a missing electrode that the template does not know, or too few sources.
    """
    unknown = [name for name in missing if plain_name(name) not in _positions()]
    if unknown:
        raise InputError(
            f"{', '.join(unknown)} cannot be interpolated: MNE's template of the 10-05 system has no such electrode; "
            "record it, or train without it."
        )
    if len(sources) < FEWEST_SOURCES:
        raise InputError(
            f"{', '.join(missing)} cannot be interpolated from {len(sources)} electrodes that the 10-05 "
            f"system knows ({', '.join(sources) or 'none'}): at least {FEWEST_SOURCES} are needed."
        )
    return _matrix(tuple(map(plain_name, sources)), tuple(map(plain_name, missing)))


@lru_cache(maxsize=1)
def _template() -> mne.channels.DigMontage:
    return mne.channels.make_standard_montage(TEMPLATE)


@lru_cache(maxsize=1)
def _positions() -> dict[str, NDArray[np.float64]]:
    """Of every electrode of the template by its plain name, in metres."""
    return {plain_name(name): place for name, place in _template().get_positions()["ch_pos"].items()}


@lru_cache(maxsize=8)  # the files of one cap lack the same electrodes
def _matrix(sources: tuple[str, ...], missing: tuple[str, ...]) -> NDArray[np.float64]:
    names = [*sources, *missing]
    facts = _template().get_positions()
    marks = {name: facts[name] for name in ("nasion", "lpa", "rpa")}
    montage = mne.channels.make_dig_montage({name: _positions()[name] for name in names}, **marks)
    impulses = np.eye(len(names), len(sources)).T[..., None]
    epochs = mne.EpochsArray(impulses, mne.create_info(names, 1000.0, "eeg", verbose="ERROR"), verbose="ERROR")
    epochs.set_montage(montage, verbose="ERROR")
    epochs.info["bads"] = list(missing)
    epochs.interpolate_bads(verbose="ERROR")
    return np.ascontiguousarray(epochs.get_data(copy=True)[:, len(sources) :, 0].T)
