"""Preparing THINGS-EEG2: speed beside the field's steps, or peak memory. One JSON line.

    python benchmarks/prepare.py [--concepts 200] [--rounds 3] [--folder DIR]
    python benchmarks/prepare.py --memory --sessions 4 [--concepts 1654] [--folder DIR]

Speed: seconds from the raw files of one simulated session (63 channels, 1000 Hz, 20 trials a concept) to its whitened
epochs in float64, reading included, by the plain steps that `tests/data/reference.py` keeps (MNE, scikit-learn) and by
the part of `prepare_things_eeg2` that does a session, as it is, up to what the store is given; and the largest
difference of the two relative to the largest number. Not counted are loading libraries, for which either way first
does a session of a few epochs, and what the plain steps do not do: checksums, pictures, rounding to float16 and
writing. What this package makes once for all sessions that are cut alike, the map of an epoch, is counted: the more
epochs, the less it weighs. A session of the dataset has 20,540 of them, the one simulated 4,200 unless told.

The two ways take turns, each time in a new process; the ratios are medians over the rounds, beside the smallest and
the largest. Both run with as many threads as the environment allows (OMP_NUM_THREADS): the plain steps use them in
their matrix products. The ratio of processor times says what is left of it without a second core, and depends less on
what else the machine does; `load` says how many processes wanted its cores when each round began.

Memory: peak resident memory of `prepare_things_eeg2` in a process of its own, all 63 channels, over the size of the
largest raw file. With 1,654 concepts files have their real size: about 4 GB of disk a session, and 3 GB beside them.
"""

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from printing import describe_cpu, print_line

from neuroclip_hf.columns import SAMPLE, TRAIN
from neuroclip_hf.data.simulation import simulate_things_eeg2
from neuroclip_hf.data.sources.layouts import recognise
from neuroclip_hf.data.sources.recorded import SESSION, plan_recordings
from neuroclip_hf.data.sources.resume import Result
from neuroclip_hf.data.sources.things_eeg2 import default_epochs, prepare_things_eeg2
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.things_eeg2 import FACTS, read_image_metadata

