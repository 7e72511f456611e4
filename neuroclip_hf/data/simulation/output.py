"""The folder of a simulation: whole or not at all, and it says what it is."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neuroclip_hf.data.simulated import CAPTIONS_FILE, SIMULATION_FILE
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import is_disk_full, new_folder, write_json


@contextmanager
def new_simulation(out: str | Path, overwrite: bool, needed: int) -> Iterator[Path]:
    """Yield a folder that takes the name `out` when the block ends without an error.

    Args:
        out (`str` or `Path`): the output; an earlier simulation there is replaced only with `overwrite`.
        overwrite (`bool`): replace it.
        needed (`int`): bytes that will be written.

    Raises:
        InputError: for an existing folder, a disk without that much room, or a write that fails within the block.
    """
    with new_folder(out, overwrite, SIMULATION_FILE) as folder:
        _check_disk(Path(out), folder, needed)
        try:
            yield folder
        except OSError as error:
            # Libraries wrap the system's word in an account of their own.
            reason = os.strerror(error.errno) if error.errno else str(error)
            remedy = "Name a folder on a disk with room" if is_disk_full(error) else "Name another folder"
            raise InputError(f"{out} cannot be written: {reason}. {remedy}.") from None


def write_facts(
    folder: Path, layout: str, settings: Mapping[str, Any], captions: Mapping[str, str], **more: Any
) -> None:
    """Write `captions.json`, and `simulation.json`, which says that this is simulated, in what layout and how."""
    write_json(folder / CAPTIONS_FILE, dict(captions))
    write_json(folder / SIMULATION_FILE, {"simulated": True, "layout": layout, **more, "settings": dict(settings)})


def _check_disk(out: Path, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{out} would take {needed / 1e6:,.0f} MB and its disk has {free / 1e6:,.0f} MB free: simulate less, or "
            "name a folder on another disk."
        )
