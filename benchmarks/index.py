"""Search among a million embeddings: one query, batches, and approximately. One JSON line for each structure.

    nice -n -5 python benchmarks/index.py [--entries 1000000] [--folder DIR] [--structure clusters ...] [--threads 2]

Embeddings are 768 wide and of length one. `clusters`: 1,000 centres, normal in all directions and of length one on
average; around each a normal cloud of length one that fills 48 directions of its own; and normal noise of length one
half in all directions. `independent`: normal in all directions, where no part of the gallery is nearer to a query than
another, so that an approximate search has nothing to go by: reported without a bar. Queries are drawn as the entries.

The index is written by the package and opened as `neuroclip retrieve --index` opens it. What is compared takes turns,
and a ratio is the median of the turns' quotients: one exact query with reading the matrix once (the fastest of the
turn's sum and product with a vector of the same bytes), a batch with the bare matrix product of the same tensors, an
approximate query with an exact one. The memory reported is the most that the process has held so far, pages of mapped
files included, which the system may drop. Bounds are those that the structure `clusters` is to keep.
"""

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from printing import describe_cpu, print_line
from torch.nn.functional import normalize

from neuroclip_hf.galleries.index.approximate import recall_at, require_faiss
from neuroclip_hf.galleries.index.building import write_search_index
from neuroclip_hf.galleries.index.searching import GalleryIndex
from neuroclip_hf.galleries.index.storing import ENTRIES, PICTURES, SCHEMA, IndexFacts, write_entries

WIDTH, RANK, CENTRES, NOISE = 768, 48, 1000, 0.5
PART = 100_000
RECALL_QUERIES, TOP_K = 200, 10
BOUNDS = {"single": 1.5, "batch": 1.3, "approximate": 0.1, "recall": 0.95}


