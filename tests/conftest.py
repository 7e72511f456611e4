"""What every test starts from: no network, fixed seeds, two threads, and the real data where they are at hand."""

import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest

# Read when the libraries are imported, hence before any test module.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = min(os.environ.get(_variable, "2"), "2")

PROJECT = Path(__file__).resolve().parents[1]
SEED = 20260


@pytest.fixture(autouse=True)
def seeded():
    """Seed every source of chance; torch only where a test has imported it, since many need none."""
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 - libraries draw from NumPy's global state
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(SEED)


@pytest.fixture(scope="session")
def project() -> Path:
    """The root of the project."""
    return PROJECT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings, named by NEUROCLIP_REAL_DATA; a test that asks for it skips without."""
    folder = Path(os.environ.get("NEUROCLIP_REAL_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: NEUROCLIP_REAL_DATA names the folder")
    return folder
