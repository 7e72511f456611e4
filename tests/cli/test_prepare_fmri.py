"""`prepare fmri`: a table of runs becomes a store, and its options reach the reader."""

import importlib.util
import json

import pytest

pytest.importorskip("nilearn", reason="the extra fmri brings it")


@pytest.fixture
def scans(project, tmp_path):
    spec = importlib.util.spec_from_file_location("scans", project / "tests" / "data" / "scans.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_scans(tmp_path / "scans", subjects=2)


def test_prepare_and_check(neuroclip, scans, tmp_path):
    files = ("--images", scans.pictures, "--mask", scans.mask, "--atlas", scans.folder / "atlas.nii.gz")
    words = (
        "prepare",
        "fmri",
        scans.runs,
        "--out",
        tmp_path / "store",
        *files,
        "--labels",
        scans.folder / "labels.tsv",
    )
    settings = ("--method", "mean", "--delay", "4,9", "--high-pass", 0.02, "--no-percent", "--tr", 2, "--simulated")
    made = neuroclip(*words, *settings, "--json").result
    assert (made["data"], made["subjects"], made["train_trials"]) == ("simulated", ["sub-01", "sub-02"], 20)
    said = json.loads((tmp_path / "store" / "store.json").read_text())["settings"]["responses"]
    assert said == {
        "method": "mean",
        "hrf": "spm",
        "high_pass": 0.02,
        "window": [4.0, 9.0],
        "percent": False,
        "tr": 2.0,
        "scale_runs": False,
    }
    assert neuroclip("check", tmp_path / "store", "--json").result["problems"] == []
    assert neuroclip("info", tmp_path / "store").code == 0


def test_bad_input_is_refused_and_nothing_is_left(refused, scans, tmp_path):
    words = (
        "prepare",
        "fmri",
        scans.runs,
        "--out",
        tmp_path / "store",
        "--images",
        scans.pictures,
        "--mask",
        scans.mask,
    )
    assert "method is 'fir'" in refused(*words, "--method", "fir")
    assert "--delay 'none'" in refused(*words, "--delay", "none")
    assert "--atlas and --labels together" in refused(*words, "--labels", scans.folder / "labels.tsv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scans"]
