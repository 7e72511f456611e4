"""The script that makes a release."""

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def release():
    """hub/release.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("release", Path(__file__).parents[2] / "hub" / "release.py")
    sys.modules["release"] = module = importlib.util.module_from_spec(spec)  # dataclasses look it up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["release"]