REFERENCE = Path(__file__).resolve().parents[1] / "tests" / "data" / "reference.py"
ALLOWED = 1_000_000_000
"""Bytes that preparing may take beside one and a half times the largest raw file."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to measure; the system's temporary folder by default")
    parser.add_argument("--concepts", type=int, help="training concepts of a session: 200, for memory 100")
    parser.add_argument("--rounds", type=int, default=3, help="how often either way is measured")
    parser.add_argument("--memory", action="store_true", help="measure memory instead of speed")
    parser.add_argument("--sessions", type=int, default=1, choices=(1, 2, 4), help="sessions, for memory")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        return run_child(*arguments.child)
    place = describe_cpu()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        measure = memory if arguments.memory else speed
        print_line("prepare_memory" if arguments.memory else "prepare_speed", place, measure(Path(folder), arguments))


def speed(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    simulate_session(folder / "raw", concepts=arguments.concepts or 200, test_concepts=10)
    simulate_session(folder / "small", concepts=2, test_concepts=2)
    session = next((folder / "raw").glob("sub-*/ses-*"))
    found: dict[str, list[dict[str, Any]]] = {"reference": [], "ours": []}
    load = []
    for _ in range(arguments.rounds):
        load.append(round(os.getloadavg()[0], 1))
        for way, measured in found.items():
            measured.append(call(way, folder / "raw", folder / f"{way}.npy", folder / "small"))
    values = {way: np.load(folder / f"{way}.npy", mmap_mode="r") for way in found}
    difference = np.abs(values["ours"] - values["reference"]).max() / np.abs(values["reference"]).max()
    return {
        "epochs": len(values["ours"]),
        "raw_files_mb": round(sum(path.stat().st_size for path in session.iterdir()) / 1e6, 1),
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "cores": os.cpu_count(),
        "load": load,
        **compare(found, "seconds", "ratio"),
        "target_ratio": 8,
        **compare(found, "cpu_seconds", "cpu_ratio"),
        "largest_relative_difference": float(f"{difference:.2g}"),
    }


def simulate_session(folder: Path, concepts: int, test_concepts: int) -> None:
    simulate_things_eeg2(
        folder,
        sessions=1,
        concepts=concepts,
        images_per_concept=10,
        train_repeats=2,
        test_concepts=test_concepts,
        test_repeats=20,
        image_size=16,
    )


def compare(found: dict[str, list[dict[str, Any]]], time_name: str, ratio_name: str) -> dict[str, Any]:
    """Medians over the rounds of the times of both ways and of their ratio, and how far the ratio goes."""
    times = {way: [one[time_name] for one in measured] for way, measured in found.items()}
    ratios = [slow / fast for slow, fast in zip(times["reference"], times["ours"], strict=True)]
    return {
        f"reference_{time_name}": round(statistics.median(times["reference"]), 2),
        time_name: round(statistics.median(times["ours"]), 2),
        ratio_name: round(statistics.median(ratios), 2),
        f"{ratio_name}_range": [round(min(ratios), 2), round(max(ratios), 2)],
    }


def memory(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    # A session of the dataset shows half of its training pictures, twice; one session alone shows all that there are.
    shares = min(arguments.sessions, FACTS.sessions_of_training_picture)
    concepts, pictures = arguments.concepts or 100, 10 * arguments.sessions // (2 * shares)
    simulate_things_eeg2(
        folder / "raw",
        sessions=arguments.sessions,
        concepts=concepts,
        images_per_concept=pictures,
        train_repeats=2 * shares,
        test_concepts=min(FACTS.test_concepts, concepts),
        test_repeats=20 * arguments.sessions,
        image_size=16,
    )
    largest = max(path.stat().st_size for path in (folder / "raw").rglob("raw_eeg_*.npy"))
    found = call("prepare", folder / "raw", folder / "store")
    allowed = 1.5 * largest + ALLOWED
    return {
        "sessions": arguments.sessions,
        "epochs": found["epochs"],
        "largest_file_gb": round(largest / 1e9, 3),
        "peak_gb": round(found["peak"] / 1e9, 3),
        "allowed_gb": round(allowed / 1e9, 3),
        "part_of_allowed": round(found["peak"] / allowed, 3),
        "peak_before_gb": round(found["before"] / 1e9, 3),
        "seconds": round(found["seconds"], 1),
    }


def call(way: str, *paths: Path) -> dict[str, Any]:
    """Run one way in a process of its own, so that neither its memory nor its caches are another's."""
    command = [sys.executable, __file__, "--child", way, *map(str, paths)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def run_child(way: str, *paths: str) -> None:
    before = peak()
    ways = {"prepare": whole_preparation, "ours": our_steps, "reference": reference_steps}
    found = ways[way](*map(Path, paths))
    print(json.dumps({**found, "peak": peak(), "before": before}))


def whole_preparation(source: Path, out: Path) -> dict[str, Any]:
    """A store of all channels."""
    started = time.perf_counter()
    prepare_things_eeg2(source, out, channels=["all"])
    return {"seconds": time.perf_counter() - started, "epochs": len(TrialStore(out).trials)}


class Collector:
    """Takes what the writer of a store is given, before that rounds it."""

    def __init__(self) -> None:
        self.epochs: list[tuple[bool, int, NDArray[np.float64]]] = []

    def add_trials(self, subject: str, split: str, values: Any, rows: list[dict[str, Any]], origin: str) -> None:
        """As the writer of a store has it."""
        self.epochs += [(split != TRAIN, row[SAMPLE], epoch) for row, epoch in zip(rows, values, strict=True)]


def our_steps(source: Path, out: Path, small: Path) -> dict[str, Any]:
    """Whitened epochs by this package."""
    load_reference()  # the libraries of the other way lie in memory, as do those of this one there
    # Another window for the few epochs, so that the map of the epochs that count is still to be made.
    for folder, window in ((small, (0.0, 0.9)), (source, None)):
        layout, metadata, epochs = recognise(folder), read_image_metadata(folder), default_epochs(folder)
        epochs = replace(epochs, window=window or epochs.window)
        plan = plan_recordings(layout, folder, metadata, (1,), FACTS.channels, epochs, SESSION, False)
        (session,) = plan.parts(1, None)
        collector = Collector()
        with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
            started, cpu = time.perf_counter(), cpu_seconds()
            session.run(collector, Result(Path(scratch)))
            found = {"seconds": time.perf_counter() - started, "cpu_seconds": cpu_seconds() - cpu}
    save_epochs(out, collector.epochs)
    return found


def reference_steps(source: Path, out: Path, small: Path) -> dict[str, Any]:
    """The same by the plain steps."""
    reference = load_reference()
    for folder in (small, source):
        session = next(folder.glob("sub-*/ses-*"))
        started, cpu = time.perf_counter(), cpu_seconds()
        pictures = reference.session(session, FACTS.channels)
        found = {"seconds": time.perf_counter() - started, "cpu_seconds": cpu_seconds() - cpu}
    save_epochs(
        out,
        [
            (split != TRAIN, sample, epoch)
            for split, shown in pictures.items()
            for _, samples, epochs in shown
            for sample, epoch in zip(samples, epochs, strict=True)
        ],
    )
    return found


def save_epochs(out: Path, epochs: list[tuple[bool, int, NDArray[np.float64]]]) -> None:
    """Epochs (trials, channels, samples) of both splits, each in the order of time."""
    np.save(out, [epoch for _, _, epoch in sorted(epochs, key=lambda one: one[:2])])


def load_reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", REFERENCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cpu_seconds() -> float:
    """Processor time of this process so far, all threads together."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak() -> int:
    """Peak resident memory of this process, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
