"""Where a benchmark ran, and the line of JSON that says so. No torch, whose memory some of them must not count."""

import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any


def describe_cpu() -> dict[str, Any]:
    """The processor by name, and who else is using it: ask before the work begins."""
    return {
        "device": f"CPU ({platform.processor() or platform.machine()})",
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 1),
    }


def print_line(benchmark: str, place: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """The result, as one line of JSON."""
    print(json.dumps({"benchmark": benchmark, **facts, **place, "torch": version("torch")}), flush=True)
