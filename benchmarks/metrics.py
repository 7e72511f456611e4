"""What measures cost in units of the plain matrix product of the same embeddings. One JSON line a measure.

    python benchmarks/metrics.py [--repeats 5] [--measure csls_scores --measure permutation_test ...]

Statistics are made on ten subjects with 200 queries each and a gallery of 200; the hits that bootstrap and comparison
start from lie ready. CSLS and what it is an alternative to are made on 10,000 queries and as many entries. Embeddings
are random, 512 wide, in float32. A measure and the product take turns, and `ratio` is the median of their quotients.
"""

import argparse
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from measuring import choose_device, describe_device, milliseconds, ratio
from printing import print_line

from neuroclip_hf.metrics import (
    accuracy_from_scores,
    bootstrap_interval,
    center,
    compare_paired,
    csls_scores,
    hits_from_scores,
    n_way_accuracy,
    permutation_test,
    similarity,
)

SUBJECTS, QUERIES, MANY, WIDTH = 10, 200, 10_000, 512
WARM_UP = 1


@dataclass(frozen=True)
class Case:
    """What the measures of one size start from."""

    query: torch.Tensor
    gallery: torch.Tensor
    scores: torch.Tensor
    target: torch.Tensor
    subjects: list[str]
    hits: torch.Tensor
    other_hits: torch.Tensor


def make_case(subjects: int, entries: int, device: torch.device) -> Case:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(subjects * entries, WIDTH, generator=generator).to(device)
    gallery = torch.randn(entries, WIDTH, generator=generator).to(device)
    target = torch.arange(entries).repeat(subjects)
    scores = similarity(query, gallery)
    names = [f"sub-{subject + 1:02}" for subject in range(subjects) for _ in range(entries)]
    hits = hits_from_scores(scores, target, ks=(1, 5))
    return Case(query, gallery, scores, target, names, hits["top1"], hits["top5"])


STATISTICS: Mapping[str, Callable[[Case], Any]] = {
    "accuracy_from_scores": lambda case: accuracy_from_scores(case.scores, case.target),
    "n_way_accuracy": lambda case: n_way_accuracy(case.scores, case.target, 50),
    "bootstrap_interval": lambda case: bootstrap_interval(case.hits, case.subjects),
    "permutation_test": lambda case: permutation_test(case.scores, case.target, groups=case.subjects),
    "compare_paired": lambda case: compare_paired(case.other_hits, case.hits, case.subjects),
}
LARGE: Mapping[str, Callable[[Case], Any]] = {
    "similarity": lambda case: similarity(case.query, case.gallery),
    "centred_similarity": lambda case: similarity(*center(case.query, case.gallery)),
    "csls_scores": lambda case: csls_scores(case.query, case.gallery),
}


def measure(name: str, function: Callable[[Case], Any], case: Case, repeats: int) -> None:
    device = case.query.device
    place = describe_device(device)
    steps = {"product": lambda: case.query @ case.gallery.T, name: lambda: function(case)}
    times = milliseconds(steps, device, repeats, WARM_UP)
    facts = {
        "measure": name,
        "queries": len(case.query),
        "gallery": len(case.gallery),
        "ratio": round(ratio(times, name, "product"), 2),
        "median_ms": {step: round(statistics.median(each), 2) for step, each in times.items()},
        "repeats": repeats,
    }
    print_line("metrics", place, facts)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="turns that each measure is timed on")
    parser.add_argument("--measure", action="append", choices=[*STATISTICS, *LARGE], help="repeatable; all by default")
    arguments = parser.parse_args(words)
    torch.set_num_threads(1)
    device = choose_device()
    for functions, subjects, entries in ((STATISTICS, SUBJECTS, QUERIES), (LARGE, 1, MANY)):
        names = [name for name in functions if not arguments.measure or name in arguments.measure]
        case = make_case(subjects, entries, device) if names else None
        for name in names:
            measure(name, functions[name], case, arguments.repeats)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
