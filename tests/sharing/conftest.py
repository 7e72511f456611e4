"""Processes of their own, as somebody has who finds a repository on the Hub."""

import os

import pytest

# A finder that comes first and has never heard of the package.
HIDING = """
import sys

class Hiding:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "neuroclip_hf":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hiding())
"""


@pytest.fixture
def elsewhere(forks, tmp_path):
    """Run lines of Python in a fresh process and an empty folder; `installed=False` hides the package from it."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()

    def run(code, installed=True, cwd=folder):
        caches = {"HF_HOME": str(tmp_path / "hf_home"), "HF_MODULES_CACHE": str(tmp_path / "hf_modules")}
        return forks.run(code if installed else HIDING + code, environment={**os.environ, **caches}, cwd=cwd)

    return run
