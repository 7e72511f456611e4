"""How simulated recordings say that they are, wherever they are read."""

from pathlib import Path

SIMULATION_FILE = "simulation.json"
"""A file of this name in a folder says that all recordings below it are simulated, and with what settings."""

SIMULATED_DESCRIPTION = "simulated by neuroclip_hf"
"""Description in the headers of simulated recordings, and of every recording that was read from such a folder."""

CAPTIONS_FILE = "captions.json"
"""Captions of the pictures by image id; real datasets have no such file."""

_DEPTH = 4  # folders between a recording and its dataset, at most


def is_simulated(path: str | Path) -> bool:
    """Whether a recording lies in a folder that a simulation made."""
    return any((folder / SIMULATION_FILE).is_file() for folder in list(Path(path).absolute().parents)[:_DEPTH])
