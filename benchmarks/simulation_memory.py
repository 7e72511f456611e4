"""Peak memory of simulating recordings of the real size, over the size of the largest: one JSON line.

    python benchmarks/simulation_memory.py [--folder DIR] [--concepts 1654] [--format raw]

One session with as many trials as one of the dataset's (16,540 of training pictures; test pictures beside it), 63
channels, 1000 Hz. On Linux. It writes about three gigabytes to a folder of its own below DIR and removes them.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

from printing import describe_cpu, print_line

from neuroclip_hf.data.simulation import simulate_things_eeg2
from neuroclip_hf.data.simulation.formats import FORMATS
from neuroclip_hf.data.things_eeg2 import FACTS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to measure; the system's temporary folder by default")
    parser.add_argument(
        "--concepts", type=int, default=FACTS.training_concepts, help="training concepts, 10 trials each"
    )
    parser.add_argument("--format", choices=FORMATS, default="raw")
    arguments = parser.parse_args()
    place = describe_cpu()
    started, before = time.perf_counter(), _peak()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        simulate_things_eeg2(
            Path(folder) / "simulated",
            format=arguments.format,
            sessions=1,
            concepts=arguments.concepts,
            images_per_concept=5,
            train_repeats=2,
            test_concepts=FACTS.test_concepts,
            test_repeats=FACTS.test_repeats // FACTS.sessions,
            image_size=32,
        )
        recordings = (Path(folder) / "simulated").rglob("sub-*/**/*")
        largest = max(path.stat().st_size for path in recordings if path.is_file())
    print_line(
        "simulation_memory",
        place,
        {
            "format": arguments.format,
            "trials": arguments.concepts * 10,
            "largest_file_gb": round(largest / 1e9, 3),
            "peak_gb": round(_peak() / 1e9, 3),
            "peak_before_gb": round(before / 1e9, 3),
            "ratio": round(_peak() / largest, 3),
            "seconds": round(time.perf_counter() - started, 1),
        },
    )


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