class Clusters:
    """Clouds of 48 dimensions around centres, plus noise in all."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self._centres = torch.randn(CENTRES, WIDTH, generator=generator) / WIDTH**0.5
        self._axes = torch.randn(CENTRES, RANK, WIDTH, generator=generator) / (RANK * WIDTH) ** 0.5

    def draw(self, count: int, seed: int) -> torch.Tensor:
        """Unit vectors (count, width)."""
        generator = torch.Generator().manual_seed(seed)
        # In order, so that a cloud is one stretch; the entries are shuffled at the end.
        cluster = torch.randint(CENTRES, (count,), generator=generator).sort().values
        places = torch.randn(count, RANK, generator=generator)
        drawn = torch.randn(count, WIDTH, generator=generator) * (NOISE / WIDTH**0.5) + self._centres[cluster]
        ends = torch.bincount(cluster, minlength=CENTRES).cumsum(0).tolist()
        for number, (first, last) in enumerate(zip([0, *ends], ends, strict=False)):
            drawn[first:last] += places[first:last] @ self._axes[number]
        drawn = drawn[torch.randperm(count, generator=generator)]
        return normalize(drawn, dim=1)


class Independent:
    """Directions drawn evenly."""

    def draw(self, count: int, seed: int) -> torch.Tensor:
        """Unit vectors (count, width)."""
        return normalize(torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed)), dim=1)


STRUCTURES: dict[str, Callable[[], Clusters | Independent]] = {"clusters": Clusters, "independent": Independent}


def make(folder: Path, entries: int, source: Clusters | Independent) -> dict[str, float]:
    """Write an index of drawn embeddings; returns the seconds that its parts took."""

    def parts() -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        for start in range(0, entries, PART):
            count = min(PART, entries - start)
            yield [f"{row:07d}.jpg" for row in range(start, start + count)], source.draw(count, start + 1).numpy()

    start = time.perf_counter()
    facts = IndexFacts(
        schema=SCHEMA,
        kind=PICTURES,
        names=None,
        entries=write_entries(folder / ENTRIES, parts(), WIDTH),
        width=WIDTH,
        skipped=[],
        checkpoint="drawn",
        tower="drawn",
        probes=1,
        recall=1.0,
    )
    drawn = time.perf_counter()
    write_search_index(folder, facts)
    return {"drawing_and_writing": drawn - start, "search_index": time.perf_counter() - drawn}


def turns(steps: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each step, which take turns; one turn before does not count."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(repeats + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn:
                times[name].append(1e3 * (time.perf_counter() - start))
    return times


def quotient(times: dict[str, list[float]], name: str, *references: str) -> float:
    """Median over the turns of one time by the least of others."""
    least = [min(each) for each in zip(*(times[reference] for reference in references), strict=True)]
    return statistics.median(mine / other for mine, other in zip(times[name], least, strict=True))


def measure(folder: Path, source: Clusters | Independent, batches: list[int], repeats: int) -> dict[str, Any]:
    """Times, ratios and recall of an index that lies there."""
    exact, near = GalleryIndex(folder), GalleryIndex(folder, approximate=True)
    blocks, queries = exact.entries.blocks, source.draw(max(RECALL_QUERIES, *batches), 0)
    one = queries[:1]
    times = turns(
        {
            "sum": lambda: [block.sum() for block in blocks],
            "vector": lambda: [torch.mv(block, one[0]) for block in blocks],
            "single": lambda: exact.rows(one, TOP_K),
            "approximate": lambda: near.rows(one, TOP_K),
        },
        repeats,
    )
    ratios = {
        "single": quotient(times, "single", "sum", "vector"),
        "approximate": quotient(times, "approximate", "single"),
    }
    of_batches: dict[str, dict[str, float]] = {}
    for size in batches:
        some = queries[:size]
        found = turns(
            {
                "product": lambda some=some: [some @ block.T for block in blocks],  # type: ignore[misc]
                "batch": lambda some=some: exact.rows(some, TOP_K),  # type: ignore[misc]
            },
            max(2, repeats // 3),
        )
        medians = {f"{name}_ms": round(statistics.median(each), 1) for name, each in found.items()}
        of_batches[str(size)] = {**medians, "ratio": round(quotient(found, "batch", "product"), 2)}
    ratios["batch"] = max(each["ratio"] for each in of_batches.values())
    asked = queries[:RECALL_QUERIES]
    recall = recall_at(near.rows(asked, TOP_K)[1], exact.rows(asked, TOP_K)[1])
    return {
        "median_ms": {name: round(statistics.median(each), 2) for name, each in times.items()},
        "least_ms": {name: round(min(each), 2) for name, each in times.items()},
        "batches": of_batches,
        "ratio": {name: round(value, 3) for name, value in ratios.items()},
        "recall_at_10": round(recall, 4),
        "probes": near.probes,
        "lists": getattr(near._lists, "nlist", 1),
        "recall_of_entries": near.facts.recall,
        "bytes_of_search_index": (folder / "index.faiss").stat().st_size,
    }


def halves(folder: Path, source: Clusters | Independent, repeats: int) -> dict[str, float]:
    """What float16 would cost and save: part of the ten best that it loses, and its time in units of float32."""
    block = GalleryIndex(folder).entries.blocks[0]
    queries = source.draw(RECALL_QUERIES, 0)
    half = block.half()
    best = torch.topk(queries @ block.T, TOP_K).indices
    rounded = torch.topk(queries @ half.float().T, TOP_K).indices
    product = torch.stack([torch.topk(torch.mv(half, one), TOP_K).indices for one in queries.half()])
    times = turns({"half": lambda: torch.mv(half, queries[0].half()), "full": lambda: block @ queries[0]}, repeats)
    return {
        "lost_by_storing": round(1 - recall_at(rounded, best), 4),
        "lost_by_scoring": round(1 - recall_at(product, best), 4),
        "time": round(quotient(times, "half", "full"), 2),
    }


def peak_gigabytes() -> float:
    """Most memory that this process held, mapped files included."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where indexes are kept and found again; temporary by default")
    parser.add_argument("--structure", action="append", choices=list(STRUCTURES), help="repeatable; all by default")
    parser.add_argument("--batch", action="append", type=int, help="queries at once, repeatable; 64, 512 by default")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2, help="of torch and FAISS, in everything that is compared")
    arguments = parser.parse_args(words)
    torch.set_num_threads(arguments.threads)
    require_faiss().omp_set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as temporary:
        for name in arguments.structure or STRUCTURES:
            place = {**describe_cpu(), "threads": arguments.threads}
            folder = (arguments.folder or Path(temporary)) / f"{name}-{arguments.entries}"
            source, seconds = STRUCTURES[name](), {}
            if not (folder / "index.json").is_file():
                folder.mkdir(parents=True)
                seconds = make(folder, arguments.entries, source)
            found = measure(folder, source, arguments.batch or [64, 512], arguments.repeats)
            facts = {
                "structure": name,
                "entries": arguments.entries,
                "width": WIDTH,
                **found,
                "float16": halves(folder, source, arguments.repeats),
                "bounds": BOUNDS if name == "clusters" else None,
                "seconds": {part: round(value, 1) for part, value in seconds.items()},
                "peak_gigabytes": round(peak_gigabytes(), 2),
                "load_after": describe_cpu()["load_before"],
            }
            print_line("index", place, facts)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
