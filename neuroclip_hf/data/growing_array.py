"""An array file that is written row by row, so that it never needs to fit into memory."""

import math
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray


class GrowingArray:
    """A .npy file that is appended to; NumPy leaves room in its header for the number of rows to grow.

    Args:
        path (`Path`): the file; its folder is made.
        row_shape (`tuple` of `int`): of one row.
        rows (`int`): how many of an existing file stay; what is beyond is cut off.

    Raises:
        ValueError: if an existing file holds fewer.
    """

    def __init__(self, path: Path, row_shape: tuple[int, ...], rows: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = path.open("r+b" if rows else "wb")
        self._row_shape = row_shape
        self.rows = rows
        self._write_header()
        self._data_start = self._file.tell()
        end = self._data_start + rows * 2 * math.prod(row_shape)
        if path.stat().st_size < end and rows:
            self._file.close()
            raise ValueError(f"{path} holds fewer than {rows} rows")
        self._file.truncate(end)
        self._file.seek(end)

    def append(self, values: NDArray[np.float16]) -> int:
        """Append rows and return the number of the first."""
        first = self.rows
        self._file.write(np.ascontiguousarray(values).tobytes())
        self.rows += len(values)
        return first

    def sync(self) -> None:
        """Put all rows on the disk, whatever becomes of the process or the machine."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write the header and close the file; safe to call twice."""
        if self._file.closed:
            return
        self._file.seek(0)
        self._write_header()
        assert self._file.tell() == self._data_start
        self._file.close()

    def _write_header(self) -> None:
        header = {"descr": "<f2", "fortran_order": False, "shape": (self.rows, *self._row_shape)}
        np.lib.format.write_array_header_1_0(self._file, header)
