"""Folders of results with simulated numbers."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def made():
    """The helper `made_up.py`: report files with simulated numbers."""
    path = Path(__file__).with_name("made_up.py")
    spec = importlib.util.spec_from_file_location("made_up", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
