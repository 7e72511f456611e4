"""Recorded fMRI by the command lines of the README alone: files as they are found -> store -> run -> report."""

import json
import shlex

import pytest

from neuroclip_hf.cli.main import main


@pytest.fixture(scope="module")
def commands(project):
    """The README's lines that prepare the three files, by the store that they make."""
    text = (project / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in text.splitlines() if line.startswith("neuroclip prepare")]
    return {line[line.index("--out") + 1]: line[1:] for line in lines if "--out" in line and "arrays" in line}


@pytest.mark.parametrize(
    ("name", "file", "measure", "least"),
    [
        ("haxby", "haxby_slice.npz", "top1", 0.3),
        ("figures", "miyawaki_V1_figures.npz", "top1", 0.4),
        ("new-figures", "miyawaki_V1_figures.npz", None, 0.0),
        ("objects", "objects92.npz", "pairwise", 0.55),
    ],
)
def test_a_file_is_prepared_trained_on_and_evaluated(
    commands, real_data, tmp_path, monkeypatch, name, file, measure, least
):
    if not (real_data / "fmri" / file).is_file():
        pytest.skip(f"no {file} in {real_data / 'fmri'}")
    monkeypatch.chdir(tmp_path)
    assert main([str(real_data / "fmri" / word) if word == file else word for word in commands[name]]) == 0
    assert main(["train", "brainclip-ridge", "--data", name, "--out", "run"]) == 0
    assert main(["evaluate", "run", "--data", name]) == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    assert report["data"] == "recorded"
    assert measure is None or report[measure] >= least
