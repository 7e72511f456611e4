"""channels.parquet: the channels of every subject of a store, where they differ or regions of interest are known.

Voxels belong to one brain: their number, scale and regions change with the subject, so store.json cannot list them
once for all. A store that has this table lists no channels in store.json.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.store_info import StoreInfo
from neuroclip_hf.data.store_layout import CHANNELS_FILE
from neuroclip_hf.errors import InputError

_NEEDED = (columns.SUBJECT, columns.PLACE, columns.NAME, columns.SCALE, columns.OFFSET)


@dataclass(frozen=True)
class SubjectChannels:
    """The channels, or voxels, of one subject, in the order of its arrays.

    Args:
        names (`list[str]`): no two alike. A name says that it is the same channel in every subject that has it, so
            voxels that are no place of a common space carry their subject's name ("sub-01_voxel_0000").
        scale, offset (`numpy.ndarray`): (channels,) floats: value = stored number x scale + offset.
        rois (`dict`): region of interest -> (channels,) bools; regions may overlap.
        coordinates (`numpy.ndarray`, *optional*): (channels, 3), millimetres.
    """

    names: list[str]
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    rois: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    coordinates: NDArray[np.float64] | None = None

    def check(self) -> None:
        """Look whether all parts fit.

        Raises:
            InputError: for sizes that do not fit, a name that comes twice, a scale or offset that is no number, or a
                region without a channel.
        """
        count = len(self.names)
        places = np.zeros((count, 3)) if self.coordinates is None else self.coordinates
        sizes = {
            "scale": (np.shape(self.scale), (count,)),
            "offset": (np.shape(self.offset), (count,)),
            "coordinates": (np.shape(places), (count, 3)),
            **{f"ROI {name}": (np.shape(mask), (count,)) for name, mask in self.rois.items()},
        }
        for name, (found, wanted) in sizes.items():
            if found != wanted:
                raise InputError(f"{name} has shape {found}: {count} channels need {wanted}.")
        twice = [name for name, times in Counter(self.names).items() if times > 1]
        if twice or not count:
            raise InputError(f"channel {twice[0]!r} comes twice: name each once." if twice else "there is no channel.")
        if not (np.isfinite(self.scale).all() and np.isfinite(self.offset).all() and (np.array(self.scale) > 0).all()):
            raise InputError("scale and offset of channels must be finite numbers, and scale above zero.")
        empty = [name for name, mask in self.rois.items() if not np.any(mask)]
        if empty:
            raise InputError(f"ROI {empty[0]} has no channel: leave it out.")

    def alike(self, other: "SubjectChannels") -> bool:
        """Whether trials of both can be read together: the same names, places and regions; scales may differ."""
        if self is other:
            return True
        mine, theirs = self.coordinates, other.coordinates
        same_places = (mine is None) == (theirs is None) and (
            mine is None or theirs is None or np.array_equal(mine, theirs, equal_nan=True)
        )
        return (
            same_places
            and self.names == other.names
            and self.rois.keys() == other.rois.keys()
            and all(np.array_equal(mask, other.rois[name]) for name, mask in self.rois.items())
        )

    def pick(self, places: NDArray[Any]) -> "SubjectChannels":
        """Some of the channels.

        Args:
            places (`numpy.ndarray`): their numbers, in the new order, or (channels,) bools. A region of which none is
                left is left out.
        """
        numbers = np.flatnonzero(places) if places.dtype == bool else places
        rois = {name: mask[numbers] for name, mask in self.rois.items()}
        return SubjectChannels(
            [self.names[number] for number in numbers],
            self.scale[numbers],
            self.offset[numbers],
            {name: mask for name, mask in rois.items() if mask.any()},
            None if self.coordinates is None else self.coordinates[numbers],
        )

    def union(self, rois: Sequence[str], where: str) -> list[str]:
        """Names of the channels that lie in any of some regions, in the order of the arrays.

        Args:
            rois (sequence of `str`): names of regions.
            where (`str`): whose channels these are, for the message.

        Raises:
            InputError: for a region that the subject does not have, naming those it has.
        """
        unknown = [name for name in rois if name not in self.rois]
        if unknown or not rois:
            known = f"it knows {', '.join(self.rois)}" if self.rois else "it knows no regions of interest"
            what = f"{where} has no ROI {unknown[0]}" if unknown else "none is named"
            raise InputError(f"rois is {list(rois)}, and {what}: {known}.")
        inside = np.any([self.rois[name] for name in rois], axis=0)
        return [name for name, chosen in zip(self.names, inside, strict=True) if chosen]


def channels_of_info(info: StoreInfo) -> SubjectChannels:
    """The channels of every subject of a store that lists them in store.json."""
    return SubjectChannels(info.channels, np.array(info.scale, dtype=float), np.array(info.offset, dtype=float))


def channel_table(channels: Mapping[str, SubjectChannels]) -> pd.DataFrame:
    """The table of channels.parquet: subjects one after the other; a subject without a region is nowhere in it."""
    rois = list(dict.fromkeys(name for mine in channels.values() for name in mine.rois))
    located = any(mine.coordinates is not None for mine in channels.values())
    parts = []
    for subject, mine in channels.items():
        count = len(mine.names)
        part: dict[str, Any] = {
            columns.SUBJECT: [subject] * count,
            columns.PLACE: np.arange(count),
            columns.NAME: mine.names,
            columns.SCALE: np.asarray(mine.scale, dtype=np.float64),
            columns.OFFSET: np.asarray(mine.offset, dtype=np.float64),
        }
        if located:
            known = np.full((count, 3), np.nan) if mine.coordinates is None else mine.coordinates
            part |= {name: np.asarray(known[:, axis], float) for axis, name in enumerate(columns.COORDINATES)}
        nowhere = np.zeros(count, dtype=bool)
        part |= {f"{columns.ROI}{name}": np.asarray(mine.rois.get(name, nowhere), dtype=bool) for name in rois}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def read_channels(folder: Path, subjects: Iterable[str]) -> dict[str, SubjectChannels]:
    """Subject -> channels, as the channels.parquet of a store has them.

    Args:
        folder (`Path`): the store.
        subjects (iterable of `str`): those with trials.

    Raises:
        InputError: if the table is missing or damaged, or lacks a subject.
    """
    path = folder / CHANNELS_FILE
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): make the store again.") from None
    missing = [name for name in _NEEDED if name not in table.columns]
    if missing:
        raise InputError(f"{path} lacks the columns {', '.join(missing)}: make the store again.")
    of_subject = {str(name): part for name, part in table.groupby(columns.SUBJECT, sort=False)}
    found = {}
    for subject in subjects:
        if subject not in of_subject:
            raise InputError(f"{path} lacks the channels of {subject}: make the store again.")
        try:
            found[subject] = _of_table(of_subject[subject])
        except (InputError, TypeError, ValueError) as error:
            raise InputError(f"{path} has wrong channels of {subject} ({error}): make the store again.") from None
    return found


def _of_table(table: pd.DataFrame) -> SubjectChannels:
    table = table.sort_values(columns.PLACE, kind="stable")
    if not np.array_equal(table[columns.PLACE].to_numpy(), np.arange(len(table))):
        raise InputError("places are not counted from 0 without a gap")
    masks = {
        name.removeprefix(columns.ROI): table[name].to_numpy(dtype=bool)
        for name in table.columns
        if name.startswith(columns.ROI)
    }
    known = None
    if all(name in table.columns for name in columns.COORDINATES):
        known = table[list(columns.COORDINATES)].to_numpy(dtype=np.float64)
    made = SubjectChannels(
        [str(name) for name in table[columns.NAME]],
        table[columns.SCALE].to_numpy(dtype=np.float64),
        table[columns.OFFSET].to_numpy(dtype=np.float64),
        {name: mask for name, mask in masks.items() if mask.any()},
        None if known is None or np.isnan(known).all() else known,
    )
    made.check()
    return made


def refuse_unlike(where: Path, channels: Mapping[str, SubjectChannels]) -> None:
    """Refuse subjects whose trials cannot be read together.

    Args:
        where (`Path`): their store.
        channels (mapping): subject -> its channels.

    Raises:
        InputError: naming two of them whose channels differ, and what to do.
    """
    first, *others = channels or [""]
    for other in others:
        mine, theirs = channels[first], channels[other]
        if not mine.alike(theirs):
            one, two = len(mine.names), len(theirs.names)
            counts = f"{one} and {two}" if one != two else f"{one} each, in other places or under other names"
            raise InputError(
                f"{where}: the channels of {first} and {other} differ ({counts}), so their trials cannot be read "
                f"together: take one subject at a time, as in split={columns.INTRA_SUBJECT} subjects={other}."
            )
