"""How fast a trial store is exported and imported: one JSON line, in MB of float16 values a second.

    python benchmarks/export_import.py [--megabytes 1000] [--folder DIR]

The store is one subject of (63, 250) trials with a picture a hundred trials. What is written is waited for until it is
on the disk. `disk_write` and `disk_read` are a plain copy of the store's array, in the same folder and as long,
measured before and after: exporting and importing can be no faster than the slower of the two. `target_mb_per_s` is
100, or the slower mean of the two if that is less, and a ratio is what was reached of it. `peak_mb` is the largest
resident memory of the process, of which `libraries_mb` were there before the export began. On a machine that others
use, the figures by second of the processor say what the clock cannot.
"""

import argparse
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _stores import CHANNELS, SAMPLES, make_store
from printing import describe_cpu, print_line

from neuroclip_hf.data.parquet.export import export_store
from neuroclip_hf.data.parquet.importing import import_store
from neuroclip_hf.data.store import TrialStore

BLOCK = 1 << 23
TARGET = 100.0
"""MB a second that exporting and importing shall each reach, or what the disk does if that is less."""


def seconds(action: Callable[[], Any]) -> tuple[float, float]:
    """Seconds on the clock, and of the processor."""
    os.sync()  # nothing of what came before is still under way
    start, used = time.perf_counter(), time.process_time()
    action()
    os.sync()
    return time.perf_counter() - start, time.process_time() - used


def copy(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("wb") as writer:
        shutil.copyfileobj(reader, writer, BLOCK)


def read(source: Path) -> None:
    with source.open("rb") as file:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # from the disk, not from memory
        while file.read(BLOCK):
            pass


def peak_megabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def measure(folder: Path, megabytes: float) -> dict[str, Any]:
    import datasets  # noqa: F401 - loaded before the clock starts

    store = make_store(folder / "store", max(1, round(megabytes * 1e6 / (2 * CHANNELS * SAMPLES))))
    array = store / "sub-01" / "train.npy"
    size = array.stat().st_size / 1e6
    writing = [seconds(lambda: copy(array, folder / "copy"))]
    reading = [seconds(lambda: read(folder / "copy"))]
    before = peak_megabytes()
    exporting = seconds(lambda: export_store(store, folder / "dataset"))
    importing = seconds(lambda: import_store(folder / "dataset", folder / "back"))
    writing.append(seconds(lambda: copy(array, folder / "copy")))
    reading.append(seconds(lambda: read(folder / "copy")))
    assert TrialStore(folder / "back").info.fingerprint == TrialStore(store).info.fingerprint
    disk = min(statistics.mean(size / one for one, _ in runs) for runs in (writing, reading))
    target = min(TARGET, disk)
    return {
        "megabytes": round(size),
        "export_mb_per_s": round(size / exporting[0], 1),
        "import_mb_per_s": round(size / importing[0], 1),
        "target_mb_per_s": round(target, 1),
        "export_ratio": round(size / exporting[0] / target, 2),
        "import_ratio": round(size / importing[0] / target, 2),
        "export_mb_per_cpu_s": round(size / exporting[1], 1),
        "import_mb_per_cpu_s": round(size / importing[1], 1),
        "disk_write_mb_per_s": [round(size / one, 1) for one, _ in writing],
        "disk_read_mb_per_s": [round(size / one, 1) for one, _ in reading],
        "libraries_mb": round(before),
        "peak_mb": round(peak_megabytes()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=1000.0)
    parser.add_argument("--folder", type=Path, help="where to measure; the system's temporary folder by default")
    arguments = parser.parse_args()
    place = describe_cpu()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        print_line("export_import", place, measure(Path(folder), arguments.megabytes))


if __name__ == "__main__":
    main()
