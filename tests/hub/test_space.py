"""The folder that goes to the Hub as a Space agrees with the package."""

import importlib.metadata
import runpy
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from neuroclip_hf.space.uploads import LARGEST_UPLOAD, SUFFIXES

SPACE = Path(__file__).parents[2] / "hub" / "space"


def test_the_card_names_an_app_and_a_version_that_the_package_takes(project):
    front = yaml.safe_load((SPACE / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert (SPACE / front["app_file"]).is_file()
    assert front["sdk"] == "gradio"
    settings = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    (wanted,) = settings["project"]["optional-dependencies"]["space"]
    major = int(front["sdk_version"].split(".")[0])
    assert wanted == f"gradio>={major},<{major + 1}"
    assert settings["project"]["requires-python"] == f">={front['python_version']}"
    assert len(front["short_description"]) <= 60  # the Hub takes no longer one


def test_it_requires_the_package_with_its_page():
    assert (SPACE / "requirements.txt").read_text(encoding="utf-8").split() == ["neuroclip-hf[space]"]


def test_the_card_says_what_may_be_uploaded():
    text = " ".join((SPACE / "README.md").read_text(encoding="utf-8").split())
    assert f"{LARGEST_UPLOAD >> 20} MB at most" in text
    assert [suffix for suffix in SUFFIXES if f"`{suffix}`" not in text and suffix != ".dat"] == []


def test_without_a_shelf_it_says_what_to_do(tmp_path, monkeypatch):
    pytest.importorskip("gradio")
    monkeypatch.setenv("NEUROCLIP_SPACE", str(tmp_path))
    with pytest.raises(SystemExit, match=r"holds no space\.json: make one with `neuroclip space"):
        runpy.run_path(str(SPACE / "app.py"), run_name="__main__")


def test_the_installed_page_is_one_that_the_package_takes():
    if "gradio" in sys.modules or importlib.metadata.packages_distributions().get("gradio"):
        assert importlib.metadata.version("gradio").startswith("6.")
