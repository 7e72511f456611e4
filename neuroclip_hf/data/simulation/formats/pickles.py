"""Pickled containers as the field writes them, in protocol 5: the older ones copy every array first."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np


def write_object(path: Path, content: dict[str, Any]) -> None:
    """Write what `np.save` writes for a dictionary: a 0-d object array, whose `.item()` is the dictionary."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump(np.array(content, dtype=object), file, protocol=5)


def write_plain(path: Path, content: dict[str, Any]) -> None:
    """Write a dictionary with `pickle.dump`, whatever the file is called."""
    with path.open("wb") as file:
        pickle.dump(content, file, protocol=5)
