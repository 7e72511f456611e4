"""Epochs of a session on the disk between the fit of its whitening and the whitening itself."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf import columns
from neuroclip_hf.data.store_writer import BLOCK
from neuroclip_hf.data.whitening import NoiseCovariance

Block = tuple[list[dict[str, Any]], NDArray[np.float64]]
"""Rows of the trial table, and their epochs (trials, channels, samples)."""


class SpilledEpochs:
    """Blocks of epochs on the disk in float64, so that they can be gone through twice in bounded memory.

    Args:
        path (`Path`): the file to write.
        blocks (iterable): rows of the trial table with their epochs (trials, channels, samples); their noise
            covariance is `covariance` afterwards, None where there was no block.
    """

    def __init__(self, path: Path, blocks: Iterable[Block]) -> None:
        self._path, self._rows = path, list[dict[str, Any]]()
        self._shape: tuple[int, ...] = ()
        covariance = NoiseCovariance()
        with path.open("wb") as file:
            for rows, values in blocks:
                # `tofile` does not say why it could not write.
                file.write(np.ascontiguousarray(values, dtype=np.float64).data)
                covariance.add(values, pictures_of(rows))
                self._rows += rows
                self._shape = values.shape[1:]
        self.covariance = covariance.result() if self._rows else None

    def __iter__(self) -> Iterator[Block]:
        with self._path.open("rb") as file:  # a map would count as memory
            for start in range(0, len(self._rows), BLOCK):
                rows = self._rows[start : start + BLOCK]
                values = np.fromfile(file, dtype=np.float64, count=len(rows) * math.prod(self._shape))
                yield rows, values.reshape(len(rows), *self._shape)


def pictures_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The picture of every row."""
    return [row[columns.IMAGE_ID] for row in rows]
