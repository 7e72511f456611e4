"""A release against a stand-in of the Hub: the wheel alone pushes, and loads what it pushed."""

import json
import shutil
import zipfile

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


def test_the_wheel_pushes_and_loads_what_it_pushed(
    release, hub, hub_processes, demo, snapshot, monkeypatch, capsys, tmp_path
):
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.delenv(name)
    for name, value in (("HF_ENDPOINT", hub.url), ("HF_HOME", str(tmp_path / "home")), ("HF_HUB_DISABLE_XET", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HF_TOKEN", hub_processes.WRITER)
    before, out = snapshot(demo), tmp_path / "release"
    code = release.main(["user", "--borrow", "--demo", str(demo), "--out", str(out)])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    result = json.loads(printed.out)
    assert result["version"] == __version__
    assert (result["loaded"]["model"], result["loaded"]["processor"]) == ("NeuroCLIPModel", "NeuroCLIPProcessor")
    assert result["loaded"]["trials"] > 0
    assert [one["repo_id"] for one in result["pushed"]] == [MODEL, DATA, SPACE]
    assert "app.py" in result["pushed"][2]["files"]
    assert "from_neuroclip_hf.py" in result["pushed"][0]["files"]
    assert set(hub.state()["commits"]) == {f"models/{MODEL}", f"datasets/{DATA}", f"spaces/{SPACE}"}
    assert snapshot(demo) == before
    names = zipfile.ZipFile(result["wheel"]).namelist()
    assert "neuroclip_hf/remote_code_files/from_neuroclip_hf.py" in names
    assert not [name for name in names if name.startswith(("tests/", "hub/"))]
