"""Whether a preparation can go on from what an earlier one left."""

import hashlib
import json
from pathlib import Path
from typing import Any

from neuroclip_hf.data.leftovers import PARTS
from neuroclip_hf.data.sources.parts import JOB, STORE, empty, read_part_table, read_records
from neuroclip_hf.data.store_info import StoreInfo
from neuroclip_hf.data.store_writer import StoreWriter, library_versions
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json, write_json
from neuroclip_hf.logging import get_logger


def job_of(info: StoreInfo, depends_on: Any) -> str:
    """A digest of everything that the store's bytes depend on, but for its sources."""
    content = [info.to_dict(), library_versions(), depends_on]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def begin(folder: Path, job: str) -> None:
    """Keep in a folder what the same job left; what another one left is removed."""
    known = read_json(folder / JOB) if (folder / JOB).is_file() else None
    if known != {"job": job} or not (folder / STORE).is_dir():
        if known is not None:
            get_logger().warning(
                "%s was left by a preparation with other settings, or by other versions of the libraries: it is "
                "removed, and everything done anew.",
                folder,
            )
        empty(folder)
        write_json(folder / JOB, {"job": job})
    for name in (PARTS, STORE):
        (folder / name).mkdir(exist_ok=True)


def check_left(folder: Path, info: StoreInfo, overwrite: bool) -> None:
    """Whether one can go on from what was left; what is damaged goes where the store may be overwritten."""
    records = list(read_records(folder))
    if not records:
        return
    get_logger().info("%s keeps %d finished parts; going on after them.", folder, len(records))
    writer = StoreWriter(folder / STORE, info)
    try:
        writer.restore(records[-1].rows, [read_part_table(folder, place) for place in range(len(records))])
    except (OSError, ValueError) as error:
        if not overwrite:
            raise InputError(
                f"{folder} is damaged ({error}): remove it, or pass --overwrite, and start again."
            ) from None
        get_logger().warning("%s is damaged (%s): it is removed, and everything done anew.", folder, error)
        for name in (PARTS, STORE):
            empty(folder / name)
    finally:
        writer.close()
