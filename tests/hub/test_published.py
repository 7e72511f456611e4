"""A release against a stand-in of the Hub: the wheel is whole, and what it pushes can be loaded."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from neuroclip_hf import __version__
from neuroclip_hf.protocols.evaluating import evaluate_run

MODEL, DATA = "user/neuroclip-hf-demo", "user/neuroclip-hf-demo-data"
SPACE = "user/neuroclip-hf-demo-space"


@pytest.fixture
def demo(run_folder, store_folder, store, tmp_path):
    """What `neuroclip demo` leaves, made tiny."""
    shutil.copytree(store_folder, tmp_path / "demo" / "store")
    run = shutil.copytree(run_folder, tmp_path / "demo" / "run")
    evaluate_run(run, store)
    return tmp_path / "demo"


@pytest.fixture
def made(release, demo, capsys, tmp_path):
    """Make a release of the demo; what it printed."""

    def make():
        code = release.main(["user", "--borrow", "--demo", str(demo), "--out", str(tmp_path / "release")])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return json.loads(printed.out)

    return make


def all_came_back(result, hub):
    """A model, its data and a Space are on the Hub, and were loaded from there."""
    assert result["version"] == __version__
    assert (result["loaded"]["model"], result["loaded"]["processor"]) == ("NeuroCLIPModel", "NeuroCLIPProcessor")
    assert result["loaded"]["trials"] > 0
    assert [one["repo_id"] for one in result["pushed"]] == [MODEL, DATA, SPACE]
    assert "app.py" in result["pushed"][2]["files"]
    assert "from_neuroclip_hf.py" in result["pushed"][0]["files"]
    assert set(hub.state()["commits"]) == {f"models/{MODEL}", f"datasets/{DATA}", f"spaces/{SPACE}"}


def test_the_wheel_holds_the_package_and_nothing_else(release, tmp_path):
    wheel = release.build_wheel(tmp_path)
    names = zipfile.ZipFile(wheel).namelist()
    assert "neuroclip_hf/remote_code_files/from_neuroclip_hf.py" in names
    assert not [name for name in names if name.startswith(("tests/", "hub/"))]
    assert release.check_wheel(release.make_environment(tmp_path, wheel, borrow=True), wheel) == __version__


def test_a_release_pushes_what_loads_from_the_hub(release, made, hub, demo, snapshot, monkeypatch):
    """Its steps one after the other, with this clone in the place of the wheel."""

    class Clone(release.Environment):
        def run(self, name, *arguments):
            done = hub.neuroclip(*arguments) if name == "neuroclip" else hub.python(*arguments[1:], home="other")
            assert done.code == 0, done.err
            return done.out

    monkeypatch.setattr(release, "build_wheel", lambda out: out / "a.whl")
    monkeypatch.setattr(release, "make_environment", lambda out, wheel, borrow: Clone(out / "venv", out))
    monkeypatch.setattr(release, "check_wheel", lambda environment, wheel: __version__)
    before = snapshot(demo)
    all_came_back(made(), hub)
    assert snapshot(demo) == before


@pytest.mark.slow
def test_the_wheel_pushes_and_loads_what_it_pushed(made, hub, hub_processes, demo, snapshot, monkeypatch, tmp_path):
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.delenv(name)
    for name, value in (("HF_ENDPOINT", hub.url), ("HF_HOME", str(tmp_path / "home")), ("HF_HUB_DISABLE_XET", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HF_TOKEN", hub_processes.WRITER)
    before = snapshot(demo)
    result = made()
    all_came_back(result, hub)
    assert Path(result["wheel"]).is_file()
    assert snapshot(demo) == before
