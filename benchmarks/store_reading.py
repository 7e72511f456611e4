"""Random batches from a trial store beside `datasets`: rows a second as one JSON line.

    python benchmarks/store_reading.py [--trials 16540] [--batches 15] [--folder DIR]

Both hold the same trials of (63, 250): the store, and two datasets of `Array2D` saved to disk, of float16 and of
float32, read by `with_format("torch", dtype=...)`, since without a dtype it gives float32 of both. Every way returns
torch tensors of `--batch` trials that are drawn at random anew, and is checked against the others before the clock
starts. The ways take turns of `--batches`; a figure is the median of all. All files are in the system's memory, as in
every epoch of a training but the first. One subject of THINGS-EEG2 has 66,160 training trials: about 11 GB of disk.

`store_float32` is `TrialStore.read`, values in the store's unit; `store_float16_to_float32` is `read_stored` and
torch's own conversion, which leaves the scale to whoever reads. `means_rows_per_s` counts the trials that go into
means of 4 trials each, 64 means a batch.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from _stores import CHANNELS, SAMPLES, make_store

from neuroclip_hf.data.store import TrialStore

BLOCK = 500
AVERAGED = 4
TURNS = 3
TARGETS = {"float16": 15, "float32": 10}
"""How many times the rows a second of `datasets` the store shall give."""


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


def measure(folder: Path, trials: int, batch: int, batches: int) -> dict[str, Any]:
    store = TrialStore(make_store(folder / "store", trials))
    reads = {"float16": store.read_stored, "float32": store.read}
    ways: dict[str, Callable[[np.ndarray], torch.Tensor]] = {}
    for dtype, read in reads.items():
        made = make_dataset(folder, store, dtype)
        ways[f"store_{dtype}"] = lambda rows, read=read: torch.from_numpy(read(rows))
        ways[f"array2d_{dtype}"] = lambda rows, made=made: made[rows]["values"]
    ways["store_float16_to_float32"] = lambda rows: torch.from_numpy(store.read_stored(rows)).float()
    ways["means"] = lambda rows: torch.from_numpy(store.read_means(rows.reshape(-1, AVERAGED)))
    found = rows_per_second(ways, trials, batch, batches)
    result: dict[str, Any] = {"benchmark": "store_reading", "trials": trials, "batch": batch}
    for dtype in reads:
        ratio = found[f"store_{dtype}"] / found[f"array2d_{dtype}"]
        result |= {f"{way}_{dtype}_rows_per_s": round(found[f"{way}_{dtype}"]) for way in ("store", "array2d")}
        result |= {f"{dtype}_ratio": round(ratio, 1), f"{dtype}_target": TARGETS[dtype]}
    cast = "store_float16_to_float32"
    result |= {f"{cast}_rows_per_s": round(found[cast])}
    result |= {f"{cast}_ratio": round(found[cast] / found["array2d_float32"], 1)}
    return {**result, "means_rows_per_s": round(found["means"])}


def rows_per_second(
    ways: dict[str, Callable[[np.ndarray], torch.Tensor]], trials: int, batch: int, batches: int
) -> dict[str, float]:
    generator = np.random.default_rng(1)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    rows = generator.integers(0, trials, batch)
    expected = ways["array2d_float32"](rows)
    for name, read in ways.items():
        values = read(rows)
        wanted = expected if name != "means" else expected.reshape(-1, AVERAGED, CHANNELS, SAMPLES).mean(1)
        assert values.dtype == (torch.float16 if name.endswith("_float16") else torch.float32), name
        torch.testing.assert_close(values.float(), wanted)
    for name, read in [*ways.items()] * TURNS:
        for _ in range(batches):
            rows = generator.integers(0, trials, batch)
            start = time.perf_counter()
            read(rows)
            seconds[name].append(time.perf_counter() - start)
    return {name: batch / statistics.median(found) for name, found in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=16540, help="trials of the store")
    parser.add_argument("--batch", type=int, default=256, help="trials of a batch, a multiple of 4")
    parser.add_argument("--batches", type=int, default=15, help="batches of a turn")
    parser.add_argument("--folder", type=Path, help="where to measure; the system's temporary folder by default")
    arguments = parser.parse_args()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        print(json.dumps(measure(Path(folder), arguments.trials, arguments.batch, arguments.batches)))


if __name__ == "__main__":
    main()
