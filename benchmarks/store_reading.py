"""Random batches from a trial store beside `datasets`: rows a second as one JSON line.

    python benchmarks/store_reading.py [--trials 16540] [--batches 5] [--rounds 25] [--folder DIR]

Both hold the same trials of (63, 250): the store, and two datasets of `Array2D` saved to disk and mapped from there,
of float16 and of float32, read by `with_format("torch", dtype=...)[rows]`, since without a dtype it gives float32 of
both. Every way returns torch tensors of `--batch` trials that are drawn at random anew, and is checked against the
others before the clock starts. All files are in the system's memory, as in every epoch of a training but the first.
One subject of THINGS-EEG2 has 66,160 training trials: about 11 GB of disk.

In every round, the ways take turns of `--batches`, a store's right after the dataset's that it is compared with, and
the median batch of a turn counts: the first one meets the caches that another way has filled. A ratio is the median
over rounds of the two figures of one round, so that a machine that becomes slower slows both; `_spread` has the tenth
and the ninetieth percentile. `_cpu_ratio` compares the seconds of all threads that the
processor worked: `threads` of them read from the store, and `OMP_NUM_THREADS=1` allows one.

`store_float32` is `TrialStore.read`, values in the store's unit. `items` is `TrialDataset` as a `DataLoader` asks it
for a batch, float32 and with all that belongs to an item; `means_rows_per_s` counts the trials that go into means of
4 trials each, 64 means a batch.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import threadpoolctl
import torch
from _stores import CHANNELS, SAMPLES, make_store
from printing import describe_cpu, print_line

from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.trials import TrainingView, TrialDataset

BLOCK = 500
AVERAGED = 4
TARGETS = {"float16": 15, "float32": 10}
"""How many times the rows a second of `datasets` the store shall give."""

Way = Callable[[np.ndarray], Any]


def make_dataset(folder: Path, store: TrialStore, dtype: str) -> datasets.Dataset:
    """The trials of a store as `Array2D`, with the torch format of their own type."""
    features = datasets.Features({"values": datasets.Array2D((CHANNELS, SAMPLES), dtype)})

    def rows() -> Iterator[dict[str, Any]]:
        for start in range(0, len(store.trials), BLOCK):
            for trial in store.read_stored(range(start, min(start + BLOCK, len(store.trials)))):
                yield {"values": trial.astype(dtype)}

    made = datasets.Dataset.from_generator(rows, features=features, cache_dir=str(folder / "cache"))
    made.save_to_disk(folder / dtype)
    made.cleanup_cache_files()
    return datasets.load_from_disk(folder / dtype).with_format("torch", dtype=getattr(torch, dtype))


def measure(folder: Path, trials: int, batch: int, batches: int, rounds: int) -> dict[str, Any]:
    store = TrialStore(make_store(folder / "store", trials))
    items = TrialDataset(store, store.trials, store.select("train"), store.gallery("train"), TrainingView(), seed=0)
    reads = {"float16": store.read_stored, "float32": store.read}
    ways: dict[str, Way] = {}
    for dtype, read in reads.items():
        made = make_dataset(folder, store, dtype)
        ways[f"array2d_{dtype}"] = lambda rows, made=made: made[rows]["values"]
        ways[f"store_{dtype}"] = lambda rows, read=read: torch.from_numpy(read(rows))
    ways["items"] = lambda rows: [item["eeg_values"] for item in items.__getitems__(rows.tolist())]
    ways["means"] = lambda rows: torch.from_numpy(store.read_means(rows.reshape(-1, AVERAGED)))
    check(ways, trials, batch)
    wall, processor = seconds(ways, trials, batch, batches, rounds)
    result: dict[str, Any] = {"trials": trials, "batch": batch, "threads": threads()}
    for dtype in reads:
        ratios = wall[f"array2d_{dtype}"] / wall[f"store_{dtype}"]
        cpu = processor[f"array2d_{dtype}"] / processor[f"store_{dtype}"]
        for way in ("store", "array2d"):
            result[f"{way}_{dtype}_rows_per_s"] = round(batch / float(np.median(wall[f"{way}_{dtype}"])))
        result[f"{dtype}_ratio"] = round(float(np.median(ratios)), 1)
        result[f"{dtype}_spread"] = np.quantile(ratios, (0.1, 0.9)).round(1).tolist()
        result[f"{dtype}_target"] = TARGETS[dtype]
        result[f"{dtype}_cpu_ratio"] = round(float(np.median(cpu)), 1)
    return result | {f"{way}_rows_per_s": round(batch / float(np.median(wall[way]))) for way in ("items", "means")}


def check(ways: dict[str, Way], trials: int, batch: int) -> None:
    """Every way gives the same trials."""
    rows = np.random.default_rng(0).integers(0, trials, batch)
    expected = ways["array2d_float32"](rows)
    for name, read in ways.items():
        values = read(rows) if name != "items" else torch.from_numpy(np.stack(read(rows)))
        wanted = expected if name != "means" else expected.reshape(-1, AVERAGED, CHANNELS, SAMPLES).mean(1)
        assert values.dtype == (torch.float16 if name.endswith("_float16") else torch.float32), name
        torch.testing.assert_close(values.float(), wanted)


def seconds(
    ways: dict[str, Way], trials: int, batch: int, batches: int, rounds: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Seconds of the median batch of each way in each round: of the clock, and of the processor."""
    generator = np.random.default_rng(1)
    wall: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, read in ways.items():
            taken = []
            for rows in generator.integers(0, trials, (batches, batch)):
                start, worked = time.perf_counter(), time.process_time()
                read(rows)
                taken.append((time.perf_counter() - start, time.process_time() - worked))
            for seconds_of, figure in zip((wall, processor), np.median(taken, axis=0).tolist(), strict=True):
                seconds_of[name].append(figure)
    return {name: np.array(found) for name, found in wall.items()}, {
        name: np.array(found) for name, found in processor.items()
    }


def threads() -> int:
    return max(one["num_threads"] for one in threadpoolctl.threadpool_info() if one["user_api"] == "blas")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=16540, help="trials of the store")
    parser.add_argument("--batch", type=int, default=256, help="trials of a batch, a multiple of 4")
    parser.add_argument("--batches", type=int, default=5, help="batches of a turn")
    parser.add_argument("--rounds", type=int, default=25, help="turns of each way")
    parser.add_argument("--folder", type=Path, help="where to measure; the system's temporary folder by default")
    arguments = parser.parse_args()
    datasets.disable_progress_bars()
    place = describe_cpu()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        found = measure(Path(folder), arguments.trials, arguments.batch, arguments.batches, arguments.rounds)
        print_line("store_reading", place, found)


if __name__ == "__main__":
    main()
