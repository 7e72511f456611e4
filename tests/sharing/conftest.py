"""Processes of their own, as somebody has who finds a repository on the Hub."""

import os
import subprocess
import sys

import pytest

# A finder that comes first and has never heard of the package. Python runs sitecustomize.py when it starts.
HIDING = """
import sys

class Hiding:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "neuroclip_hf":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hiding())
"""


@pytest.fixture
def elsewhere(tmp_path, project):
    """Run lines of Python in a fresh process and an empty folder; `installed=False` hides the package from it."""
    folder, hidden = tmp_path / "elsewhere", tmp_path / "hidden"
    for each in (folder, hidden):
        each.mkdir()
    (hidden / "sitecustomize.py").write_text(HIDING)

    def run(code, installed=True, cwd=folder):
        caches = {"HF_HOME": str(tmp_path / "hf_home"), "HF_MODULES_CACHE": str(tmp_path / "hf_modules")}
        path = {"PYTHONPATH": str(project if installed else hidden)}
        return subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **caches, **path},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run
